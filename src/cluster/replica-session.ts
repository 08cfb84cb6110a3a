import type { FetchVerdict } from '../replication/leader-effects.ts'
import type { HostedReplica } from './hosted-replica.ts'

/** One partition that a replica asks for, until it is answered. */
export interface Asked {
  readonly key: string
  readonly topicId: string
  readonly index: number
  readonly offset: number
  readonly maxBytes: number
  readonly epoch: number
  /** High watermark that the replica knows. */
  readonly hw: number
  /** Where its log begins. */
  readonly logStart: number
  readonly replica: HostedReplica | undefined
  /** What it sends counts (KIP-73). */
  readonly isThrottled: boolean
  verdict: FetchVerdict
}

/** How long what is committed waits for records to be told with, in ms. */
const TELL_MS = 250

/**
 * What one connection of a replica asks for (KIP-227): a partition that is named is asked for until it is answered, and is looked
 * at only when it is named or there may be news of it. So a fetch costs as much as it tells, however many it stands for.
 */
export class ReplicaSession {
  readonly from: number
  /** Of the connection: another one for each. */
  readonly number: number
  /** As the replica names it; 0: it has none. */
  id = 0
  epoch = 0
  readonly #asked = new Map<string, Asked>()
  /** To be looked at. */
  readonly #dirty = new Set<string>()
  /** To be answered, whatever there is. */
  readonly #due = new Set<string>()
  /** Of which more is committed than the replica knows: since when. */
  readonly #committed = new Map<string, number>()
  #wake: (() => void) | null = null
  /** Since it was looked at last. */
  #isTouched = false

  constructor(from: number, number: number) {
    this.from = from
    this.number = number
  }

  get keys(): Iterable<string> {
    return this.#asked.keys()
  }

  get isEmpty(): boolean {
    return this.#asked.size === 0
  }

  ask(asked: Asked): void {
    this.end(asked.key)
    this.#asked.set(asked.key, asked)
    this.#dirty.add(asked.key)
  }

  /** It is answered, or not asked for any more. */
  end(key: string): void {
    this.#asked.delete(key)
    this.#dirty.delete(key)
    this.#due.delete(key)
    this.#committed.delete(key)
  }

  /** There may be news of this partition. */
  touch(key: string): void {
    if (!this.#asked.has(key)) return
    this.#dirty.add(key)
    this.#isTouched = true
    this.#wake?.()
  }

  /** Of this partition everything below can be read. */
  grown(key: string, end: number): void {
    if ((this.#asked.get(key)?.offset ?? end) < end) this.touch(key)
  }

  /** This partition is to be answered, whatever there is. */
  demand(key: string): void {
    if (!this.#asked.has(key)) return
    this.#due.add(key)
    this.touch(key)
  }

  /** More of this partition is committed: the replica is told with the next records, or in a while. */
  committed(key: string, now: number): void {
    if (this.#asked.has(key) && !this.#committed.has(key)) this.#committed.set(key, now)
  }

  isDue(key: string): boolean {
    return this.#due.has(key)
  }

  /** Whether there is any that may have news. */
  get isDirty(): boolean {
    return this.#dirty.size > 0
  }

  /** Those that may have news, those first that have waited longest: what is touched from now on is news again. */
  look(now: number): readonly Asked[] {
    this.#isTouched = false
    for (const [key, since] of this.#committed) {
      if (now - since < TELL_MS) break
      this.#committed.delete(key)
      this.#due.add(key)
      this.#dirty.add(key)
    }
    return [...this.#dirty].map(key => this.#asked.get(key)!)
  }

  /** It was looked at, and there is nothing. */
  settle(key: string): void {
    this.#dirty.delete(key)
  }

  /** Resolves when there is news that was not looked at, after so many ms, or when the connection ends. */
  news(ms: number, gone: AbortSignal): Promise<void> {
    return new Promise(resolve => {
      const finish = (): void => {
        clearTimeout(timer)
        gone.removeEventListener('abort', finish)
        this.#wake = null
        resolve()
      }
      const timer = setTimeout(finish, ms).unref()
      this.#wake = finish
      gone.addEventListener('abort', finish)
      if (gone.aborted || this.#isTouched) finish()
    })
  }
}
