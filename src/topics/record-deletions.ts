import type { Partition } from './partition.ts'
import type { WorkerLink } from './worker-link.ts'

/** Partitions in one command: they share a checkpoint. */
const ITEMS_MAX = 500

interface Deletion {
  readonly handle: number
  readonly offset: number
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/** Deletions of records that are asked for in the same turn of the event loop go to their worker in one command. */
export class RecordDeletions {
  readonly #waiting = new Map<WorkerLink, Deletion[]>()

  /** Moves a partition's start up; durable when it resolves. */
  run({ handle, worker }: Partition, offset: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const deletion = { handle, offset, resolve, reject }
      const waiting = this.#waiting.get(worker)
      if (waiting !== undefined) {
        waiting.push(deletion)
        return
      }
      this.#waiting.set(worker, [deletion])
      setImmediate(() => this.#send(worker))
    })
  }

  #send(worker: WorkerLink): void {
    const all = this.#waiting.get(worker)!
    this.#waiting.delete(worker)
    for (let i = 0; i < all.length; i += ITEMS_MAX) run(worker, all.slice(i, i + ITEMS_MAX))
  }
}

async function run(worker: WorkerLink, deletions: readonly Deletion[]): Promise<void> {
  try {
    const items = deletions.map(({ handle, offset }) => ({ handle, offset }))
    const { views } = await worker.command('deleteRecords', { items })
    const done = new Set(views.map(({ handle }) => handle))
    for (const { handle, resolve, reject } of deletions) {
      if (done.has(handle)) resolve()
      else reject(new Error(`partition ${handle} is offline or gone`))
    }
  } catch (error) {
    for (const { reject } of deletions) reject(error)
  }
}
