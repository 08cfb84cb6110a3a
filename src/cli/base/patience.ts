import { setTimeout as delay } from 'node:timers/promises'
import type { Cluster } from './cluster.ts'
import { CliError, EXIT, isPassing } from './failure.ts'
import { note } from './progress.ts'
import { duration } from './time.ts'

/** Between two tries: as long as the first, then twice as long each time, up to the last. */
const PAUSE_MS_FIRST = 100
const PAUSE_MS_MAX = 1_000

/**
 * Outlasts what is over in a while, as every Kafka client does: a broker that restarts, a leader that moves. One person is
 * told once that it waits, and once that it goes on.
 */
export class Patience {
  readonly #cluster: Cluster
  readonly #waitMs: number
  #since: number | null = null
  #pauseMs = PAUSE_MS_FIRST
  #isOver = false

  constructor(cluster: Cluster, waitMs: number) {
    this.#cluster = cluster
    this.#waitMs = waitMs
  }

  /** Tries again, on new connections, until it is done. @throws what failed, when the time is over or waiting does not help */
  async through<T>(attempt: () => Promise<T>): Promise<T> {
    for (let isFirst = true; ; isFirst = false) {
      try {
        if (!isFirst) await this.#cluster.renew()
        return await attempt()
      } catch (error) {
        await this.#rest(error)
      }
    }
  }

  /** Something is done again: the next failure has the whole time. */
  goesOn(): void {
    if (this.#since === null) return
    note(`goes on after ${duration(performance.now() - this.#since)}`)
    this.#since = null
    this.#pauseMs = PAUSE_MS_FIRST
  }

  /** Nobody waits any more: what fails from now on has failed. */
  end(): void {
    this.#isOver = true
  }

  async #rest(error: unknown): Promise<void> {
    if (!isPassing(error) || this.#isOver) throw error
    const now = performance.now()
    if (this.#since === null) {
      this.#since = now
      note(`${error.message}: trying again for up to ${duration(this.#waitMs)}`)
    }
    if (now - this.#since + this.#pauseMs > this.#waitMs) {
      const exitCode = error instanceof CliError ? error.exitCode : EXIT.failed
      const tried = `tried for ${duration(now - this.#since)}`
      throw new CliError(`${error.message} (${tried})`, exitCode, { cause: error })
    }
    await delay(this.#pauseMs)
    this.#pauseMs = Math.min(PAUSE_MS_MAX, this.#pauseMs * 2)
  }
}
