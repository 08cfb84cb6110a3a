import { MessageChannel, type MessagePort } from 'node:worker_threads'
import { type BrokerConfigView, brokerValue } from '../configs/values.ts'
import type { CompactionResult } from '../storage/compaction/compactor.ts'
import { DISK_RESERVE_BYTES, freeBytes } from '../storage/free-space.ts'
import type { CompactionJob, FromMain, FromTask } from './compaction-task.ts'
import { CONTENT_BYTES_MAX } from './log-config.ts'
import type { Partition } from './partition.ts'
import type { Registry } from './registry.ts'
import type { Candidate } from './rounds.ts'
import { Swapping } from './swapping.ts'
import { TaskPool } from './task-pool.ts'

/** A log that could not be compacted, or only up to an open transaction, is left alone for so long, in ms. */
const REST_MS = 600_000
/** Compactions at once, whatever log.cleaner.threads says. */
const THREADS_MAX = 16
/** How much longer than its flushes a compaction rests, so that those of appends find the disk free. */
const FLUSH_REST = 100
/** With so many new bytes it has fallen behind, and rests less. */
const BEHIND_BYTES = 4 * 1024 ** 3
const BEHIND_FLUSH_REST = 2
/** What a compaction under way is given to stop, in ms. */
const CLOSE_MS = 2_000

export interface CleanerSettings {
  /** Compactions at once; 0 for none. */
  readonly threads: number
  /** Between two looks for something to do, in ms. */
  readonly backoffMs: number
  /** For the offsets of keys, of all compactions together. */
  readonly keyBytesMax: number
  /** Read and written together by all, in bytes a second. */
  readonly bytesPerSecond: number
}

export function cleanerSettings(view: BrokerConfigView): CleanerSettings {
  return {
    threads: brokerValue('log.cleaner.threads', view),
    backoffMs: Number(brokerValue('log.cleaner.backoff.ms', view)),
    keyBytesMax: Number(brokerValue('log.cleaner.dedupe.buffer.size', view)),
    bytesPerSecond: brokerValue('log.cleaner.io.max.bytes.per.second', view),
  }
}

export interface CleanerOptions {
  readonly registry: Registry
  /** As they are now. */
  readonly settings: () => CleanerSettings
  readonly log: {
    info(fields: object, message: string): void
    error(fields: object, message: string): void
  }
}

/**
 * Has logs compacted in threads of their own, the dirtiest first (LogCleanerManager.java). The thread reads and writes files
 * and swaps them; around each swap the readers and the partition's worker are told, and nothing else may change the log's
 * closed segments.
 */
export class Cleaner {
  readonly #o: CleanerOptions
  /** Made with the first compaction. */
  #tasks: TaskPool | null = null
  /** Folders of the logs that are being compacted: a topic of the same name made again waits for the old one. */
  readonly #busy = new Set<string>()
  readonly #lines = new Set<MessagePort>()
  /** Those that are left alone, and until when in ms since 1970. */
  readonly #resting = new Map<Partition, number>()
  #timer: NodeJS.Timeout | null = null
  #round: Promise<unknown> = Promise.resolve()
  #isClosed = false

  constructor(options: CleanerOptions) {
    this.#o = options
  }

  start(): void {
    this.#timer = setTimeout(() => {
      this.#round = this.clean()
        .catch(err => this.#o.log.error({ err }, 'bug: looking for logs to compact failed'))
        .then(() => {
          if (!this.#isClosed) this.start()
        })
    }, this.#o.settings().backoffMs)
    this.#timer.unref()
  }

  /** Compacts everything that is due, and what becomes due meanwhile. */
  async clean(): Promise<void> {
    const settings = this.#o.settings()
    const threads = Math.min(settings.threads, THREADS_MAX)
    const share: Share = {
      keyBytesMax: Math.floor(settings.keyBytesMax / threads),
      bytesPerSecond: settings.bytesPerSecond / threads,
    }
    const lanes = Array.from({ length: threads }, async () => {
      for (let next = await this.#next(); next !== null; next = await this.#next()) {
        await this.#compact(next, share)
      }
    })
    await Promise.all(lanes)
  }

  async close(): Promise<void> {
    this.#isClosed = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    for (const line of this.#lines) line.postMessage('stop' satisfies FromMain)
    await this.#tasks?.close()
    await this.#round
  }

  async #next(): Promise<Candidate | null> {
    if (this.#isClosed) return null
    const found = await this.#o.registry.rounds.cleanable((partition, err) =>
      this.#leave(partition, err),
    )
    if (this.#isClosed) return null
    for (const partition of this.#resting.keys()) {
      if (partition.isDeleted) this.#resting.delete(partition)
    }
    let best: Candidate | null = null
    for (const one of found) {
      if (this.#mayRun(one.partition) && this.#isBetter(one, best)) best = one
    }
    if (best !== null) this.#busy.add(best.partition.reader.dir)
    return best
  }

  /** What nobody expected about a log: it is left alone for a while. */
  #leave(partition: Partition, err: unknown): void {
    if (!this.#mayRun(partition)) return
    this.#rest(partition)
    this.#o.log.error({ err, partition: partition.name }, 'bug: this log is not compacted')
  }

  #mayRun(partition: Partition): boolean {
    if ((this.#resting.get(partition) ?? 0) > performance.now()) return false
    return !this.#busy.has(partition.reader.dir)
  }

  #isBetter(one: Candidate, best: Candidate | null): boolean {
    try {
      return isDue(one) && dirt(one) > dirt(best)
    } catch (error) {
      this.#leave(one.partition, error)
      return false
    }
  }

  async #compact(candidate: Candidate, share: Share): Promise<void> {
    const { partition } = candidate
    const { log } = this.#o
    const started = performance.now()
    try {
      const result = await this.#run(candidate, share)
      if (result === null) return
      // Without this it would be the dirtiest log again, at once.
      if (result.endOffset <= candidate.firstDirtyOffset) this.#rest(partition)
      const ms = Math.round(performance.now() - started)
      log.info({ partition: partition.name, ...result, ms }, 'compacted')
    } catch (err) {
      if (this.#isClosed || partition.isDeleted) return
      this.#rest(partition)
      const message = `compaction failed, the log stays as it is for ${REST_MS / 60_000} minutes`
      log.error({ err, partition: partition.name }, message)
    } finally {
      this.#busy.delete(partition.reader.dir)
    }
  }

  #rest(partition: Partition): void {
    this.#resting.set(partition, performance.now() + REST_MS)
  }

  async #run(
    candidate: Candidate,
    { keyBytesMax, bytesPerSecond }: Share,
  ): Promise<CompactionResult | null> {
    const { partition } = candidate
    const { handle, worker } = partition
    await checkRoom(partition)
    await worker.command('settle', { handle })
    const plan = { ...planOf(candidate), keyBytesMax }
    const { port1: line, port2: port } = new MessageChannel()
    this.#lines.add(line)
    const swapping = new Swapping(partition, plan.segments, this.#o.registry, line)
    line.on('message', (message: FromTask) => swapping.take(message))
    try {
      const isBehind = candidate.dirtyBytes > BEHIND_BYTES
      const flushRest = isBehind ? BEHIND_FLUSH_REST : FLUSH_REST
      this.#tasks ??= new TaskPool({
        threadsMax: THREADS_MAX,
        jobMsMax: Number.POSITIVE_INFINITY,
        closeMs: CLOSE_MS,
      })
      const result = await this.#tasks
        .run('compact', { plan, bytesPerSecond, flushRest, port }, [port])
        .catch(error => (swapping.isOutdated ? null : swapping.failed(error)))
      if (swapping.problem !== null) throw swapping.problem
      if (result !== null) {
        await worker.command('compacted', { handle, cleanedOffset: result.endOffset })
      }
      return result
    } finally {
      swapping.ended()
      this.#lines.delete(line)
      line.close()
    }
  }
}

/** What one of several compactions may take. */
interface Share {
  readonly keyBytesMax: number
  readonly bytesPerSecond: number
}

function planOf(candidate: Candidate): Omit<CompactionJob['plan'], 'keyBytesMax'> {
  const { partition, firstDirtyOffset, firstUncleanableOffset } = candidate
  const { config, reader, name } = partition
  return {
    ...{ dir: reader.dir, name, firstDirtyOffset, firstUncleanableOffset, now: Date.now() },
    segments: reader.segments
      .filter(({ base }) => base < firstUncleanableOffset)
      .map(({ base, size, version, abortedBytes }) => ({ base, size, version, abortedBytes })),
    deleteRetentionMs: Number(config.deleteRetentionMs),
    segmentBytes: config.segmentBytes,
    contentBytesMax: CONTENT_BYTES_MAX,
  }
}

/** What is written anew must find room before what it stands for goes. */
async function checkRoom({ reader, config }: Partition): Promise<void> {
  const needed = DISK_RESERVE_BYTES + config.segmentBytes
  const free = freeBytes(reader.dir)
  if (free >= needed) return
  throw new Error(`the disk of ${reader.dir} has ${free} bytes left, compaction needs ${needed}`)
}

const dirt = (one: Candidate | null): number =>
  one === null ? -1 : one.dirtyBytes / (one.cleanBytes + one.dirtyBytes)

const isDue = (one: Candidate): boolean =>
  one.isOverdue || dirt(one) > one.partition.config.minCleanableDirtyRatio
