import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { lineOf } from './lines.ts'

/** What is kept of what a process has said, for when it fails. */
const LINES_KEPT = 20

/** One of the processes: its lines are printed behind its name. */
export class Child {
  readonly name: string
  readonly #process: ChildProcess
  readonly #ended: Promise<void>
  readonly #listeners = new Set<(line: string) => void>()
  #isWanted = true

  /** @param print takes whole lines */
  constructor(
    name: string,
    command: readonly string[],
    print: (line: string) => void,
    onDeath: (child: Child) => void,
  ) {
    this.name = name
    const [program, ...args] = command
    // In a group of its own: Ctrl-C is for who started it, which stops one after the other.
    this.#process = spawn(program!, args, { detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
    for (const stream of [this.#process.stdout!, this.#process.stderr!]) {
      createInterface({ input: stream }).on('line', raw => {
        const line = lineOf(raw)
        print(`${name} | ${line}`)
        for (const listener of this.#listeners) listener(line)
      })
    }
    const failed = once(this.#process, 'error').then(([error]) => {
      print(`${name} | cannot be run: ${(error as Error).message}`)
    })
    const exited = once(this.#process, 'close')
    this.#ended = Promise.race([failed, exited]).then(() => {
      if (this.#isWanted) onDeath(this)
    })
  }

  get pid(): number {
    return this.#process.pid ?? -1
  }

  get hasEnded(): boolean {
    return this.#process.exitCode !== null || this.#process.signalCode !== null
  }

  /** How it ended. */
  get end(): string {
    const { signalCode, exitCode } = this.#process
    return signalCode ?? `code ${exitCode}`
  }

  /** Resolves when it has said so. Rejects with what it has said instead if it ends before. */
  async says(pattern: RegExp): Promise<void> {
    const kept: string[] = []
    await new Promise<void>((resolve, reject) => {
      this.#listeners.add(line => {
        kept.push(line)
        if (kept.length > LINES_KEPT) kept.shift()
        if (pattern.test(line)) resolve()
      })
      void this.#ended.then(() => reject(new Error(`${this.name} has ended with ${this.end}`)))
    })
  }

  /** SIGTERM, and SIGKILL when that takes too long. */
  async stop(msMax: number): Promise<void> {
    this.terminate()
    if (this.hasEnded) return
    const timer = setTimeout(() => this.kill(), msMax)
    await this.#ended
    clearTimeout(timer)
  }

  /** SIGTERM, which is not waited for. */
  terminate(): void {
    this.#isWanted = false
    if (!this.hasEnded) this.#process.kill('SIGTERM')
  }

  kill(): void {
    this.#isWanted = false
    if (!this.hasEnded) this.#process.kill('SIGKILL')
  }
}
