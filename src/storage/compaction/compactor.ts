import { randomInt } from 'node:crypto'
import { join } from 'node:path'
import { BatchOpener } from '../../protocol/batch-content.ts'
import * as batch from '../../protocol/record-batch.ts'
import { isUnreadable } from '../../protocol/records.ts'
import { abortedBytesBelow } from '../aborted-checkpoint.ts'
import { ABORTED_BYTES, type AbortedTransaction, abortedAt } from '../aborted-transactions.ts'
import { RELATIVE_OFFSET_MAX } from '../batch-scanner.ts'
import type { SegmentExtent } from '../commands.ts'
import { damaged } from '../corrupt-log.ts'
import type { FileSystem } from '../fs.ts'
import { IndexFile } from '../index-file.ts'
import { fileName, Segment } from '../segment.ts'
import { filterBatch, type Verdict } from './filter-batch.ts'
import { KeyMap } from './key-map.ts'
import { CLEANED, type Swap } from './swap.ts'
import { TransactionFilter, TransactionFinder } from './transactions.ts'

/** One compaction of a log, as of the moment when it was planned. Offsets: from is included, to is not. */
export interface CompactionPlan {
  readonly dir: string
  /** The log's name, for messages. */
  readonly name: string
  /** Closed segments from the log's first on, all that may be rewritten. */
  readonly segments: readonly SegmentExtent[]
  /** Below it the log was compacted before. */
  readonly firstDirtyOffset: number
  /** From here on nothing may be compacted: the end of the last of the segments. */
  readonly firstUncleanableOffset: number
  /** Of every producer that is still known: its epoch, and the offset of its last record (-1 if it has only markers). */
  readonly producers: ReadonlyMap<number, { readonly epoch: number; readonly lastOffset: number }>
  /** ms since 1970. */
  readonly now: number
  readonly deleteRetentionMs: number
  readonly segmentBytes: number
  /** For the offsets of keys. */
  readonly keyBytesMax: number
  /** The most that the records of one batch may take when decompressed. */
  readonly contentBytesMax: number
}

/** A segment that stands for others; its files are flushed and not swapped in yet. */
export interface CleanedSegment extends Swap {
  readonly size: number
  readonly offsetIndexBytes: number
  readonly timeIndexBytes: number
  readonly abortedBytes: number
  readonly maxTimestamp: number
  readonly maxTimestampOffset: number
}

export interface CompactionResult {
  /** Below it the log is compacted now. */
  readonly endOffset: number
  readonly keys: number
  readonly bytesRead: number
  readonly bytesWritten: number
  /** Batches that could not be opened and were kept as they are. */
  readonly unreadable: number
}

/** How a compaction makes room for others. Both return when it is time to go on, and may throw to stop. */
export interface Pace {
  /** So many bytes have been read or written since the last time. */
  spent(bytes: number): void
  /** Runs what keeps the disk busy. */
  flush(action: () => void): void
}

/** Read and written at once. */
const CHUNK_BYTES = 128 * 1024
/** Flushed at once, so that the disk never has much of it to do while others wait for theirs. */
const FLUSH_BYTES = 1024 * 1024
const NO_EPOCH = -1
/** Segments that one cleaned segment may stand for. */
const GROUP_SEGMENTS_MAX = 256

/**
 * Compacts a log: of every key only the newest record stays, offsets stay as they are (Cleaner.java). First the newest offset
 * of each key in the part that is new is learnt, as many as there is room for, then all closed segments up to there are
 * written anew, one group of them after the other. Yields each when it is on disk; the caller swaps it in and goes on.
 */
export class Compactor {
  readonly #files: FileSystem
  readonly #plan: CompactionPlan
  readonly #pace: Pace
  readonly #keys: KeyMap
  #opener!: BatchOpener
  /** The offset after the last batch whose keys are known. */
  #endOffset: number
  #aborted: TransactionFinder['aborted'] = []
  /** Leader epoch of the batch before the one that is looked at. */
  #epoch = NO_EPOCH
  #bytesRead = 0
  #bytesWritten = 0
  #unreadable = 0

  constructor(files: FileSystem, plan: CompactionPlan, pace: Pace) {
    this.#files = files
    this.#plan = plan
    this.#pace = pace
    this.#keys = new KeyMap(plan.keyBytesMax, randomInt(2 ** 32))
    this.#endOffset = plan.firstDirtyOffset
  }

  async *run(): AsyncGenerator<CleanedSegment, CompactionResult> {
    this.#opener = await BatchOpener.load(this.#plan.contentBytesMax)
    this.#learn()
    const transactions = new TransactionFilter(this.#aborted)
    const hasNews = this.#endOffset > this.#plan.firstDirtyOffset
    for (const group of hasNews ? this.#groups() : []) yield this.#clean(group, transactions)
    return {
      endOffset: this.#endOffset,
      keys: this.#keys.size,
      bytesRead: this.#bytesRead,
      bytesWritten: this.#bytesWritten,
      unreadable: this.#unreadable,
    }
  }

  /** Learns the keys of the dirty part up to where the first open transaction begins or there is no room for more. */
  #learn(): void {
    const { firstDirtyOffset, firstUncleanableOffset, segments } = this.#plan
    const dirty = segments.filter(
      (_, i) => (segments[i + 1]?.base ?? Number.POSITIVE_INFINITY) > firstDirtyOffset,
    )
    const finder = new TransactionFinder()
    for (const segment of dirty) {
      for (const batches of this.#chunks(segment)) {
        for (const bytes of batches) finder.note(bytes, this.#opener)
      }
    }
    this.#aborted = finder.aborted
    const limit = Math.min(firstUncleanableOffset, finder.firstOpenOffset)
    const transactions = new TransactionFilter(finder.aborted)
    for (const [i, segment] of dirty.entries()) {
      for (const batches of this.#chunks(segment)) {
        for (const bytes of batches) {
          if (batch.baseOffset(bytes) >= limit) return
          // Also of what is known already: the transactions in it must be over before those that follow begin.
          const isUseless = transactions.mayGo(bytes, this.#opener)
          if (batch.lastOffset(bytes) < firstDirtyOffset) continue
          const isControl = batch.isControl(batch.attributes(bytes))
          if (!isUseless && !isControl && !this.#learnBatch(bytes)) return
          this.#endOffset = batch.lastOffset(bytes) + 1
        }
      }
      this.#endOffset = Math.min(limit, dirty[i + 1]?.base ?? firstUncleanableOffset)
    }
  }

  /** @returns false if there is no room for all its keys: then those that found room do no harm, they are the newest so far */
  #learnBatch(bytes: Buffer): boolean {
    const baseOffset = batch.baseOffset(bytes)
    try {
      // One that cannot be read to its end stays as it is, and supersedes nothing.
      const records = this.#opener.open(bytes).verified()
      while (records.next()) {
        if (records.key === null) continue
        if (!this.#keys.put(records.key, baseOffset + records.offsetDelta)) return this.#full(bytes)
      }
    } catch (error) {
      if (!isUnreadable(error)) throw error
    }
    return true
  }

  #full(bytes: Buffer): false {
    if (this.#endOffset > this.#plan.firstDirtyOffset) return false
    const { name, keyBytesMax } = this.#plan
    throw new Error(
      `${name}: the keys of the batch at offset ${batch.baseOffset(bytes)} do not fit into the ${keyBytesMax} bytes of log.cleaner.dedupe.buffer.size`,
    )
  }

  /** Neighbours that fit into one segment, whatever stays of them (groupSegmentsBySize). */
  *#groups(): Generator<CompactionPlan['segments']> {
    const { segmentBytes, firstUncleanableOffset } = this.#plan
    const segments = this.#plan.segments.filter(({ base }) => base < this.#endOffset)
    let group: SegmentExtent[] = []
    let bytes = 0
    for (const [i, segment] of segments.entries()) {
      const end = segments[i + 1]?.base ?? firstUncleanableOffset
      const fits =
        group.length < GROUP_SEGMENTS_MAX &&
        bytes + segment.size <= segmentBytes &&
        end - 1 - (group[0]?.base ?? segment.base) <= RELATIVE_OFFSET_MAX
      if (!fits && group.length > 0) {
        yield group
        group = []
        bytes = 0
      }
      group.push(segment)
      bytes += segment.size
    }
    if (group.length > 0) yield group
  }

  #clean(group: CompactionPlan['segments'], transactions: TransactionFilter): CleanedSegment {
    const { base } = group[0]!
    const target = Segment.create(this.#files, this.#plan.dir, base, CLEANED)
    const aborted = this.#abortedIn(group)
    try {
      for (const segment of group) {
        for (const batches of this.#chunks(segment)) {
          const before = target.size
          for (const bytes of batches) {
            const kept = this.#filter(bytes, transactions)
            this.#epoch = batch.leaderEpoch(bytes)
            if (kept === null) continue
            target.append(kept)
            const ended = aborted.get(batch.lastOffset(kept))
            if (ended !== undefined && batch.recordsCount(kept) > 0) target.noteAborted(ended)
          }
          // Before the next chunk, which comes in the same buffer.
          target.write()
          if (target.size - target.flushedBytes >= FLUSH_BYTES) {
            this.#pace.flush(() => target.flush())
          }
          this.#bytesWritten += target.size - before
          this.#pace.spent(target.size - before)
        }
      }
      // Also without entries: it takes the place of what there was.
      if (aborted.size > 0) target.aborted.require()
      target.seal()
    } finally {
      target.close()
    }
    this.#keepAge(target.path, group.at(-1)!)
    return {
      base,
      replaces: group.map(segment => segment.base),
      size: target.size,
      offsetIndexBytes: target.offsetIndex.bytes,
      timeIndexBytes: target.timeIndex.bytes,
      abortedBytes: target.aborted.bytes,
      maxTimestamp: target.maxTimestamp,
      maxTimestampOffset: target.maxTimestampOffset,
    }
  }

  /**
   * Of segments, by the offsets of their markers. A reader who is told of a transaction leaves out what its producer has written up to that
   * marker: without the marker that would be what came later.
   */
  #abortedIn(group: CompactionPlan['segments']): Map<number, AbortedTransaction> {
    const found = new Map<number, AbortedTransaction>()
    for (const { base } of group) {
      const index = IndexFile.read(this.#files, join(this.#plan.dir, fileName(base, 'txnindex')))
      const end = abortedBytesBelow(this.#files, this.#plan.dir, base, Number.POSITIVE_INFINITY)
      for (let at = 0; at < end; at += ABORTED_BYTES) {
        const aborted = abortedAt(index!, at)
        found.set(aborted.lastOffset, aborted)
      }
    }
    return found
  }

  /** Retention by time goes by it where records carry no timestamps: they are not newer for having been compacted. */
  #keepAge(path: string, newest: SegmentExtent): void {
    const files = this.#files
    const from = join(this.#plan.dir, fileName(newest.base, 'log'))
    files.setModifiedMs(path, files.modifiedMs(from))
  }

  #filter(bytes: Buffer, transactions: TransactionFilter): Buffer | null {
    const { now, deleteRetentionMs } = this.#plan
    if (batch.baseOffset(bytes) >= this.#endOffset) return bytes
    const context = { opener: this.#opener, newHorizon: now + deleteRetentionMs }
    try {
      return filterBatch(bytes, this.#verdict(bytes, transactions), context)
    } catch (error) {
      if (!isUnreadable(error)) throw error
      this.#unreadable++
      return bytes
    }
  }

  #verdict(bytes: Buffer, transactions: TransactionFilter): Verdict {
    const isControl = batch.isControl(batch.attributes(bytes))
    const horizon = batch.deleteHorizon(bytes)
    const isPastHorizon = horizon !== batch.NO_TIMESTAMP && horizon <= this.#plan.now
    const mayGo = transactions.mayGo(bytes, this.#opener)
    const goes = mayGo && (!isControl || isPastHorizon)
    const isLastOfAll = batch.lastOffset(bytes) + 1 === this.#endOffset
    // Who copies the log learns from it where the epoch begins, which is where logs part that have others there.
    const isFirstOfEpoch = batch.leaderEpoch(bytes) !== this.#epoch
    return {
      staysEmpty: isLastOfAll || isFirstOfEpoch || this.#isLastOfProducer(bytes, isControl),
      isMarkerOfNothing: isControl && mayGo,
      keeps: (record, offset) => {
        if (goes) return false
        if (isControl) return true
        if (record.key === null) return false
        return offset >= this.#keys.get(record.key) && (record.hasValue || !isPastHorizon)
      },
    }
  }

  /** Its last sequence, or epoch, must be known as long as the producer may come back. */
  #isLastOfProducer(bytes: Buffer, isControl: boolean): boolean {
    const id = batch.producerId(bytes)
    if (id === batch.NO_PRODUCER_ID) return false
    const known = this.#plan.producers.get(id)
    if (known === undefined) return false
    const { epoch, lastOffset } = known
    if (lastOffset !== -1) return batch.lastOffset(bytes) === lastOffset
    return isControl && batch.producerEpoch(bytes) === epoch
  }

  /**
   * The batches of a closed segment, whole and with a right CRC, as many at a time as are read at once. They are good until
   * the next are asked for.
   * @throws CorruptLog
   */
  *#chunks({ base, size }: SegmentExtent): Generator<Buffer[]> {
    const { dir, name } = this.#plan
    const fd = this.#files.open(join(dir, fileName(base, 'log')), 'read')
    try {
      let buffer = Buffer.allocUnsafe(CHUNK_BYTES)
      for (let position = 0; position < size; ) {
        const want = Math.min(buffer.length, size - position)
        const chunk = buffer.subarray(0, this.#files.read(fd, buffer, 0, want, position))
        const { batches, bytes, problem } = cut(chunk)
        if (problem !== null) throw damaged(name, base, position + bytes, problem)
        if (bytes === 0) {
          const needed = chunk.length < batch.BATCH_HEADER_BYTES ? 0 : batch.batchBytes(chunk)
          const isCut = needed <= buffer.length || needed > size - position
          if (isCut) throw damaged(name, base, position, 'a batch is cut off')
          buffer = Buffer.allocUnsafe(needed)
          continue
        }
        yield batches
        position += bytes
        this.#bytesRead += bytes
        this.#pace.spent(bytes)
      }
    } finally {
      this.#files.close(fd)
    }
  }
}

/** The whole batches at the front of a chunk, and why the next one, if it is whole, is none. */
function cut(chunk: Buffer): { batches: Buffer[]; bytes: number; problem: string | null } {
  const batches: Buffer[] = []
  let at = 0
  while (chunk.length - at >= batch.BATCH_HEADER_BYTES) {
    const bytes = batch.batchBytes(chunk, at)
    if (bytes < batch.BATCH_HEADER_BYTES) {
      return { batches, bytes: at, problem: `a batch claims ${bytes} bytes` }
    }
    if (bytes > chunk.length - at) break
    const whole = chunk.subarray(at, at + bytes)
    if (batch.computeCrc(whole) !== batch.storedCrc(whole)) {
      return { batches, bytes: at, problem: 'a batch does not match its CRC' }
    }
    batches.push(whole)
    at += bytes
  }
  return { batches, bytes: at, problem: null }
}
