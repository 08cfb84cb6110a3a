import type { LogFacts } from '../../src/replication/log-facts.ts'
import { fromEntry } from '../../src/replication/partition-state.ts'
import { type Batch, SimLog } from './disk.ts'
import type { Process } from './process.ts'

const NOT_LEADER = 6
const STORAGE_ERROR = 56
export const OUT_OF_ORDER = 45
/** Of what is deleted since: it was there. */
export const DUPLICATE = 46

/** The partition workers: commands and appends of one partition in their order, each some time on its way to the disk. */
export class SimWorker {
  readonly #process: Process
  readonly #busyUntil = new Map<string, number>()

  constructor(process: Process) {
    this.#process = process
  }

  role(
    key: string,
    role: 'leader' | 'follower',
    epoch: number,
    done: (facts: LogFacts) => void,
  ): void {
    const { node, around } = this.#process
    if (!node.logs.has(key)) node.logs.set(key, new SimLog(key))
    this.#run(key, log => {
      if (epoch < log.roleEpoch) return
      log.role = role
      log.roleEpoch = epoch
      log.settle()
      if (role === 'leader' && !around.settings.bugs.epochNotNoted) log.note(epoch, log.end)
      done(log.facts(this.#isDurable(key)))
    })
  }

  append(
    key: string,
    epoch: number,
    sent: Batch,
    placed: (end: number) => void,
    done: (error: number, end: number, batch: Batch | null, isDuplicate: boolean) => void,
  ): void {
    const { around, incarnation } = this.#process
    this.#run(key, log => {
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
    refused: (facts: LogFacts) => void,
  ): void {
    const { node, around } = this.#process
    const { bugs } = around.settings
    this.#run(
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
          if (count < batches.length) refused(log.facts(this.#isDurable(key)))
        })
      },
      `${key} of replication`,
    )
  }

  cut(key: string, epoch: number, offset: number, done: (facts: LogFacts) => void): void {
    this.#run(key, log => {
      if (log.role !== 'follower' || log.roleEpoch !== epoch) return
      this.#process.around.world.note('cut', this.#process.node.id, key, offset)
      log.settle()
      log.cut(offset, this.#process.around.settings.bugs)
      done(log.facts(this.#isDurable(key)))
    })
  }

  beginAt(key: string, epoch: number, offset: number, done: (facts: LogFacts) => void): void {
    this.#run(key, log => {
      if (log.role !== 'follower' || log.roleEpoch !== epoch) return
      this.#process.around.world.note('begin at', this.#process.node.id, key, offset)
      log.beginAt(offset)
      done(log.facts(this.#isDurable(key)))
    })
  }

  trim(key: string, offset: number): void {
    this.#run(key, log => log.trim(offset))
  }

  stop(key: string): void {
    const { node } = this.#process
    const log = node.logs.get(key)
    if (log !== undefined) {
      log.role = null
      node.logs.delete(key)
    }
  }

  #isDurable(key: string): boolean {
    const entry = this.#process.image.entry(key)
    return entry === null || fromEntry(entry).durable
  }

  #reported(log: SimLog): number {
    return this.#isDurable(log.key) ? log.flushed : log.end
  }

  /** In the order of its ring, after what is under way; there is no order between the main thread's ring and that of replication. */
  #run(key: string, run: (log: SimLog) => void, ring = key): void {
    const process = this.#process
    const { world } = process.around
    const log = process.node.logs.get(key)
    if (log === undefined) return
    const delay = ring !== key && world.random.chance(0.02) ? 100 : 0.5
    const at = Math.max(this.#busyUntil.get(ring) ?? 0, world.now + world.between(0.05, delay))
    this.#busyUntil.set(ring, at)
    world.after(at - world.now, () => {
      process.deliver(() => {
        if (process.node.logs.get(key) === log) run(log)
      })
    })
  }

  #flushed(log: SimLog, end: number, done: () => void): void {
    const process = this.#process
    const { world } = process.around
    const isDurable = this.#isDurable(log.key)
    const max = world.random.chance(0.95) ? 2 : process.node.flushMsMax
    // What need not be flushed is, when the system comes to it.
    const delay = isDurable ? world.between(0.1, max) : world.between(200, 3_000)
    const at = Math.max((isDurable && this.#busyUntil.get(log.key)) || 0, world.now + delay)
    if (isDurable) this.#busyUntil.set(log.key, at)
    else {
      log.written = log.end
      done()
    }
    world.after(at - world.now, () =>
      process.deliver(() => {
        log.flushed = Math.max(log.flushed, Math.min(end, log.end))
        log.written = Math.max(log.written, log.flushed)
        if (isDurable) done()
      }),
    )
  }
}
