import { setTimeout as sleep } from 'node:timers/promises'
import type { Random } from '../../lib/random.ts'
import type { Workers } from '../clients/workers.ts'
import type { Completed } from '../history.ts'
import { Process, type Shared } from './process.ts'

/** How often an operation is replaced by a choice of keys, and how often that takes all that nobody has read. */
const CHOICE = 1 / 64
const UNSEEN = 1 / 3
/** A client is crashed after so long, more or less. */
const CRASH_MS = 30_000
const POLL = 0.5
/** The final reader begins anew after so long without anything new, and gives up after so long in all. */
const READ_MS = 10_000
const READS_MS_MAX = 240_000

export type Mode = 'assign' | 'subscribe' | 'both'

export interface ThreadSettings {
  readonly workers: Workers
  readonly bootstrap: string
  readonly mode: Mode
  /** Between operations, on average. */
  readonly restMs: number
}

/** One process after the other, each with a client of its own. */
export class Thread {
  readonly #shared: Shared
  readonly #random: Random
  readonly #settings: ThreadSettings
  /** Keys of its operations since it last chose keys. */
  readonly #touched = new Set<number>()
  #process: Process | null = null
  #crashAt = 0

  constructor(shared: Shared, random: Random, settings: ThreadSettings) {
    this.#shared = shared
    this.#random = random
    this.#settings = settings
  }

  async run(isOver: AbortSignal): Promise<void> {
    while (!isOver.aborted) {
      if (this.#process === null) await this.#begin()
      else await this.#next(this.#process)
      const ms = -Math.log(1 - this.#random.next()) * this.#settings.restMs
      await sleep(ms, undefined, { signal: isOver }).catch(() => undefined)
    }
    this.#process?.crash()
  }

  async #begin(): Promise<void> {
    const { workers, bootstrap, mode } = this.#settings
    const choice = mode === 'both' ? this.#random.pick(['assign', 'subscribe'] as const) : mode
    this.#crashAt = performance.now() + 2 * CRASH_MS * this.#random.next()
    this.#process = await Process.open(this.#shared, workers, bootstrap, choice)
    this.#settle(await this.#choose(this.#process))
  }

  /** A process of whose operation nothing is known is over. */
  #settle(type: Completed): void {
    if (type !== 'info') return
    this.#process?.close()
    this.#process = null
  }

  async #next(process: Process): Promise<void> {
    const { keys } = this.#shared
    if (performance.now() > this.#crashAt) {
      this.#process = null
      return process.crash()
    }
    if (this.#random.chance(CHOICE)) return this.#settle(await this.#choose(process))
    if (this.#random.chance(POLL)) {
      this.#touched.add(keys.draw())
      return this.#settle(await process.poll())
    }
    const { key, value } = keys.drawWrite()
    this.#touched.add(key)
    return this.#settle(await process.send(key, value))
  }

  #choose(process: Process): Promise<Completed> {
    if (this.#touched.size === 0) this.#touched.add(this.#shared.keys.draw())
    const unseen = this.#random.chance(UNSEEN) ? this.#shared.keys.unseen() : []
    const chosen = new Set([...this.#touched, ...unseen])
    this.#touched.clear()
    return process.choose([...chosen])
  }

  /** When all is healed: reads everything that is known to be there. @returns whether it was */
  async readAll(ends: ReadonlyMap<number, number>): Promise<boolean> {
    const { workers, bootstrap } = this.#settings
    const until = performance.now() + READS_MS_MAX
    while (performance.now() < until) {
      const left = new Map(ends)
      const process = await Process.open(this.#shared, workers, bootstrap, 'assign')
      let type = await process.choose([...ends.keys()], true)
      let newAt = performance.now()
      while (type !== 'info' && left.size > 0 && performance.now() < newAt + READ_MS) {
        type = await process.poll((key, offset) => {
          newAt = performance.now()
          if (offset >= (left.get(key) ?? Number.POSITIVE_INFINITY)) left.delete(key)
        })
      }
      process.crash()
      if (left.size === 0) return true
    }
    return false
  }
}
