import type { BatchOpener } from '../../protocol/batch-content.ts'
import type { RawRecords } from '../../protocol/raw-records.ts'
import { Reader } from '../../protocol/reader.ts'
import * as batch from '../../protocol/record-batch.ts'
import { putVarint, sealBatch, varintBytes } from '../../protocol/records.ts'

/** What is to be kept of one batch. */
export interface Verdict {
  /** Whether the record, whose offset this is, stays. */
  keeps(record: RawRecords, offset: number): boolean
  /** The batch stays even without records: for its producer's sequence, or its last offset. */
  readonly staysEmpty: boolean
  /** It is a marker whose transaction is gone: it gets a delete horizon, as tombstones do. */
  readonly isMarkerOfNothing: boolean
}

export interface FilterContext {
  readonly opener: BatchOpener
  /** The delete horizon for tombstones and markers that have none yet, in ms. */
  readonly newHorizon: number
}

/**
 * Takes records out of a batch (MemoryRecords.filterTo). Base offset, last offset, sequences and codec stay; a batch of
 * which all is kept stays as it is, byte for byte. Tombstones that stay are given the time from which they may go.
 * @returns null if nothing is left of it
 * @throws MalformedBatch, DecompressionError
 */
export function filterBatch(
  bytes: Buffer,
  verdict: Verdict,
  context: FilterContext,
): Buffer | null {
  const records = context.opener.open(bytes)
  const kept = choose(bytes, records, verdict)
  if (kept.ranges.length === 0) return verdict.staysEmpty ? emptied(bytes) : null
  const hasHorizon = batch.deleteHorizon(bytes) !== batch.NO_TIMESTAMP
  const needsHorizon = !hasHorizon && (kept.hasTombstone || verdict.isMarkerOfNothing)
  if (kept.isWhole && !needsHorizon) return bytes
  const attributes = batch.attributes(bytes)
  const deleteHorizon = needsHorizon ? context.newHorizon : batch.NO_TIMESTAMP
  const baseTimestamp = bytes.readBigInt64BE(27)
  const shift = needsHorizon ? BigInt.asIntN(64, baseTimestamp - BigInt(deleteHorizon)) : 0n
  const content = shift === 0n ? joined(kept, records.content) : shifted(kept, records, shift)
  const header = Buffer.from(bytes.subarray(0, batch.BATCH_HEADER_BYTES))
  const maxTimestamp = batch.isLogAppendTime(attributes)
    ? bytes.readBigInt64BE(35)
    : newest(kept, records.content, baseTimestamp)
  batch.setKept(header, { count: kept.ranges.length, maxTimestamp, deleteHorizon })
  return sealBatch(header, context.opener.compress(content, attributes))
}

/** Where a kept record is in the content, and where its timestamp delta is. */
interface Range {
  readonly start: number
  readonly end: number
  readonly timestampAt: number
  readonly timestampEnd: number
  readonly timestampDelta: number
}

interface Kept {
  readonly ranges: readonly Range[]
  readonly isWhole: boolean
  readonly hasTombstone: boolean
  /** The largest timestamp delta, and whether all are so small that sums of them are exact numbers. */
  readonly maxDelta: number
  readonly isNear: boolean
}

/** Deltas up to it can be added up with times of today without leaving what a number holds exactly. */
const NEAR = 2 ** 50

function choose(bytes: Buffer, records: RawRecords, verdict: Verdict): Kept {
  const baseOffset = batch.baseOffset(bytes)
  const ranges: Range[] = []
  let isWhole = true
  let hasTombstone = false
  let maxDelta = Number.NEGATIVE_INFINITY
  let isNear = true
  const isControl = batch.isControl(batch.attributes(bytes))
  while (records.next()) {
    if (!verdict.keeps(records, baseOffset + records.offsetDelta)) {
      isWhole = false
      continue
    }
    const { start, end, timestampAt, timestampEnd, timestampDelta } = records
    ranges.push({ start, end, timestampAt, timestampEnd, timestampDelta })
    maxDelta = Math.max(maxDelta, timestampDelta)
    isNear &&= Math.abs(timestampDelta) <= NEAR
    if (!records.hasValue && !isControl) hasTombstone = true
  }
  return { ranges, isWhole, hasTombstone, maxDelta, isNear }
}

function emptied(bytes: Buffer): Buffer {
  const header = Buffer.from(bytes.subarray(0, batch.BATCH_HEADER_BYTES))
  batch.setEmpty(header)
  return sealBatch(header, Buffer.alloc(0))
}

function joined({ ranges }: Kept, content: Buffer): Buffer {
  return Buffer.concat(ranges.map(({ start, end }) => content.subarray(start, end)))
}

/** The largest timestamp of what is kept. Java adds up int64s, past their ends too. */
function newest(
  { ranges, maxDelta, isNear }: Kept,
  content: Buffer,
  baseTimestamp: bigint,
): bigint {
  const sum = (delta: bigint): bigint => BigInt.asIntN(64, baseTimestamp + delta)
  if (isNear && isSmall(baseTimestamp)) return sum(BigInt(maxDelta))
  return ranges.reduce(
    (best, range) => {
      const timestamp = sum(exactDelta(content, range))
      return timestamp > best ? timestamp : best
    },
    -(2n ** 63n),
  )
}

const isSmall = (value: bigint): boolean => value >= -BigInt(NEAR) && value <= BigInt(NEAR)

const exactDelta = (content: Buffer, { timestampAt, timestampEnd }: Range): bigint =>
  new Reader(content, timestampAt, timestampEnd).bigVarlong('timestampDelta')

/** The records with every timestamp delta raised: the batch's base timestamp has gone down by as much. */
function shifted(kept: Kept, { content }: RawRecords, shift: bigint): Buffer {
  const isExact = kept.isNear && isSmall(shift)
  const near = Number(shift)
  const parts: Buffer[] = []
  for (const range of kept.ranges) {
    const { end, timestampAt, timestampEnd, timestampDelta } = range
    const delta = isExact
      ? varintOf(timestampDelta + near)
      : bigVarint(BigInt.asIntN(64, exactDelta(content, range) + shift))
    const bytes = 1 + delta.length + (end - timestampEnd)
    const front = Buffer.allocUnsafe(varintBytes(bytes) + 1)
    const at = putVarint(front, 0, bytes)
    front[at] = content[timestampAt - 1]! // its attributes
    parts.push(front, delta, content.subarray(timestampEnd, end))
  }
  return Buffer.concat(parts)
}

function varintOf(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(varintBytes(value))
  putVarint(bytes, 0, value)
  return bytes
}

/** Zig-zag, for what a number does not hold exactly. */
function bigVarint(value: bigint): Buffer {
  const octets: number[] = []
  let rest = BigInt.asUintN(64, (value << 1n) ^ (value >> 63n))
  for (; rest > 0x7fn; rest >>= 7n) octets.push(Number(rest & 0x7fn) | 0x80)
  octets.push(Number(rest))
  return Buffer.from(octets)
}
