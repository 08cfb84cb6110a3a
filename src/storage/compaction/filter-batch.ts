import type { BatchOpener } from '../../protocol/batch-content.ts'
import type { RawRecords } from '../../protocol/raw-records.ts'
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
  const shift = needsHorizon ? batch.baseTimestamp(bytes) - deleteHorizon : 0
  const content = shift === 0 ? joined(kept, records.content) : shifted(kept, records, shift)
  const header = Buffer.from(bytes.subarray(0, batch.BATCH_HEADER_BYTES))
  const maxTimestamp = batch.isLogAppendTime(attributes)
    ? batch.maxTimestamp(bytes)
    : batch.baseTimestamp(bytes) + kept.maxDelta
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
  readonly maxDelta: number
}

function choose(bytes: Buffer, records: RawRecords, verdict: Verdict): Kept {
  const baseOffset = batch.baseOffset(bytes)
  const ranges: Range[] = []
  let isWhole = true
  let hasTombstone = false
  let maxDelta = Number.NEGATIVE_INFINITY
  const isControl = batch.isControl(batch.attributes(bytes))
  while (records.next()) {
    if (!verdict.keeps(records, baseOffset + records.offsetDelta)) {
      isWhole = false
      continue
    }
    const { start, end, timestampAt, timestampEnd, timestampDelta } = records
    ranges.push({ start, end, timestampAt, timestampEnd, timestampDelta })
    maxDelta = Math.max(maxDelta, timestampDelta)
    if (!records.hasValue && !isControl) hasTombstone = true
  }
  return { ranges, isWhole, hasTombstone, maxDelta }
}

function emptied(bytes: Buffer): Buffer {
  const header = Buffer.from(bytes.subarray(0, batch.BATCH_HEADER_BYTES))
  batch.setEmpty(header)
  return sealBatch(header, Buffer.alloc(0))
}

function joined({ ranges }: Kept, content: Buffer): Buffer {
  return Buffer.concat(ranges.map(({ start, end }) => content.subarray(start, end)))
}

/** The records with every timestamp delta raised: the batch's base timestamp has gone down by as much. */
function shifted({ ranges }: Kept, { content }: RawRecords, shift: number): Buffer {
  const parts: Buffer[] = []
  for (const { end, timestampAt, timestampEnd, timestampDelta } of ranges) {
    const delta = timestampDelta + shift
    const attributesAt = timestampAt - 1
    const bytes = 1 + varintBytes(delta) + (end - timestampEnd)
    const front = Buffer.allocUnsafe(varintBytes(bytes) + 1 + varintBytes(delta))
    let at = putVarint(front, 0, bytes)
    front[at++] = content[attributesAt]!
    putVarint(front, at, delta)
    parts.push(front, content.subarray(timestampEnd, end))
  }
  return Buffer.concat(parts)
}
