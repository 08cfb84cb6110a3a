import { setTimeout as delay } from 'node:timers/promises'
import type { MessagePort } from 'node:worker_threads'
import { Piscina } from 'piscina'
import type { TaskName, Tasks } from './tasks.ts'
import { workerFile } from './worker-file.ts'

export interface TaskPoolOptions {
  /** Threads at most; none is kept while there is nothing to do. */
  readonly threadsMax?: number
  /** Jobs that wait or run, at most. */
  readonly jobsMax?: number
  /** ms after which a thread without work ends. */
  readonly idleMs?: number
  /** ms from the asking after which a job is given up, with its thread; Infinity: no bound. */
  readonly jobMsMax?: number
  /** ms that `close` gives the running jobs. */
  readonly closeMs?: number
}

/** More jobs are under way than the pool takes: try again later. */
export class TaskPoolFull extends Error {
  override readonly name: string = 'TaskPoolFull'
}

/** The job was not done in time, and may be asked for again. */
export class TaskTimedOut extends TaskPoolFull {
  override readonly name: string = 'TaskTimedOut'
}

/** The pool is closed, or was while the job waited or ran. */
export class TaskPoolClosed extends Error {
  override readonly name = 'TaskPoolClosed'
}

/** Searches of the largest logs take seconds. */
const JOB_MS_MAX = 30_000

/** What can be given to a thread instead of being cloned. */
type Transferable = MessagePort | ArrayBuffer

/**
 * Jobs that would hold the event loop or delay appends: they run on threads of their own, which start with the
 * first job and end when there is none for a while.
 */
export class TaskPool {
  readonly #pool: Piscina
  readonly #jobsMax: number
  readonly #jobMsMax: number
  readonly #closeMs: number
  readonly #running = new Set<Promise<unknown>>()
  #closing: Promise<void> | null = null

  constructor(options: TaskPoolOptions = {}) {
    this.#jobsMax = options.jobsMax ?? 256
    this.#jobMsMax = options.jobMsMax ?? JOB_MS_MAX
    this.#closeMs = options.closeMs ?? 2_000
    this.#pool = new Piscina({
      ...workerFile('task'),
      minThreads: 0,
      maxThreads: options.threadsMax ?? 1,
      idleTimeout: options.idleMs ?? 10_000,
    })
  }

  /** Threads there are now. */
  get threads(): number {
    return this.#pool.threads.length
  }

  /**
   * Runs one job. What is to be transferred is the thread's from then on. Its error comes with its message; its class is lost between the threads.
   * @throws TaskPoolFull, TaskTimedOut, TaskPoolClosed
   */
  async run<Name extends TaskName>(
    name: Name,
    input: Parameters<Tasks[Name]>[0],
    transfer: readonly Transferable[] = [],
  ): Promise<Awaited<ReturnType<Tasks[Name]>>> {
    if (this.#closing !== null) throw new TaskPoolClosed('the task pool is closed')
    if (this.#running.size >= this.#jobsMax) {
      throw new TaskPoolFull(`${this.#jobsMax} jobs are under way`)
    }
    const late = new AbortController()
    const timer = this.#abortLater(late)
    const how = { transferList: [...transfer], signal: late.signal }
    const job = this.#pool.run({ name, input }, how)
    this.#running.add(job)
    try {
      return await job
    } catch (error) {
      if (late.signal.aborted) throw new TaskTimedOut(`${name} took over ${this.#jobMsMax} ms`)
      if (this.#closing === null) throw error
      throw new TaskPoolClosed('the task pool was closed', { cause: error })
    } finally {
      clearTimeout(timer)
      this.#running.delete(job)
    }
  }

  #abortLater(late: AbortController): NodeJS.Timeout | undefined {
    if (this.#jobMsMax === Number.POSITIVE_INFINITY) return undefined
    return setTimeout(() => late.abort(), this.#jobMsMax).unref()
  }

  /** Lets the jobs under way finish for `closeMs`, then ends the threads. */
  close(): Promise<void> {
    this.#closing ??= this.#end()
    return this.#closing
  }

  async #end(): Promise<void> {
    const timer = new AbortController()
    const timeout = delay(this.#closeMs, undefined, { signal: timer.signal }).catch(() => undefined)
    await Promise.race([Promise.allSettled(this.#running), timeout])
    timer.abort()
    await this.#pool.destroy()
  }
}
