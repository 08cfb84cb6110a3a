import { join } from 'node:path'
import * as batch from '../protocol/record-batch.ts'
import type { AbortedTransaction } from '../storage/aborted-transactions.ts'
import type { LogView, SegmentExtent } from '../storage/commands.ts'
import { FREED_AT_ONCE_BYTES } from '../storage/fs.ts'
import type { OpenFiles } from '../storage/open-files.ts'
import { DELETED } from '../storage/removal.ts'
import { fileName } from '../storage/segment.ts'
import type { BufferPool } from './buffer-pool.ts'
import type { Freeing } from './freeing.ts'
import { readAborted } from './read-aborted.ts'
import { SegmentView } from './segment-view.ts'
import type { Tail, Tails } from './tail.ts'

/** Read positions remembered for consumers that come back where they stopped. */
const CURSORS_MAX = 64
/** What is read first to find the size of a single large batch. */
const PROBE_BYTES = 64 * 1024

export interface ReadResult {
  /** Whole batches, the first of which holds the offset asked for; give `buffer` back to the pool when it is sent. */
  readonly records: Buffer
  readonly buffer: Buffer
  /** It has been on the disk, which may have damaged it. */
  readonly isFromFile: boolean
}

interface Cursor {
  readonly segment: SegmentView
  readonly position: number
}

/**
 * Reads one partition's segments on the main thread, up to what the worker has reported. Batches are found by their
 * headers, never decoded.
 */
export class LogReader {
  readonly dir: string
  readonly #pool: BufferPool
  readonly #open: OpenFiles<SegmentView>
  readonly #freeing: Pick<Freeing, 'add'>
  readonly #onBadIndex: (base: number) => void
  #segments: SegmentView[] = []
  /** Counts up whenever segments have been taken away or replaced. */
  changes = 0
  readonly #cursors = new Map<number, Cursor>()
  readonly #tails: Tails
  #tail: Tail | null = null
  /** Bytes of indexes of aborted transactions, by segment, of segments that are about to be begun. */
  readonly #abortedAhead = new Map<number, number>()

  constructor(
    dir: string,
    shared: {
      readonly pool: BufferPool
      readonly open: OpenFiles<SegmentView>
      readonly freeing: Pick<Freeing, 'add'>
      readonly tails: Tails
    },
    onBadIndex: (base: number) => void,
  ) {
    this.dir = dir
    this.#pool = shared.pool
    this.#open = shared.open
    this.#freeing = shared.freeing
    this.#tails = shared.tails
    this.#onBadIndex = onBadIndex
  }

  get segments(): readonly SegmentView[] {
    return this.#segments
  }

  get size(): number {
    let size = 0
    for (const segment of this.#segments) size += segment.size
    return size
  }

  /** Takes over what the worker says of the segments: some may be new, some gone. */
  replace(view: LogView): void {
    const old = new Map(this.#segments.map(s => [s.base, s]))
    this.#segments = view.segments.map(extent => {
      const known = old.get(extent.base)
      if (known?.version !== extent.version) return this.#newSegment(extent)
      old.delete(extent.base)
      return known
    })
    for (const segment of this.#segments.slice(0, -1)) segment.seal()
    for (const segment of old.values()) {
      this.#leave(segment)
      if (segment.size > FREED_AT_ONCE_BYTES) this.#freeing.add(segment.path + DELETED)
    }
    this.#forgetPlaces()
  }

  /** The log is about to be opened: whatever is known by the names of its files, other files may have them by now. */
  forget(): void {
    for (const segment of this.#segments) this.#leave(segment)
    this.#segments = []
    this.#forgetPlaces()
  }

  #leave(segment: SegmentView): void {
    segment.isReplaced = true
    segment.close()
  }

  /** Nothing that was learnt by reading holds any more. */
  #forgetPlaces(): void {
    this.#abortedAhead.clear()
    this.#cursors.clear()
    this.#dropTail()
    this.changes++
  }

  #newSegment(extent: SegmentExtent): SegmentView {
    const segment = new SegmentView(
      extent,
      join(this.dir, fileName(extent.base, 'log')),
      this.#open,
    )
    segment.onBadIndex = this.#onBadIndex
    return segment
  }

  /** Whether there are these segments, in these versions. */
  has(extents: readonly SegmentExtent[]): boolean {
    return extents.every(({ base, version }) =>
      this.#segments.some(segment => segment.base === base && segment.version === version),
    )
  }

  /** Keeps what readers need of these segments before their files change. `replace` lets go of it. */
  async hold(bases: readonly number[]): Promise<void> {
    const held = this.#segments.filter(({ base }) => bases.includes(base))
    await Promise.all(held.map(segment => segment.hold()))
  }

  /** A batch was appended; its segment may be a new one. */
  appended(segmentBase: number, baseOffset: number, position: number, bytes: number): void {
    let segment = this.#segments[this.#segments.length - 1]
    if (segment === undefined || segment.base < segmentBase) {
      segment?.seal()
      const abortedBytes = this.#abortedAhead.get(segmentBase) ?? 0
      this.#abortedAhead.delete(segmentBase)
      segment = this.#newSegment({ base: segmentBase, size: 0, version: 0, abortedBytes })
      this.#segments.push(segment)
    }
    if (segment.base === segmentBase) segment.note(baseOffset, position, bytes)
  }

  /** Transactions were aborted by markers in that segment, of which nothing may have been appended yet as far as is known here. */
  noteAborted(segmentBase: number, bytes: number): void {
    const segment = this.#segments.find(({ base }) => base === segmentBase)
    if (segment === undefined) this.#abortedAhead.set(segmentBase, bytes)
    else segment.abortedBytes = bytes
  }

  /**
   * The aborted transactions of which something may be in these batches, read from `offset` on: whoever wants only what is committed leaves
   * out what their producers have written up to their markers.
   */
  async abortedIn(offset: number, records: Buffer): Promise<AbortedTransaction[]> {
    const first = this.#segments.findLastIndex(({ base }) => base <= offset)
    const segments = this.#segments
      .slice(Math.max(0, first))
      .filter(({ abortedBytes }) => abortedBytes > 0)
    const found: AbortedTransaction[] = []
    if (segments.length === 0) return found
    const { length } = records
    const endOffset = takeWhole(records, 0, length, Number.POSITIVE_INFINITY, length).nextOffset
    for (const segment of segments) {
      // Behind one with this last stable offset none can have begun below the end.
      if (await readAborted(segment, offset, endOffset, found)) break
    }
    return found
  }

  /** From now on what is appended can be read without its file, for as long as somebody does. */
  keepTail(): void {
    this.#tail ??= this.#tails.take()
  }

  /** Where the batch just appended still stands in memory. */
  noteTail(baseOffset: number, lastOffset: number, count: number, bytes: number): void {
    if (this.#tail?.note(baseOffset, lastOffset, count, bytes) === false) this.#dropTail()
  }

  #dropTail(): void {
    if (this.#tail !== null) this.#tails.giveBack()
    this.#tail = null
  }

  /**
   * Reads whole batches from the one that holds `offset`, below `endOffset`, at most `maxBytes`; if even the first is
   * larger, that one alone if `atLeastOne`, else nothing.
   * @returns null if there is nothing to return
   */
  async read(
    offset: number,
    endOffset: number,
    maxBytes: number,
    atLeastOne: boolean,
  ): Promise<ReadResult | null> {
    const atTail = this.#tail?.read(this.#pool, offset, endOffset, maxBytes, atLeastOne)
    return atTail !== undefined ? atTail : this.readFile(offset, endOffset, maxBytes, atLeastOne)
  }

  /** The same from its file, also of what is in memory. */
  async readFile(
    offset: number,
    endOffset: number,
    maxBytes: number,
    atLeastOne: boolean,
  ): Promise<ReadResult | null> {
    let from = this.#cursors.get(offset) ?? (await this.#locate(offset))
    while (from !== null) {
      const result = await this.#readAt(from, offset, endOffset, maxBytes, atLeastOne)
      if (result !== 'next') return result
      const at = this.#segments.indexOf(from.segment)
      // Compaction has replaced it meanwhile: where to go on is looked up in what there is now.
      if (at === -1) from = await this.#locate(offset)
      else if (at + 1 === this.#segments.length) from = null
      else from = { segment: this.#segments[at + 1]!, position: 0 }
    }
    return null
  }

  async #locate(offset: number): Promise<Cursor | null> {
    const segment = this.#segments.findLast(s => s.base <= offset) ?? this.#segments[0]
    return segment === undefined ? null : { segment, position: await segment.locate(offset) }
  }

  async #readAt(
    from: Cursor,
    offset: number,
    endOffset: number,
    maxBytes: number,
    atLeastOne: boolean,
  ): Promise<ReadResult | null | 'next'> {
    const { segment } = from
    let { position } = from
    let want = Math.max(Math.min(maxBytes, segment.size - position), 0)
    if (want < PROBE_BYTES) want = Math.min(PROBE_BYTES, segment.size - position)
    for (;;) {
      if (segment.isReplaced || position >= segment.size) return 'next'
      const buffer = this.#pool.acquire(want)
      let keep = false
      try {
        const filled = await segment.read(buffer, want, position)
        // It may be freed from its end on, or under its name there was another file already.
        if (segment.isReplaced) return 'next'
        const skip = skipBelow(buffer, filled, offset)
        if (filled - skip < batch.BATCH_HEADER_BYTES) {
          if (skip === 0) return null
          position += skip
          want = Math.min(Math.max(maxBytes, PROBE_BYTES), segment.size - position)
          continue
        }
        const end = takeWhole(buffer, skip, filled, endOffset, maxBytes)
        if (end.position === skip) {
          const first = batch.batchBytes(buffer, skip)
          if (batch.baseOffset(buffer, skip) >= endOffset) return null
          if (first > maxBytes && !atLeastOne) return null
          if (first <= filled - skip) {
            keep = true
            return { records: buffer.subarray(skip, skip + first), buffer, isFromFile: true }
          }
          // What was skipped took the room: read again from the batch that was asked for.
          position += skip
          const isStuck = skip === 0 && first <= want
          want = Math.min(Math.max(first, maxBytes), segment.size - position)
          if (isStuck || first > want) return null
          continue
        }
        this.#remember(end.nextOffset, { segment, position: position + end.position })
        keep = true
        return { records: buffer.subarray(skip, end.position), buffer, isFromFile: true }
      } finally {
        if (!keep) this.#pool.release(buffer)
      }
    }
  }

  #remember(offset: number, cursor: Cursor): void {
    this.#cursors.set(offset, cursor)
    if (this.#cursors.size > CURSORS_MAX) {
      const oldest = this.#cursors.keys().next().value
      if (oldest !== undefined) this.#cursors.delete(oldest)
    }
  }

  /** Closes the files of segments that nobody reads now. */
  close(): void {
    this.#dropTail()
    for (const segment of this.#segments) segment.close()
  }
}

/** Where the first batch starts that ends at or after the offset; it may be behind what was read. */
function skipBelow(buffer: Buffer, filled: number, offset: number): number {
  let at = 0
  while (filled - at >= batch.BATCH_HEADER_BYTES) {
    if (batch.lastOffset(buffer, at) >= offset) break
    at += Math.max(batch.batchBytes(buffer, at), batch.BATCH_HEADER_BYTES)
  }
  return at
}

/** The end of the last whole batch below `endOffset` within `maxBytes` of `start`. */
function takeWhole(
  buffer: Buffer,
  start: number,
  filled: number,
  endOffset: number,
  maxBytes: number,
): { position: number; nextOffset: number } {
  const limit = Math.min(filled, start + maxBytes)
  let position = start
  let nextOffset = -1
  while (limit - position >= batch.BATCH_HEADER_BYTES) {
    const bytes = batch.batchBytes(buffer, position)
    if (bytes < batch.BATCH_HEADER_BYTES || position + bytes > limit) break
    if (batch.baseOffset(buffer, position) >= endOffset) break
    nextOffset = batch.lastOffset(buffer, position) + 1
    position += bytes
  }
  return { position, nextOffset }
}
