import type { LogView } from '../../src/storage/commands.ts'
import { plainBatch } from '../lib/batches.ts'
import type { Outcome } from '../lib/store-driver.ts'
import type { Batch } from './log-content.ts'
import type { Process } from './process.ts'
import type { RealDisk } from './real-disk.ts'
import type { RealLog } from './real-log.ts'
import {
  type AppendDone,
  DUPLICATE,
  NOT_LEADER,
  OUT_OF_ORDER,
  ringOfReplication,
  STORAGE_ERROR,
  type Told,
  Turns,
  type Worker,
} from './worker.ts'
import { Violation } from './world.ts'

/** The longest that something takes until it is on a disk that is not slow, in ms. */
const SWIFT_MS = 2

/**
 * A PartitionStore as worker: it has its turn when what is asked of it comes, reaches its disk some time later, and is heard
 * when that is so.
 */
export class RealWorker implements Worker {
  readonly #process: Process
  readonly #disk: RealDisk
  readonly #turns: Turns<RealLog>

  constructor(process: Process, disk: RealDisk) {
    this.#process = process
    this.#disk = disk
    this.#turns = new Turns(process, disk.logs)
  }

  role(key: string, role: 'leader' | 'follower', epoch: number, done: Told): void {
    this.#disk.make(key)
    const hw = this.#process.replicas.get(key)!.hw
    this.#turns.run(key, log => {
      const { handle } = log.partition
      const items = [{ handle, epoch, highWatermark: Math.max(hw, log.savedHw) }]
      const { views } = this.#disk.driver.command(role === 'leader' ? 'lead' : 'follow', { items })
      log.moved(views[0]!)
      this.#tell(log, views[0]!, done)
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
    const records = sent.lastOffset - sent.baseOffset + 1
    const { pid: producerId, seq: sequence, value: id } = sent
    const bytes = plainBatch({ id, records, producerId, sequence })
    this.#turns.run(key, log => {
      const lastSeq = log.lastSeq(sent.pid)
      const { driver } = this.#disk
      driver.share(log.partition, bytes, epoch)
      const outcome = driver.run().at(-1)!
      log.readOn()
      const isNew = outcome.error === 0 && !outcome.duplicate
      const wasPlaced = driver.placed.splice(0).some(({ token }) => token === outcome.token)
      if (isNew !== wasPlaced) throw new Violation(`${key}: ${outcome.token} placed: ${wasPlaced}`)
      const error = errorOf(outcome, sent, lastSeq)
      if (error !== 0) return this.#settled(log, () => done(error, 0, null, false))
      const batch = log.at(outcome.baseOffset)
      // What it is a duplicate of is deleted.
      if (batch === null) return this.#settled(log, () => done(DUPLICATE, 0, null, true))
      if (batch.value !== sent.value || batch.baseOffset !== outcome.baseOffset) {
        throw new Violation(`${key} has ${batch.value} at ${outcome.baseOffset}, not ${sent.value}`)
      }
      if (isNew) {
        around.checks.appends(key, epoch, incarnation)
        placed(log.end)
      }
      this.#settled(log, () => done(0, log.flushed, batch, outcome.duplicate))
    })
  }

  replicate(
    key: string,
    epoch: number,
    batches: readonly Batch[],
    done: (end: number) => void,
    refused: Told,
  ): void {
    this.#turns.run(
      key,
      log => {
        const { driver } = this.#disk
        for (const { bytes } of batches) driver.replicate(log.partition, bytes!, epoch)
        const errors = new Set(driver.run().map(({ error }) => error))
        log.readOn()
        if (errors.has(NOT_LEADER)) return
        const isRefused = errors.delete(STORAGE_ERROR)
        errors.delete(0)
        for (const error of errors)
          throw new Violation(`${key} does not take its leader's: ${error}`)
        this.#settled(log, () => {
          done(log.flushed)
          const { start, flushed: end, savedHw: hw, epochs } = log
          if (isRefused) refused({ start, end, hw, hwEpoch: -1, epochs: [...epochs] })
        })
      },
      ringOfReplication(key),
    )
  }

  cut(key: string, epoch: number, offset: number, done: Told): void {
    this.#turns.run(key, log => {
      const items = [{ handle: log.partition.handle, epoch, offset }]
      this.#reopened('cut', log, offset, this.#disk.driver.command('truncate', { items }), done)
    })
  }

  beginAt(key: string, epoch: number, offset: number, done: Told): void {
    this.#turns.run(key, log => {
      const item = { handle: log.partition.handle, epoch, offset }
      this.#reopened('begin at', log, offset, this.#disk.driver.command('startAnew', item), done)
    })
  }

  trim(key: string, offset: number): void {
    this.#turns.run(key, log => {
      log.moved(this.#disk.driver.deleteRecords(log.partition.handle, offset))
      this.#settled(log, () => {})
    })
  }

  /** Segments of the store are compacted by another thread. */
  compact(): void {}

  stop(key: string): void {
    this.#disk.stop(key)
    this.#settleLater()
  }

  refill(key: string): void {
    this.#disk.begin(key)
    this.#settleLater()
  }

  saveHw(key: string, hw: number): void {
    this.#turns.run(key, log => {
      const { handle } = log.partition
      const offset = Math.max(log.savedHw, Math.min(hw, log.flushed))
      this.#disk.driver.command('highWatermarks', { items: [{ handle, offset }] })
      log.savedHw = offset
    })
  }

  idle(): void {
    if (!this.#process.around.world.random.chance(0.1)) return
    this.#disk.driver.tick()
    this.#settleLater()
  }

  #reopened(
    what: string,
    log: RealLog,
    offset: number,
    { views }: { readonly views: readonly LogView[] },
    done: Told,
  ): void {
    // It has another role by now.
    if (views.length === 0) return
    this.#process.around.world.note(what, this.#process.node.id, log.key, offset)
    log.take(views[0]!)
    this.#tell(log, views[0]!, done)
  }

  #tell(log: RealLog, view: LogView, done: Told): void {
    const facts = log.facts(view)
    this.#settled(log, () => done(facts))
  }

  /** When it is on the disk; where that is not asked for, at once. */
  #settled(log: RealLog, done: () => void): void {
    const { world } = this.#process.around
    const { end } = log
    const max = world.random.chance(0.95) ? SWIFT_MS : this.#process.node.flushMsMax
    const delay = this.#turns.isDurable(log.key) ? world.between(0.1, max) : 0
    this.#disk.settled(delay, () => {
      log.reported(end)
      done()
    })
  }

  #settleLater(): void {
    this.#disk.settled(this.#process.around.world.between(0.1, SWIFT_MS), () => {})
  }
}

/** Late words of a producer, older than what the store remembers of it, are no news of what is lacking. */
function errorOf({ error }: Outcome, { seq }: Batch, lastSeq: number): number {
  return error === OUT_OF_ORDER && seq <= lastSeq ? DUPLICATE : error
}
