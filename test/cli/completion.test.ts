import { spawnSync } from 'node:child_process'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { commit } from '../apis/grouping.ts'
import type { Wire } from '../apis/wire.ts'
import { addressOf, brokerAndProgram, type Program } from './program.ts'

const test = suite('odradek completion')
let wire: Wire
let cli: Program

test.before(async () => {
  ;({ wire, cli } = await brokerAndProgram())
})
test.after(() => wire.close())

/** What bash offers behind these words. */
function offered(script: string, ...words: string[]): string[] {
  const quoted = words.map(word => `'${word}'`).join(' ')
  const line = words.join(' ')
  const typed = `COMP_LINE='${line}'; COMP_POINT=${line.length}; COMP_WORDS=(${quoted}); COMP_CWORD=${words.length - 1}`
  const ask = `${typed}; _odradek; echo "\${COMPREPLY[*]}"`
  // The program is not installed here: the function stands for it.
  const program = `odradek() { ${cli.shellCommand} "$@"; }`
  const ran = spawnSync('bash', ['-c', `${program}\n${script}\n${ask}`], {
    encoding: 'utf8',
    env: { ...process.env, ...cli.env },
  })
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
  assert.equal(offered(script, 'odradek', 'metadata', 'migrate', '--dry'), ['--dry-run'])
})

test('names of topics, groups and configs come from the cluster that is typed', async () => {
  await wire.createTopic('orders')
  await wire.createTopic('ordinary')
  await commit(wire, 'billing', 'orders', 0)
  const script = await cli.ok(['completion', 'bash'])
  const offers = (...words: string[]): string[] => offered(script, 'odradek', ...words)
  // The broker is in this process, which waits for bash.
  const names = async (line: string): Promise<string[]> =>
    (await cli.ok(['completion', '--names', `odradek ${line}`])).trim().split('\n')
  assert.equal(await names('topic describe ord'), ['orders', 'ordinary'])
  assert.equal(await names('consume -e -p 0 orde'), ['orders'])
  assert.equal(await names('topic consume --group b'), ['billing'])
  assert.equal(await names('consume -g b'), ['billing'])
  assert.equal(await names('group seek billing orde'), ['orders'])
  assert.equal(await names('config get topic orders retention.m'), ['retention.ms'])
  assert.equal(await names('topic alter orders --config retention.m'), ['retention.ms'])
  assert.equal(await names('config set br'), ['broker'])
  assert.equal(await names('topic produce orders '), [''], 'files come there')
  cli.env = { ODRADEK_BOOTSTRAP: '127.0.0.1:1' }
  assert.equal(await names(`-b ${addressOf(wire)} topic rm orde`), ['orders'])
  assert.equal(await names('topic rm orde'), [''], 'no complaint')
  assert.equal(offers('config', 'get', 'gr'), ['group'])
})

test('a shell that is not known is refused with those that are', async () => {
  await cli.fails(2, /Allowed choices are bash/, ['completion', 'csh'])
})

test.run()
