import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { brokerCommand } from '../lib/broker-process.ts'
import { builtNow } from '../lib/build-copy.ts'

/** What is waited for must have been printed by then. */
const SAID_MS_MAX = 30_000

const test = suite('odradek, as a person starts it')
let work: string
const started: ChildProcess[] = []

test.before(() => {
  work = mkdtempSync(join(tmpdir(), 'odradek-terminal-'))
})
test.after(() => {
  for (const child of started) child.kill('SIGKILL')
  rmSync(work, { recursive: true, force: true })
})

/** A program, and what it has printed so far. */
class Watched {
  readonly child: ChildProcess
  text = ''

  constructor(program: string, args: readonly string[], cwd = process.cwd()) {
    const env: NodeJS.ProcessEnv = { ...process.env, NO_COLOR: '1' }
    delete env.FORCE_COLOR
    // As from a shell, not from the script that runs the tests.
    for (const name of Object.keys(env)) if (name.startsWith('npm_')) delete env[name]
    this.child = spawn(program, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] })
    started.push(this.child)
    const take = (chunk: Buffer): void => {
      this.text += chunk.toString()
    }
    this.child.stdout!.on('data', take)
    this.child.stderr!.on('data', take)
  }

  async says(what: RegExp): Promise<RegExpExecArray> {
    const signal = AbortSignal.timeout(SAID_MS_MAX)
    for (;;) {
      const found = what.exec(this.text)
      if (found !== null) return found
      await once(this.child.stdout!, 'data', { signal }).catch(() => {
        throw new Error(`${what} was not said in ${SAID_MS_MAX} ms, but: ${this.text}`)
      })
    }
  }
}

/** Runs a command line on a terminal of its own. */
const onTerminal = (command: readonly string[]): Watched =>
  new Watched('script', ['-qec', command.map(word => `'${word}'`).join(' '), '/dev/null'])

const newDir = (): string => `log.dirs=${mkdtempSync(join(work, 'd-'))}`
const free = 'listeners=PLAINTEXT://127.0.0.1:0'

test('on a terminal the log is for people: time, level, words, and what to do next', async () => {
  const broker = onTerminal(
    brokerCommand({ fromSource: true, overrides: [free, newDir(), 'num.partitionz=1'] }),
  )
  await broker.says(/\[\d\d:\d\d:\d\d\.\d{3}\] WARN: Unknown option num\.partitionz/)
  await broker.says(/INFO: odradek \S+ is ready on PLAINTEXT:\/\/127\.0\.0\.1:\d+/)
  await broker.says(/next, from another terminal: .*-b 127\.0\.0\.1:\d+/)
  assert.not.match(broker.text, /[{}]/, 'no objects')
})

test('on a terminal a mistake in the configuration is one line', async () => {
  const command = brokerCommand({ fromSource: true, overrides: [free, 'num.partitions=none'] })
  const broker = onTerminal(command)
  await once(broker.child, 'close')
  const lines = broker.text.trim().split('\n')
  assert.is(lines.length, 1, broker.text)
  assert.match(lines[0]!, /FATAL: Invalid option num\.partitions=none \(from flag\): it must be/)
})

test('the program alone prints its help and makes nothing', async () => {
  const [program, ...args] = brokerCommand({ fromSource: true }).slice(0, -1)
  const alone = new Watched(program!, args)
  await once(alone.child, 'close')
  assert.match(alone.text, /Usage: odradek/)
  assert.match(alone.text, /start \[options\]/)
})

test('an uncaught error shows a line of source that can be read, and the sources where maps are asked for', async () => {
  const planted = "data:text/javascript,JSON.parse=()=>{throw new Error('planted')}"
  const program = join(builtNow(), 'dist/src/cli/main.js')
  const run = async (...options: string[]): Promise<string> => {
    const broken = new Watched(process.execPath, [...options, '--import', planted, program])
    await once(broken.child, 'close')
    assert.match(broken.text, /Error: planted/)
    return broken.text
  }
  const lines = (await run()).split('\n')
  assert.ok(
    lines.every(line => line.length < 200),
    'no minified line',
  )
  assert.match(await run('--enable-source-maps'), /src\/cli\/main\.ts:\d+/)
})

test('SIGTERM to npm stops the broker that npm start has started', async () => {
  const options = [free, newDir()].flatMap(option => ['--override', option])
  const npm = new Watched('npm', ['start', '--', ...options], builtNow())
  await npm.says(/is ready on/)
  npm.child.kill('SIGTERM')
  await npm.says(/"msg":"stopped"/)
})

test.run()
