import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import http from 'node:http'
import https from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { endAtExit } from './child.ts'
import { freePort } from './free-port.ts'

/** Releases of etcd in the folder of tools (.ci/tools); the first is always there. */
export const ETCD_RELEASES = ['3.4', '3.6'] as const
export type EtcdRelease = (typeof ETCD_RELEASES)[number]

/** Of tests that do not say which. */
export const DEFAULT_RELEASE =
  ETCD_RELEASES.find(one => one === process.env.ETCD_RELEASE) ?? ETCD_RELEASES[0]

/** How long one may take to serve, or to end. */
const WAIT_MS = 20_000
const ASK_EVERY_MS = 20

/** The program, or null: the tools do not have it. */
export function etcdProgram(release: EtcdRelease): string | null {
  const { LIVE_TOOLS = 'node_modules/.live-tools' } = process.env
  const program = join(LIVE_TOOLS, 'etcd', `etcd-${release}`)
  return existsSync(program) ? program : null
}

export interface EtcdSettings {
  readonly release?: EtcdRelease
  /** A folder that is there and stays, instead of one of its own. */
  readonly dir?: string
  /** More of its flags. */
  readonly flags?: readonly string[]
  /** Where it listens, if not at 127.0.0.1. */
  readonly host?: string
  /** A program and its arguments that run it, such as `ip netns exec NAME`. */
  readonly wrapper?: readonly string[]
  /** Files in PEM: then clients use TLS and show a certificate. */
  readonly tls?: { readonly ca: string; readonly cert: string; readonly key: string }
}

/** A single etcd in a folder of its own, on free ports of this machine; quick to elect itself. */
export class Etcd {
  static readonly #all = new Set<Etcd>()
  readonly port: number
  readonly #peerPort: number
  readonly #dir: string
  readonly #settings: EtcdSettings
  #process: ChildProcess | null = null
  /** The end of what it has said. */
  output = ''

  get pid(): number {
    return this.#process!.pid!
  }

  private constructor(port: number, peerPort: number, settings: EtcdSettings) {
    this.port = port
    this.#peerPort = peerPort
    this.#dir = settings.dir ?? mkdtempSync(join(tmpdir(), 'odradek-etcd-'))
    this.#settings = settings
  }

  static async start(settings: EtcdSettings = {}): Promise<Etcd> {
    const etcd = new Etcd(await freePort(), await freePort(), settings)
    Etcd.#all.add(etcd)
    await etcd.start()
    return etcd
  }

  get host(): string {
    return this.#settings.host ?? '127.0.0.1'
  }

  get #scheme(): string {
    return this.#settings.tls === undefined ? 'http' : 'https'
  }

  async start(): Promise<void> {
    const { release = DEFAULT_RELEASE, flags = [], tls, wrapper = [] } = this.#settings
    const program = etcdProgram(release)
    if (program === null) throw new Error(`no etcd ${release} in LIVE_TOOLS: bash .ci/tools FOLDER`)
    const client = `${this.#scheme}://${this.host}:${this.port}`
    const peer = `http://127.0.0.1:${this.#peerPort}`
    const secured =
      tls === undefined
        ? []
        : [
            ...['--cert-file', tls.cert, '--key-file', tls.key],
            ...['--trusted-ca-file', tls.ca, '--client-cert-auth'],
          ]
    const args = [
      ...['--name', 'one', '--data-dir', join(this.#dir, 'data'), '--log-level', 'warn'],
      ...['--logger', 'zap'],
      ...['--listen-client-urls', client, '--advertise-client-urls', client],
      ...['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer],
      ...['--initial-cluster', `one=${peer}`, '--heartbeat-interval', '20'],
      ...['--election-timeout', '200', ...secured, ...flags],
    ]
    const [command, ...rest] = [...wrapper, program, ...args]
    const child = spawn(command!, rest, { stdio: ['ignore', 'pipe', 'pipe'] })
    this.#process = child
    endAtExit(child)
    const take = (chunk: Buffer): void => {
      this.output = (this.output + chunk.toString()).slice(-10_000)
    }
    child.stdout.on('data', take)
    child.stderr.on('data', take)
    await this.#serves(child)
  }

  async #serves(child: ChildProcess): Promise<void> {
    const until = Date.now() + WAIT_MS
    while (!(await this.#isHealthy())) {
      if (child.exitCode !== null || Date.now() > until) {
        throw new Error(`etcd does not serve:\n${this.output}`)
      }
      await new Promise(resolve => setTimeout(resolve, ASK_EVERY_MS))
    }
  }

  #isHealthy(): Promise<boolean> {
    return new Promise(resolve => {
      const { tls } = this.#settings
      const target = { host: this.host, port: this.port, path: '/health' }
      const request =
        tls === undefined
          ? http.get(target)
          : https.get({
              ...target,
              ca: readFileSync(tls.ca),
              cert: readFileSync(tls.cert),
              key: readFileSync(tls.key),
            })
      request.setTimeout(1_000, () => request.destroy(new Error('no answer')))
      request.on('error', () => resolve(false))
      request.on('response', response => {
        let text = ''
        response.on('data', chunk => {
          text += chunk
        })
        response.on('end', () => resolve(text.includes('"true"')))
        response.on('error', () => resolve(false))
      })
    })
  }

  /** As kill -9. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL')
  }

  /** As an operator stops it. */
  async stop(): Promise<void> {
    await this.#end('SIGTERM')
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#process
    this.#process = null
    if (child === null || child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill(signal)
    await ended
  }

  /** It stands still: connections stay open, nobody answers. Resolves when all its threads do, which takes a moment. */
  async pause(): Promise<void> {
    const child = this.#process!
    child.kill('SIGSTOP')
    const tasks = `/proc/${child.pid}/task`
    const isStopped = (task: string): boolean =>
      / T /.test(readFileSync(`${tasks}/${task}/stat`, 'utf8'))
    while (!readdirSync(tasks).every(isStopped)) await new Promise(resolve => setImmediate(resolve))
  }

  resume(): void {
    this.#process?.kill('SIGCONT')
  }

  /** One request of the gateway, apart from the code under test. */
  async ask(path: string, body: object, token?: string): Promise<Record<string, unknown>> {
    const response = await fetch(`http://${this.host}:${this.port}${path}`, {
      method: 'POST',
      body: JSON.stringify(body),
      ...(token === undefined ? {} : { headers: { authorization: token } }),
    })
    return (await response.json()) as Record<string, unknown>
  }

  /** Everything up to its newest revision is history that it has no more. */
  async compact(): Promise<void> {
    const { header } = await this.ask('/v3/kv/range', { key: 'AA==' })
    const { revision } = header as { revision: string }
    await this.ask('/v3/kv/compaction', { revision, physical: true })
  }

  /** For a test that may fail before it closes its own. */
  static async closeAll(): Promise<void> {
    for (const etcd of Etcd.#all) await etcd.close()
  }

  async close(): Promise<void> {
    Etcd.#all.delete(this)
    this.resume()
    await this.kill()
    if (this.#settings.dir === undefined) rmSync(this.#dir, { recursive: true, force: true })
  }
}
