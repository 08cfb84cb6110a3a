import * as batch from '../protocol/record-batch.ts'
import { RELATIVE_OFFSET_MAX } from '../storage/batch-scanner.ts'
import type { FileSystem } from '../storage/fs.ts'
import { FileWindow } from './file-window.ts'

/** A segment file, and what is known of it. */
export interface SegmentToWalk {
  readonly path: string
  readonly base: number
  /** Where the next segment begins; null: it is the last. */
  readonly next: number | null
  /** Of the last one: where the log is known to end, if it is. */
  readonly endOffset: number | null
  /** Compaction, or a repair, has taken offsets out of it. */
  readonly isThinned: boolean
}

/** A whole batch. The bytes are as they are in the file; offset, length and magic as they must be. */
export interface WalkedBatch {
  readonly position: number
  readonly bytes: Buffer
  readonly baseOffset: number
  readonly lastOffset: number
}

/** Header fields that the checksum does not cover, and that what is around leaves no doubt about. */
export interface Patch {
  readonly position: number
  readonly bytes: Buffer
  readonly problem: string
}

/** Bytes that are no batch, or offsets that nothing has. */
export interface Damage {
  /** In the file; both are the same if offsets are missing between two batches. */
  readonly from: number
  readonly to: number
  readonly problem: string
  /** The offsets that must have been there, from `firstOffset` to before `nextOffset`; `nextOffset` is null if nothing follows. */
  readonly firstOffset: number
  nextOffset: number | null
}

export interface Walked {
  readonly size: number
  readonly batches: number
  readonly records: number
  /** The offset behind the last whole batch. */
  readonly end: number
  readonly patches: readonly Patch[]
  readonly damages: readonly Damage[]
}

/** What stands at a position: a batch, or not. */
type Judged =
  | { readonly kind: 'batch'; readonly end: number; readonly patches: readonly Patch[] }
  | { readonly kind: 'damage'; readonly end: number; readonly problem: string }

/**
 * Walks every byte of a segment: what does not match its checksum is passed over up to the next whole batch. Unlike a start,
 * which trusts the headers of what was flushed long ago, and stops at the first thing that cannot be.
 */
export function walkSegment(
  files: FileSystem,
  segment: SegmentToWalk,
  visit: (batch: WalkedBatch) => void = () => {},
): Walked {
  const window = new FileWindow(files, segment.path)
  try {
    return new Walk(window, segment, visit).run()
  } finally {
    window.close()
  }
}

/** More than any ring takes: what claims to be longer is not read into memory. */
const BATCH_BYTES_MAX = 256 * 1024 * 1024

/** Headers in a row that are followed where the batches themselves are damaged. */
const HOPS_MAX = 1_000

const canBeLength = (length: number, left: number): boolean =>
  length >= batch.BATCH_HEADER_BYTES && length <= Math.min(left, BATCH_BYTES_MAX)

const isHeader = (header: Buffer, left: number): boolean =>
  header.length === batch.BATCH_HEADER_BYTES &&
  batch.magic(header) === batch.MAGIC_V2 &&
  canBeLength(batch.batchBytes(header), left)

class Walk {
  readonly #file: FileWindow
  readonly #segment: SegmentToWalk
  readonly #visit: (batch: WalkedBatch) => void
  readonly #patches: Patch[] = []
  readonly #damages: Damage[] = []
  #expected: number
  #batches = 0
  #records = 0

  constructor(file: FileWindow, segment: SegmentToWalk, visit: (batch: WalkedBatch) => void) {
    this.#file = file
    this.#segment = segment
    this.#visit = visit
    this.#expected = segment.base
  }

  run(): Walked {
    const { size } = this.#file
    for (let at = 0; at < size; ) {
      const judged = this.#judge(at)
      const problem = judged.kind === 'damage' ? judged.problem : this.#place(at, judged)
      if (problem !== null) this.#note(at, judged.end, problem)
      at = judged.end
    }
    return {
      ...{ size, batches: this.#batches, records: this.#records, end: this.#expected },
      ...{ patches: this.#patches, damages: this.#damages },
    }
  }

  #note(from: number, to: number, problem: string): void {
    const last = this.#damages.at(-1)
    // What follows is the same damage as long as nothing whole comes in between.
    if (last !== undefined && last.nextOffset === null && last.to === from) {
      this.#damages[this.#damages.length - 1] = { ...last, to }
      return
    }
    const firstOffset = this.#expected
    this.#damages.push({ from, to, problem, firstOffset, nextOffset: null })
  }

  /** Whether the bytes at a position are a batch, and where it ends. */
  #judge(at: number): Judged {
    const left = this.#file.size - at
    if (left < batch.BATCH_HEADER_BYTES) {
      return { kind: 'damage', end: this.#file.size, problem: 'a batch header is cut off' }
    }
    const header = this.#file.bytes(at, batch.BATCH_HEADER_BYTES)
    const length = batch.batchBytes(header)
    const canBe = canBeLength(length, left)
    if (canBe && this.#isContent(at, at + length)) {
      return { kind: 'batch', end: at + length, patches: this.#magicPatch(at) }
    }
    const end = canBe && this.#isBoundary(at + length) ? at + length : this.#search(at + 1)
    if (!(canBe && end === at + length) && this.#isContent(at, end)) {
      const bytes = Buffer.alloc(4)
      bytes.writeInt32BE(end - at - batch.LOG_OVERHEAD_BYTES)
      const patch = { position: at + 8, bytes, problem: `a batch claims ${length} bytes` }
      return { kind: 'batch', end, patches: [patch, ...this.#magicPatch(at)] }
    }
    const problem = canBe ? 'a batch does not match its CRC' : `a batch claims ${length} bytes`
    return { kind: 'damage', end, problem }
  }

  /** Whether what the checksum covers is whole, if the batch takes these bytes. */
  #isContent(at: number, end: number): boolean {
    if (end - at < batch.BATCH_HEADER_BYTES) return false
    const bytes = this.#file.bytes(at, end - at)
    return batch.computeCrc(bytes) === batch.storedCrc(bytes) && batch.lastOffsetDelta(bytes) >= 0
  }

  #magicPatch(at: number): Patch[] {
    const magic = batch.magic(this.#file.bytes(at, batch.BATCH_HEADER_BYTES))
    if (magic === batch.MAGIC_V2) return []
    const bytes = Buffer.from([batch.MAGIC_V2])
    return [{ position: at + 16, bytes, problem: `a batch has magic ${magic}` }]
  }

  /**
   * Whether batches begin there: one that can be read in full, or headers whose lengths lead to one, or to the end of the file. Only if
   * not is what lies inside of a batch searched for the next one: clients decide what lies there.
   */
  #isBoundary(at: number): boolean {
    let position = at
    for (let hops = 0; hops < HOPS_MAX && position < this.#file.size; hops++) {
      if (this.#isWholeAt(position)) return true
      const header = this.#file.bytes(position, batch.BATCH_HEADER_BYTES)
      if (!isHeader(header, this.#file.size - position)) return false
      position += batch.batchBytes(header)
    }
    return position === this.#file.size
  }

  #isWholeAt(at: number): boolean {
    const header = this.#file.bytes(at, batch.BATCH_HEADER_BYTES)
    if (!isHeader(header, this.#file.size - at)) return false
    const baseOffset = batch.baseOffset(header)
    if (baseOffset < this.#expected || baseOffset > this.#lastPossible()) return false
    return this.#isContent(at, at + batch.batchBytes(header))
  }

  #lastPossible(): number {
    const { base, next } = this.#segment
    return next === null ? base + RELATIVE_OFFSET_MAX : next - 1
  }

  /** The next place at which a whole batch begins; the end of the file if there is none. */
  #search(from: number): number {
    for (let at = from; at < this.#file.size; at++) {
      const magic = this.#file.bytes(at + 16, 1)
      if (magic[0] === batch.MAGIC_V2 && this.#isWholeAt(at)) return at
    }
    return this.#file.size
  }

  /** Takes a batch whose content is whole into the row. @returns what is wrong with its offset, or null */
  #place(at: number, judged: Judged & { kind: 'batch' }): string | null {
    const bytes = this.#file.bytes(at, judged.end - at)
    const found = batch.baseOffset(bytes)
    const delta = batch.lastOffsetDelta(bytes)
    const baseOffset = this.#offsetOf(found, delta, judged.end)
    if (baseOffset === null) {
      return `a batch starts at offset ${found} where ${this.#expected} was due`
    }
    if (baseOffset !== found) {
      const offset = Buffer.alloc(8)
      batch.writeInt64(offset, 0, baseOffset)
      const problem = `a batch starts at offset ${found} where ${baseOffset} was due`
      this.#patches.push({ position: at, bytes: offset, problem })
    } else if (baseOffset > this.#expected) {
      this.#close(at)
    }
    this.#patches.push(...judged.patches)
    const last = this.#damages.at(-1)
    if (last !== undefined) last.nextOffset ??= baseOffset
    this.#expected = baseOffset + delta + 1
    // Read again: what is behind may have been looked at meanwhile.
    const whole = this.#file.bytes(at, judged.end - at)
    this.#batches++
    this.#records += batch.recordsCount(whole)
    this.#visit({ position: at, bytes: whole, baseOffset, lastOffset: baseOffset + delta })
    return null
  }

  /** Offsets in front of a batch are missing: where bytes are damaged they were there, else they are a hole of their own. */
  #close(at: number): void {
    if (this.#segment.isThinned) return
    const last = this.#damages.at(-1)
    if (last !== undefined && last.nextOffset === null) return
    this.#note(at, at, 'what was here is missing')
  }

  /** The base offset that a batch must have; null if it cannot be where it is, or nothing tells which of two it has. */
  #offsetOf(found: number, delta: number, end: number): number | null {
    const expected = this.#expected
    if (found === expected) return found
    if (this.#segment.isThinned) {
      return this.#isContradicted(found + delta + 1, end) ? null : this.#checked(found, delta)
    }
    const isDamageBefore = this.#damages.at(-1)?.nextOffset === null
    const follower = this.#follower(end)
    const byFollower = follower === null ? null : follower.baseOffset - delta - 1
    if (byFollower === found || byFollower === expected) return this.#checked(byFollower, delta)
    if (!isDamageBefore) return null
    // Nothing whole stands in front: the next two outvote this one.
    const isOutvoted =
      follower !== null && this.#follower(follower.end)?.baseOffset === follower.next
    return this.#checked(isOutvoted ? byFollower! : found, delta)
  }

  /** Whether the next two agree that this batch ends before them, which it says it does not. Where offsets may be missing, that is all that can be told. */
  #isContradicted(next: number, end: number): boolean {
    const follower = this.#follower(end)
    if (follower === null || follower.baseOffset >= next) return false
    if (follower.baseOffset <= this.#expected) return false
    const second = this.#follower(follower.end)
    return second === null || second.baseOffset >= follower.next
  }

  #checked(baseOffset: number, delta: number): number | null {
    return this.#canBe(baseOffset, delta) ? baseOffset : null
  }

  #canBe(baseOffset: number, delta: number): boolean {
    return baseOffset >= this.#expected && baseOffset + delta <= this.#lastPossible()
  }

  /** What comes behind a batch, as far as it says; at the end of the file the next segment, or the log's end. */
  #follower(at: number): { baseOffset: number; next: number; end: number } | null {
    const { size } = this.#file
    const { next, endOffset } = this.#segment
    if (at >= size) {
      const baseOffset = next ?? endOffset
      return baseOffset === null ? null : { baseOffset, next: -1, end: size }
    }
    const header = this.#file.bytes(at, batch.BATCH_HEADER_BYTES)
    if (header.length < batch.BATCH_HEADER_BYTES) return null
    const baseOffset = batch.baseOffset(header)
    const end = at + Math.max(batch.batchBytes(header), batch.BATCH_HEADER_BYTES)
    return { baseOffset, next: batch.lastOffset(header) + 1, end }
  }
}
