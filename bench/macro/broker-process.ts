import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { Client } from '../../src/client/client.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
/** Clock ticks a second in /proc. */
const TICKS = 100

/** A broker in a process of its own, on a free port, with its data in a temporary folder. */
export class BrokerProcess implements AsyncDisposable {
  readonly port: number
  readonly #child: ChildProcess
  readonly #dir: string

  private constructor(child: ChildProcess, dir: string, port: number) {
    this.#child = child
    this.#dir = dir
    this.port = port
  }

  /** `fromSource` runs the TypeScript files; otherwise what `npm run build` made. */
  static async start(fromSource: boolean): Promise<BrokerProcess> {
    const dir = mkdtempSync(join(tmpdir(), 'odradek-bench-'))
    const entry = fromSource ? ['--import', 'tsx', 'src/cli/main.ts'] : ['dist/src/cli/main.js']
    const options = [
      '--override',
      'listeners=PLAINTEXT://127.0.0.1:0',
      '--override',
      `log.dirs=${dir}`,
    ]
    const child = spawn(process.execPath, [...entry, 'start', ...options], {
      cwd: root,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    for await (const line of createInterface({ input: child.stdout! })) {
      const port = /"address":"PLAINTEXT:\/\/127\.0\.0\.1:(\d+)"/.exec(line)?.[1]
      if (port === undefined) continue
      child.stdout!.resume()
      return new BrokerProcess(child, dir, Number(port))
    }
    rmSync(dir, { recursive: true, force: true })
    throw new Error('the broker did not start')
  }

  connect(maxInFlight: number): Promise<Client> {
    return Client.connect({ host: '127.0.0.1', port: this.port, maxInFlight })
  }

  /** CPU seconds used so far; NaN where the system has no /proc. */
  get cpuSeconds(): number {
    const path = `/proc/${this.#child.pid}/stat`
    if (!existsSync(path)) return Number.NaN
    const stat = readFileSync(path, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return (Number(fields[11]) + Number(fields[12])) / TICKS
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = new Promise(resolve => this.#child.once('exit', resolve))
    this.#child.kill('SIGTERM')
    await ended
    rmSync(this.#dir, { recursive: true, force: true })
  }
}
