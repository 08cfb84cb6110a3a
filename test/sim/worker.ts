import type { LogFacts } from '../../src/replication/log-facts.ts'
import { SimLog } from './disk.ts'
import type { Batch, LogContent } from './log-content.ts'
import type { Process } from './process.ts'

export const NOT_LEADER = 6
export const STORAGE_ERROR = 56
export const OUT_OF_ORDER = 45
/** Of what is deleted since: it was there. */
export const DUPLICATE = 46

/** @param batch as it is in the log; null: it is not, or not any more */
export type AppendDone = (
  error: number,
  end: number,
  batch: Batch | null,
  isDuplicate: boolean,
) => void

/** The log as it is then. */
export type Told = (facts: LogFacts) => void

/** The partition workers of one process: what is asked of a partition is done in its order, and told when it is on the disk. */
export interface Worker {
  role(key: string, role: 'leader' | 'follower', epoch: number, done: Told): void
  append(
    key: string,
    epoch: number,
    sent: Batch,
    placed: (end: number) => void,
    done: AppendDone,
  ): void
  replicate(
    key: string,
    epoch: number,
    batches: readonly Batch[],
    done: (end: number) => void,
    refused: Told,
  ): void
  cut(key: string, epoch: number, offset: number, done: Told): void
  beginAt(key: string, epoch: number, offset: number, done: Told): void
  trim(key: string, offset: number): void
  /** Drops what is not the last of its key below. */
  compact(key: string, offset: number): void
  stop(key: string): void
  /** The log is put aside, and a new one begun. */
  refill(key: string): void
  /** All below is committed: kept for the next start. */
  saveHw(key: string, hw: number): void
  /** There was nothing to do for a while. */
  idle(): void
}

/** When what is asked of workers comes to its turn. */
export class Turns<L extends LogContent> {
  readonly #process: Process
  readonly #logs: ReadonlyMap<string, L>
  readonly busyUntil = new Map<string, number>()

  constructor(process: Process, logs: ReadonlyMap<string, L>) {
    this.#process = process
    this.#logs = logs
  }

  /** In the order of its ring, after what is under way; there is no order between the main thread's ring and that of replication. */
  run(key: string, run: (log: L) => void, ring = key): void {
    const process = this.#process
    const { world } = process.around
    const log = this.#logs.get(key)
    if (log === undefined) return
    const delay = ring !== key && world.random.chance(0.02) ? 100 : 0.5
    const at = Math.max(this.busyUntil.get(ring) ?? 0, world.now + world.between(0.05, delay))
    this.busyUntil.set(ring, at)
    world.after(at - world.now, () => {
      process.deliver(() => {
        if (this.#logs.get(key) === log) run(log)
      })
    })
  }

  isDurable(key: string): boolean {
    return this.#process.image.partitionAt(key)?.durable ?? true
  }
}

export const ringOfReplication = (key: string): string => `${key} of replication`

/** The modelled workers: commands and appends of one partition in their order, each some time on its way to the disk. */
export class SimWorker implements Worker {
  readonly #process: Process
  readonly #logs: Map<string, SimLog>
  readonly #turns: Turns<SimLog>

  constructor(process: Process, logs: Map<string, SimLog>) {
    this.#process = process
    this.#logs = logs
    this.#turns = new Turns(process, logs)
  }

  role(key: string, role: 'leader' | 'follower', epoch: number, done: Told): void {
    if (!this.#logs.has(key)) this.refill(key)
    this.#turns.run(key, log => {
      if (epoch < log.roleEpoch) return
      log.role = role
      log.roleEpoch = epoch
      log.settle()
      if (role === 'leader' && !this.#process.around.settings.bugs.epochNotNoted)
        log.note(epoch, log.end)
      done(log.facts(this.#turns.isDurable(key)))
    })
  }

  append(
    key: string,
    epoch: number,
    sent: Batch,
    placed: (end: number) => void,
    done: AppendDone,
  ): void {
    const { around, incarnation } = this.#process
    this.#turns.run(key, log => {
      const isMine = log.role === 'leader' && log.roleEpoch === epoch
      if (!isMine && !around.settings.bugs.workerIgnoresEpoch)
        return done(NOT_LEADER, 0, null, false)
      if (this.#process.node.isFull) return done(STORAGE_ERROR, 0, null, false)
      const last = log.lastSeq(sent.pid)
      if (sent.seq <= last) {
        const original = log.original(sent.pid, sent.seq)
        if (original === null) return done(DUPLICATE, 0, null, true)
        return done(0, this.#reported(log), original, true)
      }
      // Nothing is known of it, for what it sent is deleted: it is taken, as Kafka does.
      const isUnknown = last === -1 && log.start > 0
      if (sent.seq > last + 1 && !isUnknown) return done(OUT_OF_ORDER, 0, null, false)
      around.checks.appends(key, log.roleEpoch, incarnation)
      const count = sent.lastOffset - sent.baseOffset
      const baseOffset = log.end
      const batch = { ...sent, baseOffset, lastOffset: baseOffset + count, epoch: log.roleEpoch }
      log.push(batch)
      placed(log.end)
      this.#flushed(log, batch.lastOffset + 1, () => done(0, this.#reported(log), batch, false))
    })
  }

  replicate(
    key: string,
    epoch: number,
    batches: readonly Batch[],
    done: (end: number) => void,
    refused: Told,
  ): void {
    const { node, around } = this.#process
    const { bugs } = around.settings
    this.#turns.run(
      key,
      log => {
        const isMine = log.role === 'follower' && log.roleEpoch === epoch
        if (!isMine && !bugs.workerIgnoresEpoch) return
        // With a planted bug, entries of another role may not fit: they would be damage.
        const count = node.isFull ? around.world.random.below(batches.length) : batches.length
        for (const batch of batches.slice(0, count)) {
          if (isMine || batch.baseOffset === log.end) log.push(batch)
        }
        this.#flushed(log, log.end, () => {
          done(this.#reported(log))
          if (count < batches.length) refused(log.facts(this.#turns.isDurable(key)))
        })
      },
      ringOfReplication(key),
    )
  }

  cut(key: string, epoch: number, offset: number, done: Told): void {
    this.#turns.run(key, log => {
      if (log.role !== 'follower' || log.roleEpoch !== epoch) return
      this.#process.around.world.note('cut', this.#process.node.id, key, offset)
      log.settle()
      log.cut(offset, this.#process.around.settings.bugs)
      done(log.facts(this.#turns.isDurable(key)))
    })
  }

  beginAt(key: string, epoch: number, offset: number, done: Told): void {
    this.#turns.run(key, log => {
      if (log.role !== 'follower' || log.roleEpoch !== epoch) return
      this.#process.around.world.note('begin at', this.#process.node.id, key, offset)
      log.beginAt(offset)
      done(log.facts(this.#turns.isDurable(key)))
    })
  }

  trim(key: string, offset: number): void {
    this.#turns.run(key, log => log.trim(offset))
  }

  compact(key: string, offset: number): void {
    this.#turns.run(key, log => {
      const isBound = !this.#process.around.settings.bugs.compactsAboveHw
      log.compact(isBound ? Math.min(offset, log.flushed) : log.end)
    })
  }

  stop(key: string): void {
    const log = this.#logs.get(key)
    if (log !== undefined) log.role = null
    this.#logs.delete(key)
  }

  refill(key: string): void {
    this.#logs.set(key, new SimLog(key, this.#process.around.settings.compacts))
  }

  saveHw(key: string, hw: number): void {
    const log = this.#logs.get(key)
    if (log !== undefined) log.savedHw = Math.max(log.savedHw, Math.min(hw, log.flushed))
  }

  idle(): void {}

  #reported(log: SimLog): number {
    return this.#turns.isDurable(log.key) ? log.flushed : log.end
  }

  #flushed(log: SimLog, end: number, done: () => void): void {
    const process = this.#process
    const { world } = process.around
    const { busyUntil } = this.#turns
    const isDurable = this.#turns.isDurable(log.key)
    const max = world.random.chance(0.95) ? 2 : process.node.flushMsMax
    // What need not be flushed is, when the system comes to it.
    const delay = isDurable ? world.between(0.1, max) : world.between(200, 3_000)
    const at = Math.max((isDurable && busyUntil.get(log.key)) || 0, world.now + delay)
    if (isDurable) busyUntil.set(log.key, at)
    else {
      log.written = log.end
      done()
    }
    world.after(at - world.now, () =>
      process.deliver(() => {
        log.reported(end)
        if (isDurable) done()
      }),
    )
  }
}
