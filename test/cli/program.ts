import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import type { BrokerOptions } from '../../src/options.ts'
import { startTestBroker, type TestBroker } from '../../src/testing/index.ts'
import { Wire } from '../apis/wire.ts'
import { builtNow } from '../lib/build-copy.ts'

/** A command that has not ended by then hangs. */
const RUN_MS_MAX = 20_000

/** Whoever runs the tests has profiles and clusters of their own. */
const OWN_ENV = {
  NO_COLOR: '',
  ODRADEK_BOOTSTRAP: undefined,
  ODRADEK_PROFILE: undefined,
  XDG_CONFIG_HOME: '/nonexistent',
}

export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  readonly input?: string | Buffer
  readonly env?: Readonly<Record<string, string>>
}

export class Program {
  readonly #root = builtNow()
  /** What every command is given. */
  env: Readonly<Record<string, string>> = {}

  spawn(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
    return spawn(process.execPath, [join(this.#root, 'dist/src/cli/main.js'), ...args], {
      env: { ...process.env, ...OWN_ENV, ...this.env, ...env },
      timeout: RUN_MS_MAX,
    })
  }

  /** For a shell to run it. */
  get shellCommand(): string {
    return `'${process.execPath}' '${join(this.#root, 'dist/src/cli/main.js')}'`
  }

  /** The same on a terminal of its own: what is written to its stdin is typed, its stdout is what the terminal shows. */
  spawnOnTerminal(args: readonly string[]) {
    const words = [process.execPath, join(this.#root, 'dist/src/cli/main.js'), ...args]
    return spawn('script', ['-qec', words.map(word => `'${word}'`).join(' '), '/dev/null'], {
      env: { ...process.env, ...OWN_ENV, ...this.env },
      timeout: RUN_MS_MAX,
    })
  }

  /** A command that goes on. */
  running(...args: string[]) {
    return watched(this.spawn(args))
  }

  async run(args: readonly string[], { input = '', env = {} }: RunOptions = {}): Promise<Ended> {
    const child = this.spawn(args, env)
    const out: Buffer[] = []
    const err: Buffer[] = []
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk))
    child.stderr.on('data', (chunk: Buffer) => err.push(chunk))
    // It may end before it has read everything.
    child.stdin.on('error', () => {})
    child.stdin.end(input)
    const [code] = (await once(child, 'close')) as [number | null]
    const text = (chunks: Buffer[]): string => Buffer.concat(chunks).toString()
    return { code, stdout: text(out), stderr: text(err) }
  }

  /** What a command prints that ends well and says nothing on stderr. */
  async ok(args: readonly string[], options: RunOptions = {}): Promise<string> {
    const { code, stdout, stderr } = await this.run(args, options)
    assert.is(stderr, '', args.join(' '))
    assert.is(code, 0, args.join(' '))
    return stdout
  }

  // biome-ignore lint/suspicious/noExplicitAny: tests look into whatever was printed
  async json(args: readonly string[], options: RunOptions = {}): Promise<any> {
    return JSON.parse(await this.ok([...args, '--json'], options))
  }

  /** Ends with this code, prints nothing, and says this on stderr. */
  async fails(code: number, line: RegExp, args: readonly string[], options: RunOptions = {}) {
    const ran = await this.run(args, options)
    assert.match(ran.stderr, line)
    assert.is(ran.code, code, `${args.join(' ')}: ${ran.stderr}`)
    assert.is(ran.stdout, '')
    assert.not.match(ran.stderr, /^ {4}at /m, 'no stack for what a person can mend')
  }
}

/** A program that goes on, and what it has said so far. */
export function watched(child: ChildProcessWithoutNullStreams) {
  const said = { out: '', err: '' }
  child.stdout.on('data', chunk => (said.out += chunk))
  child.stderr.on('data', chunk => (said.err += chunk))
  const says = async (stream: 'out' | 'err', what: RegExp): Promise<void> => {
    while (!what.test(said[stream])) {
      const more = once(child[stream === 'out' ? 'stdout' : 'stderr'], 'data')
      await Promise.race([more, once(child, 'close')])
      assert.is(child.exitCode ?? child.signalCode, null, JSON.stringify(said))
    }
  }
  return { child, said, says }
}

/** HOST:PORT of a broker in this process. */
export function addressOf(wire: {
  node: { endpoint(name: string): { host: string; port: number } }
}): string {
  const { host, port } = wire.node.endpoint('PLAINTEXT')
  return `${host}:${port}`
}

/** A broker in this process, and the program that is told where it is. */
export async function brokerAndProgram(
  options: BrokerOptions = {},
): Promise<{ wire: Wire; cli: Program }> {
  const cli = new Program()
  const wire = await Wire.start(options)
  cli.env = { ODRADEK_BOOTSTRAP: addressOf(wire) }
  return { wire, cli }
}

/** The same with a test broker, which can fail and restart. */
export async function testBrokerAndProgram(): Promise<{ broker: TestBroker; cli: Program }> {
  const cli = new Program()
  const broker = await startTestBroker()
  cli.env = { ODRADEK_BOOTSTRAP: broker.bootstrapServers }
  return { broker, cli }
}
