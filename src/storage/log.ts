import { join } from 'node:path'
import { ErrorCode } from '../protocol/error-codes.ts'
import * as batch from '../protocol/record-batch.ts'
import { noteAborted } from './aborted-checkpoint.ts'
import { RELATIVE_OFFSET_MAX } from './batch-scanner.ts'
import type { CompactionConfig } from './compaction/cleanable.ts'
import type { CleanedSegment } from './compaction/compactor.ts'
import { type FileSystem, replaceFile } from './fs.ts'
import type { LeaderEpochs } from './leader-epochs.ts'
import { noteEnded } from './learning.ts'
import { encodeProducers } from './producer-snapshot.ts'
import type { ProducerState } from './producer-state.ts'
import { fileName, Segment } from './segment.ts'

/** What a log obeys of its topic's configs; times in ms, -1 means no limit. */
export interface LogConfig {
  readonly segmentBytes: number
  readonly segmentMs: number
  readonly retentionMs: number
  readonly retentionBytes: number
  /** Whether cleanup.policy has `delete`: only then does retention remove anything. */
  readonly deletes: boolean
  /** 1: every record is flushed before it is acknowledged. More: the system decides, or every so many records. */
  readonly flushMessages: number
  readonly flushMs: number
  readonly logAppendTime: boolean
  /** If cleanup.policy has `compact`. */
  readonly compaction: CompactionConfig | null
  readonly producerIdExpirationMs: number
  /** Whether its leader's log may lack offsets: the topic is compacted, or was once. */
  readonly hasGaps: boolean
}

/** Whether the log's broker leads its partition, and since which leader epoch it has done what it does. */
export interface Role {
  readonly leads: boolean
  readonly epoch: number
}

/** What readers of what is committed need to know of a log. */
export interface Stability {
  /** Where the first transaction begins that is open at the log's end; Infinity: none is. */
  readonly undecided: number
  /** Bytes of the index of aborted transactions of a segment. */
  readonly segmentBase: number
  readonly abortedBytes: number
}

const NOTHING: readonly Stability[] = []

/** After a kill at most about this much of a flushed log is walked again to rebuild its indexes and producers. */
const SCAN_BYTES_MAX = 64 * 1024 * 1024
/** The same after a clean stop: with less than this to walk, the stop does not wait for the flushes it would take. */
const CLOSE_SCAN_BYTES_MAX = 256 * 1024
/** Old producer snapshots are kept for as many closed segments. */
const SNAPSHOTS_KEPT = 2

/** Where an accepted batch went, or why it was not accepted. */
export interface Appended {
  errorCode: number
  /** The batch was there already: its offsets are the old ones and nothing is written. */
  duplicate: boolean
  baseOffset: number
  segmentBase: number
  position: number
  /** ms; -1 unless the topic is LogAppendTime or the batch is a duplicate. */
  appendTime: number
}

/**
 * One partition's log: its segments, producers and epochs. Owned by one thread. `append` judges a batch and gives it its
 * offsets; `write` and `flush` are the segment's. A failed file call takes the log offline for good (`fail`): nothing is
 * retried on a file whose state is unknown.
 */
export class Log {
  readonly name: string
  readonly dir: string
  config: LogConfig
  readonly segments: Segment[]
  readonly epochs: LeaderEpochs
  producers: ProducerState
  logStartOffset: number
  nextOffset: number
  /** Everything below is flushed. */
  recoveryPoint: number
  /** The indexes below are flushed too, and the producers' state as of there is in a snapshot. */
  scanFrom: number
  /** Below it the log is compacted. */
  cleanedOffset: number
  /** Why the log is offline, or null. */
  offline: string | null = null
  /** Null until it is told: then nothing is appended. */
  role: Role | null = null
  /** Everything below is committed, as far as is known: what may go for good (retention, compaction) is below. Infinity: all that is there. */
  highWatermark = Number.POSITIVE_INFINITY
  /** Records appended since the last flush, and when the first of them came, by the monotonic clock: for flush.messages and flush.ms. */
  unflushedRecords = 0
  unflushedSince = -1
  /** What of its transactions is not told yet. */
  #toldUndecided = Number.POSITIVE_INFINITY
  readonly #untoldAborted = new Set<Segment>()
  /** Everything below is handed to the system; what is above waits for `write`. */
  #writtenOffset: number
  /** Where the log is about to be cut off. */
  #cutAt = Number.POSITIVE_INFINITY
  readonly #files: FileSystem
  /** Where in the active segment `scanFrom` is, or somewhat before. */
  #scanPosition: number
  readonly #result: Appended = {
    errorCode: 0,
    duplicate: false,
    baseOffset: -1,
    segmentBase: -1,
    position: -1,
    appendTime: -1,
  }

  constructor(
    files: FileSystem,
    dir: string,
    name: string,
    config: LogConfig,
    state: {
      segments: Segment[]
      producers: ProducerState
      epochs: LeaderEpochs
      logStartOffset: number
      cleanedOffset: number
      nextOffset: number
      recoveryPoint: number
      scanFrom: number
      /** Where in the active segment the batch of `scanFrom` is, or somewhat before. */
      scanPosition: number
    },
  ) {
    this.#files = files
    this.dir = dir
    this.name = name
    this.config = config
    this.segments = state.segments
    this.producers = state.producers
    this.epochs = state.epochs
    this.logStartOffset = state.logStartOffset
    this.cleanedOffset = state.cleanedOffset
    this.nextOffset = state.nextOffset
    this.recoveryPoint = state.recoveryPoint
    this.unflushedRecords = state.nextOffset - state.recoveryPoint
    this.#writtenOffset = state.nextOffset
    this.scanFrom = state.scanFrom
    this.#scanPosition = state.scanPosition
    this.#toldUndecided = this.producers.firstUndecided
  }

  get active(): Segment {
    return this.segments[this.segments.length - 1]!
  }

  /** Whether a record is acknowledged only when it is flushed. */
  get isDurable(): boolean {
    return this.config.flushMessages <= 1
  }

  get size(): number {
    let size = 0
    for (const segment of this.segments) size += segment.size
    return size
  }

  /**
   * Takes one batch, whose header the caller has checked: CRC, producer sequence, then offsets, epoch and timestamp type
   * are written into it. The result object is used again by the next call.
   * @param version of its transaction; 0: it is of none
   */
  append(bytes: Buffer, epoch: number, now: number, monotonic = now, version = 0): Appended {
    const result = this.#result
    result.duplicate = false
    result.appendTime = batch.NO_TIMESTAMP
    result.errorCode = this.#judge(bytes, result, version)
    if (result.errorCode !== ErrorCode.NONE || result.duplicate) return result
    if (this.config.logAppendTime) result.appendTime = now
    batch.setTimestampType(bytes, result.appendTime)
    if (this.#shouldRoll(bytes, this.nextOffset + batch.lastOffsetDelta(bytes), now)) this.roll()
    batch.assign(bytes, this.nextOffset, epoch)
    this.#take(bytes, now, monotonic)
    return result
  }

  /**
   * Takes one batch as its leader has it: offsets, epoch and timestamps stay, and the producers are only kept up with, for the
   * leader has judged them. The result object is the same.
   */
  appendAsFollower(bytes: Buffer, now: number, monotonic = now): Appended {
    const result = this.#result
    result.duplicate = false
    result.appendTime = batch.NO_TIMESTAMP
    result.errorCode = this.#judgeReplicated(bytes)
    if (result.errorCode !== ErrorCode.NONE) return result
    if (this.#shouldRoll(bytes, batch.lastOffset(bytes), now)) this.roll()
    this.#take(bytes, now, monotonic)
    return result
  }

  /** What a leader sends fits behind what is here, or it is not what the leader has. */
  #judgeReplicated(bytes: Buffer): number {
    if (this.offline !== null) return ErrorCode.KAFKA_STORAGE_ERROR
    if (this.#cutAt !== Number.POSITIVE_INFINITY) return ErrorCode.NOT_LEADER_OR_FOLLOWER
    if (batch.batchBytes(bytes) !== bytes.length) return ErrorCode.CORRUPT_MESSAGE
    if (batch.computeCrc(bytes) !== batch.storedCrc(bytes)) return ErrorCode.CORRUPT_MESSAGE
    const baseOffset = batch.baseOffset(bytes)
    const mayFollow = this.config.hasGaps ? baseOffset >= this.nextOffset : false
    if (baseOffset !== this.nextOffset && !mayFollow) return ErrorCode.OFFSET_OUT_OF_RANGE
    if (batch.lastOffsetDelta(bytes) < 0) return ErrorCode.CORRUPT_MESSAGE
    const lastEpoch = this.epochs.entries.at(-1)?.epoch ?? -1
    return batch.leaderEpoch(bytes) < lastEpoch ? ErrorCode.CORRUPT_MESSAGE : ErrorCode.NONE
  }

  #take(bytes: Buffer, now: number, monotonic: number): void {
    const result = this.#result
    const { active } = this
    const lastOffset = batch.lastOffset(bytes)
    result.baseOffset = batch.baseOffset(bytes)
    this.epochs.note(batch.leaderEpoch(bytes), result.baseOffset)
    result.segmentBase = active.baseOffset
    result.position = active.size
    active.openedMs = Math.min(active.openedMs, now)
    active.append(bytes)
    const ended = this.producers.update(bytes, 0, monotonic)
    if (ended !== null && noteEnded(active, ended, this.producers)) this.#untoldAborted.add(active)
    if (this.unflushedRecords === 0) this.unflushedSince = monotonic
    this.unflushedRecords += lastOffset + 1 - this.nextOffset
    this.nextOffset = lastOffset + 1
  }

  #judge(bytes: Buffer, result: Appended, version: number): number {
    if (this.offline !== null) return ErrorCode.KAFKA_STORAGE_ERROR
    if (batch.batchBytes(bytes) !== bytes.length) return ErrorCode.CORRUPT_MESSAGE
    if (batch.computeCrc(bytes) !== batch.storedCrc(bytes)) return ErrorCode.CORRUPT_MESSAGE
    if (bytes.length > this.config.segmentBytes) return ErrorCode.RECORD_LIST_TOO_LARGE
    if (batch.producerId(bytes) === batch.NO_PRODUCER_ID) return ErrorCode.NONE
    const verdict = this.producers.check(bytes, version)
    if (verdict.kind === 'error') return verdict.code
    if (verdict.kind === 'duplicate') {
      result.duplicate = true
      result.baseOffset = verdict.baseOffset
      result.appendTime = verdict.timestamp
    }
    return ErrorCode.NONE
  }

  #shouldRoll(bytes: Buffer, lastOffset: number, now: number): boolean {
    const { active, config } = this
    if (active.size === 0) return false
    if (active.size + bytes.length > config.segmentBytes) return true
    if (lastOffset - active.baseOffset > RELATIVE_OFFSET_MAX) return true
    // What must be compacted by then must be closed by then.
    const within = Math.min(config.segmentMs, config.compaction?.maxCompactionLagMs ?? Infinity)
    // As Kafka: by record time if the segment has one, so that replayed old data rolls as it did (LogSegment.shouldRoll).
    // Where records carry none, by the clock.
    const { firstTimestamp, openedMs } = active
    const reached = batch.maxTimestamp(bytes)
    if (firstTimestamp < 0) return now - openedMs > within
    return (reached < 0 ? now : reached) - firstTimestamp > within
  }

  /** Closes the active segment, flushed, and starts the next one at the log's end. */
  roll(): void {
    this.active.seal()
    this.#writtenOffset = this.nextOffset
    this.#noteFlushed()
    this.snapshotProducers()
    this.epochs.write()
    this.segments.push(Segment.create(this.#files, this.dir, this.nextOffset))
    this.#files.fsyncDir(this.dir)
    this.scanFrom = this.nextOffset
    this.#scanPosition = 0
  }

  /** Writes the producers' state as of the log's end, and removes snapshots that no recovery needs. */
  snapshotProducers(): void {
    // No marker in front of it is looked at again.
    noteAborted(this.#files, this.dir, this.segments)
    replaceFile(
      this.#files,
      join(this.dir, fileName(this.nextOffset, 'snapshot')),
      encodeProducers(this.producers),
    )
    const names = this.#files.readdir(this.dir).filter(name => name.endsWith('.snapshot'))
    names.sort()
    for (const name of names.slice(0, -SNAPSHOTS_KEPT)) this.#files.unlink(join(this.dir, name))
  }

  write(): void {
    this.active.write()
    this.#writtenOffset = this.nextOffset
  }

  /** Flushes what is written; with `mayGrow` also what makes the next start short, which takes room on the disk. */
  flush(mayGrow = true): void {
    this.active.flush()
    this.#noteFlushed()
    const isLong = this.active.size - this.#scanPosition >= SCAN_BYTES_MAX
    // The snapshot is as of the log's end, so that end must be flushed.
    const mayLimit = mayGrow && this.#cutAt === Number.POSITIVE_INFINITY
    if (isLong && mayLimit && this.active.waitingBytes === 0) this.#limitScan()
  }

  /**
   * The log is about to be cut off at `end`: from now on no checkpoint says that what is above is there, and nothing is appended.
   * It is either cut (truncation.ts) or goes on as it was.
   */
  beginCut(end: number): void {
    this.#cutAt = end
    this.recoveryPoint = Math.min(this.recoveryPoint, end)
    this.scanFrom = Math.min(this.scanFrom, end)
  }

  abandonCut(): void {
    this.#cutAt = Number.POSITIVE_INFINITY
  }

  #noteFlushed(): void {
    this.recoveryPoint = Math.min(this.#writtenOffset, this.#cutAt)
    this.unflushedRecords = this.nextOffset - this.#writtenOffset
    if (this.unflushedRecords === 0) this.unflushedSince = -1
  }

  /** Flushes what a restart would otherwise have to make again from the batches: indexes, producers, epochs. */
  #limitScan(): void {
    this.active.writeIndexes(true)
    this.snapshotProducers()
    this.epochs.write()
    this.scanFrom = this.nextOffset
    this.#scanPosition = this.active.size
  }

  /** Closes the active segment's file until the next write. Flushed first: an error would be told to nobody afterwards. */
  closeFile(): void {
    this.write()
    this.flush()
    this.active.close()
  }

  /** Takes the log offline: what was appended and not written is forgotten, nothing is written any more. */
  fail(reason: string): void {
    this.offline ??= reason
    this.active.dropWaiting()
    this.nextOffset = this.#writtenOffset
  }

  /**
   * Moves the log's start up to `offset` (at most the end) and drops the segments wholly below it.
   * @param mayGrow whether a new segment may be begun, so that also the active one goes
   * @returns the base offsets of the segments to remove, which the caller removes once readers know.
   */
  deleteRecordsBefore(newStart: number, mayGrow = true): Segment[] {
    const offset = Math.min(newStart, this.nextOffset)
    if (offset <= this.logStartOffset) return []
    this.logStartOffset = offset
    if (mayGrow && offset >= this.nextOffset && this.active.size > 0) this.roll()
    const removed = this.#dropWhile((_, next) => next !== undefined && next.baseOffset <= offset)
    this.epochs.truncateFromStart(offset)
    return removed
  }

  /** Retention by time and size: drops whole segments from the start (UnifiedLog.deleteOldSegments). `mayGrow` as above. */
  applyRetention(now: number, mayGrow = true): Segment[] {
    const { config } = this
    if (!config.deletes) return []
    const isOld = (s: Segment): boolean =>
      config.retentionMs >= 0 && s.size > 0 && now - s.newestMs() > config.retentionMs
    const isCommitted = this.nextOffset <= this.highWatermark
    if (mayGrow && isCommitted && this.active.size > 0 && this.segments.every(isOld)) this.roll()
    // Transactions stay whole.
    const kept = Math.min(this.highWatermark, this.producers.firstUndecided)
    let excess = config.retentionBytes >= 0 ? this.size - config.retentionBytes : -1
    const removed = this.#dropWhile((segment, next) => {
      if (next === undefined || next.baseOffset > kept) return false
      if (isOld(segment)) {
        excess -= segment.size
        return true
      }
      if (excess - segment.size < 0) return false
      excess -= segment.size
      return true
    })
    if (removed.length > 0) {
      this.logStartOffset = Math.max(this.logStartOffset, this.segments[0]!.baseOffset)
      this.epochs.truncateFromStart(this.logStartOffset)
    }
    return removed
  }

  /** Takes over a cleaned segment whose files are in place. @returns false if the log does not have what it stands for */
  replaceSegments(cleaned: CleanedSegment): boolean {
    const { base, replaces } = cleaned
    const first = this.segments.findIndex(segment => segment.baseOffset === base)
    const old = this.segments.slice(first, first + replaces.length)
    const isThere =
      old.length === replaces.length && old.every((s, i) => s.baseOffset === replaces[i])
    if (first === -1 || !isThere || old.includes(this.active)) return false
    const segment = new Segment(this.#files, this.dir, base, cleaned)
    segment.resumeTimestamps(cleaned.maxTimestamp, cleaned.maxTimestampOffset)
    segment.version = old[0]!.version + 1
    for (const one of old) one.close()
    this.segments.splice(first, old.length, segment)
    noteAborted(this.#files, this.dir, this.segments)
    return true
  }

  #dropWhile(drop: (segment: Segment, next: Segment | undefined) => boolean): Segment[] {
    let count = 0
    while (count < this.segments.length && drop(this.segments[count]!, this.segments[count + 1])) {
      count++
    }
    return this.segments.splice(0, count)
  }

  /** Removes the files of dropped segments, durably. */
  removeFiles(segments: readonly Segment[]): void {
    if (segments.length === 0) return
    for (const segment of segments) segment.remove()
    this.#files.fsyncDir(this.dir)
  }

  /** What readers have to be told of its transactions: what there is in its files. */
  takeStability(): readonly Stability[] {
    const { firstUndecided: undecided } = this.producers
    if (undecided === this.#toldUndecided && this.#untoldAborted.size === 0) return NOTHING
    this.#toldUndecided = undecided
    const segments = this.#untoldAborted.size === 0 ? [this.active] : [...this.#untoldAborted]
    this.#untoldAborted.clear()
    return segments.map(({ baseOffset: segmentBase, aborted }) => {
      return { undecided, segmentBase, abortedBytes: aborted.bytes - aborted.waitingBytes }
    })
  }

  /** Flushes everything and leaves the folder so that the next start has nothing to verify. */
  close(): void {
    if (this.offline === null) {
      this.write()
      this.flush()
      if (this.active.size - this.#scanPosition >= CLOSE_SCAN_BYTES_MAX) this.#limitScan()
      else this.active.writeIndexes(false)
    }
    for (const segment of this.segments) segment.close()
  }
}
