import { spawnSync } from 'node:child_process'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Program } from './program.ts'

const test = suite('odradek completion')
let cli: Program

test.before(() => {
  cli = new Program()
})

/** What bash offers behind these words. */
function offered(script: string, ...words: string[]): string[] {
  const quoted = words.map(word => `'${word}'`).join(' ')
  const ask = `COMP_WORDS=(${quoted}); COMP_CWORD=${words.length - 1}; _odradek; echo "\${COMPREPLY[*]}"`
  const ran = spawnSync('bash', ['-c', `${script}\n${ask}`], { encoding: 'utf8' })
  assert.is(ran.stderr, '')
  return ran.stdout.trim().split(' ')
}

test('bash completes commands, their commands, and options', async () => {
  const script = await cli.ok(['completion', 'bash'])
  assert.equal(offered(script, 'odradek', 'to'), ['topic'])
  assert.equal(offered(script, 'odradek', 'topic', 'd'), ['describe', 'delete'])
  assert.equal(offered(script, 'odradek', 'topic', 'consume', '--gre'), ['--grep'])
  assert.equal(offered(script, 'odradek', 'topic', 'consume', 'orders', '-e', '--js'), ['--json'])
  assert.equal(offered(script, 'odradek', 'consume', '--gre'), ['--grep'])
  assert.equal(offered(script, 'odradek', 'group', 'rm', '--js'), ['--json'])
  assert.equal(offered(script, 'odradek', 'doctor', '--boot'), ['--bootstrap'])
  assert.equal(offered(script, 'odradek', 'bench', 'c'), ['consume'])
  assert.equal(offered(script, 'odradek', 'bench', 'produce', '--ra'), ['--rate'])
  assert.equal(offered(script, 'odradek', 'start', '--over'), ['--override'])
})

test('a shell that is not known is refused with those that are', async () => {
  await cli.fails(2, /Allowed choices are bash/, ['completion', 'csh'])
})

test.run()
