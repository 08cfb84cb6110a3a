import type { MessagePort } from 'node:worker_threads'
import type { CleanedSegment } from '../storage/compaction/compactor.ts'
import type { CompactionJob, FromMain, FromTask } from './compaction-task.ts'
import type { Partition } from './partition.ts'
import type { Registry } from './registry.ts'

/** The main thread's side of one compaction's swaps. */
export class Swapping {
  readonly #partition: Partition
  /** What the thread is still to read. */
  #planned: CompactionJob['plan']['segments']
  readonly #registry: Registry
  readonly #line: MessagePort
  /** Why the thread was told to stop, if something has gone wrong here; else null. */
  problem: unknown = null
  /** Between leave to swap and the word that it is done, the files may be either way. */
  #underWay: { readonly cleaned: CleanedSegment; readonly done: () => void } | null = null

  constructor(
    partition: Partition,
    planned: CompactionJob['plan']['segments'],
    registry: Registry,
    line: MessagePort,
  ) {
    this.#partition = partition
    this.#planned = planned
    this.#registry = registry
    this.#line = line
  }

  /** Retention or DeleteRecords has taken away what was to be compacted. */
  get isOutdated(): boolean {
    return !this.#partition.reader.has(this.#planned)
  }

  take(message: FromTask): void {
    const taken = message === 'swapped' ? this.#swapped() : this.#ready(message)
    taken.catch(error => this.#refuse(error))
  }

  #refuse(error: unknown): void {
    this.problem = error
    this.#say('stop')
  }

  #say(message: FromMain): void {
    this.#line.postMessage(message)
  }

  /** A segment is ready: once nobody else changes the log, and readers hold what they need, it may be swapped in. */
  async #ready(cleaned: CleanedSegment): Promise<void> {
    const { handle, reader } = this.#partition
    return this.#registry.replicas.exclusive.run([handle], async () => {
      const replaced = this.#planned.filter(({ base }) => cleaned.replaces.includes(base))
      if (this.#partition.isDeleted || !reader.has(replaced)) return this.#say('stop')
      await reader.hold(cleaned.replaces)
      await new Promise<void>(done => {
        this.#underWay = { cleaned, done }
        this.#say('go')
      })
    })
  }

  async #swapped(): Promise<void> {
    if (this.#underWay === null) return
    const { cleaned, done } = this.#underWay
    const { handle, worker } = this.#partition
    try {
      await worker.command('swapped', { handle, cleaned })
      this.#planned = this.#planned.filter(({ base }) => !cleaned.replaces.includes(base))
      this.#underWay = null
      this.#say('go')
    } catch (error) {
      await this.failed(error).catch(() => this.#say('stop'))
    }
    done()
  }

  /** The thread has ended: nobody waits any more for a swap that it was told to leave. */
  ended(): void {
    this.#underWay?.done()
    this.#underWay = null
  }

  /** The thread has failed. If it was amid a swap, what the files are is known only after the next start. */
  async failed(error: unknown): Promise<never> {
    if (this.#underWay !== null) {
      const { done } = this.#underWay
      const { handle, worker } = this.#partition
      const reason = `compaction: ${error instanceof Error ? error.message : String(error)}`
      this.#underWay = null
      done()
      if (!worker.isLost) await worker.command('giveUp', { handle, reason })
    }
    throw error
  }
}
