import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

/** Order's way of a planted bug. */
export const PID_FILE = -2

export interface Order {
  readonly dir: string
  /** Index of the way in LOCK_WAYS; -1: none works, claims decide; PID_FILE: the planted bug. */
  readonly way: number
  /** By the clock that all processes share (process.hrtime), in ns as text. */
  readonly at?: string
  readonly release?: boolean
}

export interface Answer {
  readonly held: boolean
  readonly error: string
}

const PROGRAM = fileURLToPath(new URL('lock-taker.ts', import.meta.url))

/** A process of its own that takes folders; see lock-taker.ts. */
export class LockTaker implements AsyncDisposable {
  readonly child: ChildProcess

  /** `wrapper`: a program and its arguments that run it, such as unshare. */
  constructor(wrapper: readonly string[] = []) {
    const [program, ...args] = [...wrapper, process.execPath, '--import', 'tsx', PROGRAM]
    this.child = spawn(program!, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  }

  async #tell(order: Order): Promise<Answer> {
    const listening = new AbortController()
    const { signal } = listening
    const ended = once(this.child, 'exit', { signal }).then(([code]) => {
      throw new Error(`the process that takes locks has ended with ${code}`)
    })
    ended.catch(() => {})
    this.child.send(order)
    try {
      const answered = once(this.child, 'message', { signal })
      return (await Promise.race([answered, ended]))[0] as Answer
    } finally {
      listening.abort()
    }
  }

  take(dir: string, way: number, at = 0n): Promise<Answer> {
    return this.#tell({ dir, way, at: String(at) })
  }

  release(dir: string): Promise<Answer> {
    return this.#tell({ dir, way: 0, release: true })
  }

  /** As kill -9; resolves when the process is gone. */
  async kill(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return
    const gone = once(this.child, 'exit')
    this.child.kill('SIGKILL')
    await gone
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill()
  }
}
