import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Client } from '../../src/client/client.ts'
import { builtNow } from './build-copy.ts'
import { cpuSecondsOf, type Ended, end, endAtExit, hasEnded } from './child.ts'
import { Recorder } from './recorder.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
/** A broker that is not ready by then has failed. */
const READY_MS_MAX = 30_000
/** SIGTERM must have ended the process by then, with time to spare over the broker's own 5 s. */
const STOP_MS_MAX = 10_000

/** A file that what clients send is written to, for test/attack/mutations.ts. */
const TRAFFIC = process.env.TRAFFIC

export interface BrokerProcessOptions {
  /** Data folder; by default a new temporary one. */
  readonly dir?: string
  /** key=value texts for --override. */
  readonly overrides?: readonly string[]
  /** More arguments of `start`. */
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** The folder that holds dist/; by default this repository. */
  readonly root?: string
  /** Whether to run what is built of the sources now, instead of dist. */
  readonly fromSource?: boolean
  /** A program and its arguments that run the broker, such as strace or prlimit. */
  readonly wrapper?: readonly string[]
  /** Called with the process as soon as it exists, before it is ready. */
  readonly onSpawn?: (child: ChildProcess) => void
}

/** The command line of the broker. */
export function brokerCommand(options: BrokerProcessOptions): string[] {
  const { fromSource = false, wrapper = [], args = [], overrides = [] } = options
  const root = options.root ?? (fromSource ? builtNow() : ROOT)
  const flags = overrides.flatMap(override => ['--override', override])
  const program = join(root, 'dist/src/cli/main.js')
  return [...wrapper, process.execPath, program, 'start', ...args, ...flags]
}

/** A broker in a process of its own, on a free port of 127.0.0.1. Ended by its pid, at the latest when this process exits. */
export class BrokerProcess implements AsyncDisposable {
  readonly child: ChildProcess
  readonly dir: string
  readonly port: number
  /** From spawn to the line that says it is ready. */
  readonly readyMs: number
  readonly #output: { text: string }

  private constructor(
    child: ChildProcess,
    dir: string,
    port: number,
    readyMs: number,
    output: { text: string },
  ) {
    this.child = child
    this.dir = dir
    this.port = port
    this.readyMs = readyMs
    this.#output = output
  }

  /** Rejects with what the process printed if it ends or is not ready in time. */
  static async start(options: BrokerProcessOptions = {}): Promise<BrokerProcess> {
    const dir = options.dir ?? mkdtempSync(join(tmpdir(), 'odradek-process-'))
    const standard = ['listeners=PLAINTEXT://127.0.0.1:0', `log.dirs=${dir}`]
    const overrides = [...standard, ...(options.overrides ?? [])]
    const recorder = TRAFFIC === undefined ? null : await Recorder.start(TRAFFIC)
    if (recorder !== null) {
      overrides.push(`advertised.listeners=PLAINTEXT://127.0.0.1:${recorder.port}`)
    }
    const [program, ...args] = brokerCommand({ ...options, overrides })
    const started = performance.now()
    const child = spawn(program!, args, {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...options.env },
    })
    endAtExit(child)
    options.onSpawn?.(child)
    const output = { text: '' }
    let port = await ready(child, output)
    if (recorder !== null) {
      recorder.forwardTo(port)
      port = recorder.port
    }
    return new BrokerProcess(child, dir, port, performance.now() - started, output)
  }

  /** Everything the process has printed. */
  get output(): string {
    return this.#output.text
  }

  get pid(): number {
    return this.child.pid!
  }

  get address(): string {
    return `127.0.0.1:${this.port}`
  }

  connect(maxInFlight: number): Promise<Client> {
    return Client.connect({ host: '127.0.0.1', port: this.port, maxInFlight })
  }

  /** Memory that it has now (Linux), in KiB. */
  get residentKb(): number {
    const status = readFileSync(`/proc/${this.child.pid}/status`, 'utf8')
    return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1])
  }

  /** CPU seconds used so far; NaN where the system has no /proc. */
  get cpuSeconds(): number {
    return cpuSecondsOf(this.pid)
  }

  get hasEnded(): boolean {
    return hasEnded(this.child)
  }

  /** kill -9: nothing of the process's memory survives. */
  async kill(): Promise<void> {
    await this.end('SIGKILL')
  }

  /** SIGTERM. Rejects if the process has not ended after 10 s. */
  stop(): Promise<Ended> {
    return this.end('SIGTERM')
  }

  end(signal: NodeJS.Signals): Promise<Ended> {
    return end(this.child, signal, STOP_MS_MAX)
  }

  /** Ends the process and removes its data. */
  async remove(): Promise<void> {
    await this.kill()
    rmSync(this.dir, { recursive: true, force: true })
  }

  /** Stops the process and removes its data. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
    rmSync(this.dir, { recursive: true, force: true })
  }
}

function ready(child: ChildProcess, output: { text: string }): Promise<number> {
  return new Promise((resolve, reject) => {
    const fail = (why: string): void => {
      clearTimeout(timer)
      reject(new Error(`the broker ${why}:\n${output.text}`))
    }
    const timer = setTimeout(() => {
      child.kill('SIGKILL')
      fail(`was not ready after ${READY_MS_MAX} ms`)
    }, READY_MS_MAX)
    const take = (chunk: Buffer): void => {
      output.text += chunk.toString()
      const port = /is ready on \w+:\/\/[\d.]+:(\d+)/.exec(output.text)?.[1]
      if (port === undefined) return
      clearTimeout(timer)
      resolve(Number(port))
    }
    child.stdout!.on('data', take)
    child.stderr!.on('data', take)
    child.once('error', error => fail(`could not be run: ${error.message}`))
    child.once('exit', (code, signal) => fail(`ended with ${signal ?? `code ${code}`}`))
  })
}
