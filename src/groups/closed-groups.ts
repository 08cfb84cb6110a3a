import { setTimeout as delay } from 'node:timers/promises'
import type { StoredRecord } from '../coordination/coordinator-log.ts'

/** A closed group is loaded again after this time, in ms; after twice as long each time that it fails again. */
const REST_MS_MIN = 100
const REST_MS_MAX = 60_000
/** A group that has been well for so long, in ms, begins anew. */
const FORGIVEN_AFTER_MS = 600_000

interface Failures {
  readonly count: number
  /** ms of the monotonic clock. */
  readonly last: number
}

export interface DeletedTopic {
  readonly name: string
  readonly id: string
}

/**
 * The groups of a shard that are closed because of what nobody expected in them. Those that have failed at work are loaded
 * again from the log, after a rest, for that means to read all of it. Those whose records cannot be
 * applied stay closed until the next start, and their records are kept, so that the log can be written anew without losing them.
 */
export class ClosedGroups {
  /** Loads these groups: each is told of by `opened` or `keep`. */
  readonly #load: (groupIds: ReadonlySet<string>) => Promise<void>
  readonly #onFailure: (error: unknown) => void
  /** When each of those that wait is loaded, in ms of the monotonic clock. */
  readonly #due = new Map<string, number>()
  readonly #kept = new Map<string, readonly StoredRecord[]>()
  readonly #failures = new Map<string, Failures>()
  #work: Promise<void> | null = null
  #isStopped = false
  /** How often one was closed. */
  closings = 0
  /** Topics that were deleted meanwhile: what is loaded still has offsets of them. */
  #deleted: DeletedTopic[] = []

  constructor(
    load: (groupIds: ReadonlySet<string>) => Promise<void>,
    onFailure: (error: unknown) => void,
  ) {
    this.#load = load
    this.#onFailure = onFailure
  }

  has(groupId: string): boolean {
    return this.#due.has(groupId) || this.#kept.has(groupId)
  }

  /** Whether the log may be written anew: all that it holds is known. */
  get areKnown(): boolean {
    return this.#due.size === 0 && this.#work === null
  }

  /** The records of those that stay closed. */
  get records(): StoredRecord[] {
    return [...this.#kept.values()].flat()
  }

  add(groupId: string): void {
    const now = performance.now()
    const before = this.#failures.get(groupId)
    const isRepeated = before !== undefined && now - before.last < FORGIVEN_AFTER_MS
    const count = isRepeated ? before.count + 1 : 0
    this.closings++
    this.#failures.set(groupId, { count, last: now })
    this.#due.set(groupId, now + Math.min(REST_MS_MIN * 2 ** count, REST_MS_MAX))
    this.#work ??= this.#run()
  }

  /** It cannot be loaded: these are its records. */
  keep(groupId: string, records: readonly StoredRecord[]): void {
    this.#kept.set(groupId, records)
    this.#due.delete(groupId)
  }

  /** It is there again. @returns what has been deleted meanwhile */
  opened(groupId: string): readonly DeletedTopic[] {
    this.#due.delete(groupId)
    return this.#deleted
  }

  noteDeleted(topic: DeletedTopic): void {
    if (this.#due.size > 0) this.#deleted.push(topic)
  }

  stop(): void {
    this.#isStopped = true
  }

  async #run(): Promise<void> {
    while (this.#due.size > 0 && !this.#isStopped) {
      const now = performance.now()
      const wait = Math.min(...this.#due.values()) - now
      if (wait > 0) {
        // Another one may be due before.
        await delay(Math.min(wait, REST_MS_MIN), undefined, { ref: false })
        continue
      }
      const ids = [...this.#due].flatMap(([groupId, at]) => (at <= now ? [groupId] : []))
      await this.#load(new Set(ids)).catch(error => {
        this.#onFailure(error)
        for (const groupId of ids) if (this.#due.has(groupId)) this.add(groupId)
      })
    }
    this.#deleted = []
    this.#work = null
  }
}
