import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { builtNow } from '../lib/build-copy.ts'
import { Program, watched } from './program.ts'

const test = suite('odradek, as a person starts it')
const work = mkdtempSync(join(tmpdir(), 'odradek-terminal-'))
const cli = new Program()
cli.env = { NO_COLOR: '1' }
test.after(() => rmSync(work, { recursive: true, force: true }))

/** Options of `start` for a broker of its own. */
const own = (...overrides: string[]): string[] => {
  const dir = `log.dirs=${mkdtempSync(join(work, 'd-'))}`
  const all = ['listeners=PLAINTEXT://127.0.0.1:0', dir, ...overrides]
  return all.flatMap(override => ['--override', override])
}

test('on a terminal the log is for people: time, level, words, and what to do next', async () => {
  const terminal = cli.spawnOnTerminal(['start', ...own('num.partitionz=1')])
  const { said, says } = watched(terminal)
  await says('out', /\[\d\d:\d\d:\d\d\.\d{3}\] WARN: Unknown option num\.partitionz/)
  await says('out', /INFO: odradek \S+ is ready on PLAINTEXT:\/\/127\.0\.0\.1:\d+/)
  await says('out', /next, from another terminal: .*-b 127\.0\.0\.1:\d+/)
  assert.not.match(said.out, /[{}]/, 'no objects')
  terminal.stdin.write('\x03')
  await once(terminal, 'close')
  assert.match(said.out, /INFO: stopped/)
})

test('on a terminal a mistake in the configuration is one line', async () => {
  const terminal = cli.spawnOnTerminal(['start', ...own('num.partitions=none')])
  const { said } = watched(terminal)
  await once(terminal, 'close')
  const lines = said.out.trim().split('\n')
  assert.is(lines.length, 1, said.out)
  assert.match(lines[0]!, /FATAL: Invalid option num\.partitions=none \(from flag\): it must be/)
})

test('the program alone prints its help and makes nothing', async () => {
  const { stderr } = await cli.run([])
  assert.match(stderr, /Usage: odradek/)
  assert.match(stderr, /start \[options\]/)
})

test('an uncaught error shows a line of source that can be read, and the sources where maps are asked for', async () => {
  const planted = "data:text/javascript,JSON.parse=()=>{throw new Error('planted')}"
  const run = async (...options: string[]): Promise<string> => {
    const env = { NODE_OPTIONS: [...options, `--import "${planted}"`].join(' ') }
    const { stderr } = await cli.run([], { env })
    assert.match(stderr, /Error: planted/)
    return stderr
  }
  const lines = (await run()).split('\n')
  assert.ok(
    lines.every(line => line.length < 200),
    'no minified line',
  )
  assert.match(await run('--enable-source-maps'), /src\/cli\/main\.ts:\d+/)
})

test('SIGTERM to npm stops the broker that npm start has started', async () => {
  const npm = spawn('npm', ['start', '--', ...own()], { cwd: builtNow() })
  const { said, says } = watched(npm)
  await says('out', /is ready on/)
  npm.kill('SIGTERM')
  // Of its output: the broker has it, too.
  await once(npm, 'close')
  assert.match(said.out, /"msg":"stopped"/)
})

test.run()
