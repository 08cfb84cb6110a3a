import { Piscina } from 'piscina'
import type { PartitionWorkerTask } from '../../workers/partition.ts'
import { assert } from '../assert.ts'
import { workerFile } from './worker-file.ts'
import { WorkerLink } from './worker-link.ts'

/** A worker that has not closed its logs by then is ended; the next start recovers. */
const CLOSE_MS_MAX = 4_000

/**
 * A partition's share of a group from which on it is flushed in its segment instead of through the journal. Found by
 * measuring (docs/architecture.md): below, one flush for all is cheaper; above, writing twice costs more.
 */
const BYPASS_BYTES = 256 * 1024

export interface WorkerPoolOptions {
  readonly workers: number
  readonly ringBytes: number
  readonly journalFileBytes: number
  /** Files of logs that all workers together may have open. */
  readonly openLogsMax: number
  /** A worker thread has ended without being told to. */
  readonly onLost: (worker: WorkerLink, error: Error) => void
}

/** As Node's own handles have it. */
interface Handle {
  unref(): void
}

/**
 * Piscina keeps the process alive while a thread has a task, and these never end. The handle hangs on the worker that it tells of,
 * under a symbol that it does not export: package.json names the one version of which that is known.
 */
function handleOf(worker: object): Handle {
  const handle = Object.getOwnPropertySymbols(worker)
    .map(symbol => (worker as Record<symbol, unknown>)[symbol] as Partial<Handle> | undefined)
    .find(value => typeof value?.unref === 'function')
  assert(handle !== undefined, 'a worker of Piscina has its handle')
  return handle as Handle
}

/**
 * The partition worker threads: one never-ending Piscina task each. The threads start with the object, the tasks with
 * `run`: what else there is to do at a start goes on meanwhile.
 */
export class WorkerPool {
  readonly links: readonly WorkerLink[]
  readonly #o: WorkerPoolOptions
  readonly #pool: Piscina
  #tasks: Promise<void>[] = []
  /** What keeps the process alive while the threads have tasks. */
  readonly #handles: Handle[] = []
  #closing = false

  constructor(options: WorkerPoolOptions) {
    this.#o = options
    const count = options.workers
    this.#pool = new Piscina({
      ...workerFile('partition'),
      minThreads: count,
      maxThreads: count,
      idleTimeout: Number.POSITIVE_INFINITY,
      atomics: 'disabled',
    })
    this.#pool.on('workerCreate', worker => this.#handles.push(handleOf(worker)))
    this.links = Array.from({ length: count }, () => new WorkerLink(options.ringBytes))
  }

  /** Gives the workers their data folder. `clean`: the last stop had flushed everything. */
  run(dataDir: string, clean: boolean): void {
    const { journalFileBytes, onLost, workers } = this.#o
    const openLogsMax = Math.max(1, Math.floor(this.#o.openLogsMax / workers))
    this.#tasks = this.links.map(async (link, worker) => {
      const { memory } = link
      const task: PartitionWorkerTask = {
        ...{ memory, worker, dataDir, clean, journalFileBytes },
        bypassBytes: BYPASS_BYTES,
        openLogsMax,
      }
      try {
        await this.#pool.run(task)
        link.lose(new Error('the partition worker has stopped'))
      } catch (error) {
        const reason = error instanceof Error ? error : new Error(String(error))
        link.lose(reason)
        if (!this.#closing) onLost(link, reason)
      }
    })
  }

  /** The threads do not keep the process alive any more; an append or a command under way still does. */
  unref(): void {
    for (const handle of this.#handles) handle.unref()
    for (const link of this.links) link.unref()
  }

  /** Runs a command on every worker. */
  all<T>(run: (link: WorkerLink, worker: number) => Promise<T>): Promise<T[]> {
    return Promise.all(this.links.map(run))
  }

  /** Has every worker flush and close its logs. @returns whether all of them did, in time. */
  async close(): Promise<boolean> {
    this.#closing = true
    let timer: NodeJS.Timeout | undefined
    const timeout = new Promise<boolean>(resolve => {
      timer = setTimeout(() => resolve(false), CLOSE_MS_MAX)
    })
    const closed = this.all(async link => {
      if (link.isLost) return false
      const { clean } = await link.command('close', {})
      return clean
    }).then(
      results => results.every(clean => clean),
      () => false,
    )
    const clean = await Promise.race([closed, timeout])
    if (clean) await Promise.all(this.#tasks)
    clearTimeout(timer)
    await this.#pool.destroy()
    await Promise.all(this.#tasks)
    return clean
  }

  /** Ends the threads as a crash would: nothing is flushed. For tests. */
  async kill(): Promise<void> {
    this.#closing = true
    await this.#pool.destroy()
    await Promise.all(this.#tasks)
    for (const link of this.links) link.lose(new Error('the partition worker was ended'))
  }
}
