import { setTimeout as delay, setImmediate } from 'node:timers/promises'
import type { Stop } from '../base/stop.ts'

/** Timers are late by up to a millisecond or two: the rest is waited for by looking at the clock. */
const TIMER_MS = 2
/** Whoever waits looks this often whether it is over. */
const LOOK_MS = 100

export interface Amount {
  readonly records?: number
  readonly seconds?: number
}

export interface Turn {
  readonly records: number
  /** By performance.now(): latency counts from here. */
  readonly dueMs: number
}

/**
 * Which batch is next, and when. With a rate every batch has a time at which it is due, whether there is room for it or
 * not: one that has to wait for the answers of others counts as late, as its records would be.
 */
export class Turns {
  readonly #amount: Amount
  readonly #batch: number
  readonly #rate: number | undefined
  readonly #stop: Stop
  readonly #startMs = performance.now()
  #taken = 0

  constructor(amount: Amount, batch: number, rate: number | undefined, stop: Stop) {
    this.#amount = amount
    this.#batch = batch
    this.#rate = rate
    this.#stop = stop
  }

  /** Resolves when it is time; null if it is over. */
  async next(): Promise<Turn | null> {
    const { records: all = Number.POSITIVE_INFINITY } = this.#amount
    const records = Math.min(this.#batch, all - this.#taken)
    const dueMs =
      this.#rate === undefined
        ? performance.now()
        : this.#startMs + (this.#taken * 1000) / this.#rate
    if (records <= 0 || this.#stop.isSet || dueMs >= this.#endMs) return null
    this.#taken += records
    await this.#until(dueMs)
    return this.#stop.isSet || performance.now() >= this.#endMs ? null : { records, dueMs }
  }

  get #endMs(): number {
    return this.#startMs + (this.#amount.seconds ?? Number.POSITIVE_INFINITY) * 1000
  }

  async #until(dueMs: number): Promise<void> {
    for (;;) {
      const aheadMs = dueMs - performance.now()
      if (aheadMs <= 0 || this.#stop.isSet) return
      if (aheadMs > TIMER_MS) await delay(Math.min(aheadMs - TIMER_MS, LOOK_MS))
      else await setImmediate()
    }
  }
}

/** Runs all to their ends; the first failure stops the others, and is thrown when they have stopped. */
export async function sideBySide(lanes: readonly Promise<void>[], stop: Stop): Promise<void> {
  const ends = await Promise.allSettled(
    lanes.map(lane =>
      lane.catch(error => {
        stop.set()
        throw error
      }),
    ),
  )
  const failed = ends.find(end => end.status === 'rejected')
  if (failed !== undefined) throw failed.reason
}
