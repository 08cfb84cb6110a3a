import * as batch from '../protocol/record-batch.ts'
import {
  ENTRY_ALIGN,
  ENTRY_BASE_OFFSET_F64,
  ENTRY_BYTES,
  ENTRY_HEADER_BYTES,
  ENTRY_KIND,
  ENTRY_LAST_DELTA,
  ENTRY_PAYLOAD,
  entryBytes,
  KIND_APPEND,
  KIND_DAMAGED,
  KIND_MARK,
} from '../shared/entry.ts'

/**
 * What can be told of a journal group that does not match its checksum. If some of its batches do not match theirs, the
 * damage is there, and the headers can be believed: batches that are whole are entries as any other, the others become
 * entries of KIND_DAMAGED. Marks are left out: nothing tells whether they are right, and recovery does without them.
 * @returns null if the damage may be in a header: then it is not known whose batches these were
 */
export function salvage(group: Buffer): Buffer | null {
  const entries: Buffer[] = []
  let isExplained = false
  for (let at = 0; at < group.length; ) {
    const entry = entryAt(group, at)
    if (entry === null) return null
    at += entry.length
    if (entry.readUInt32LE(ENTRY_KIND * 4) === KIND_MARK) continue
    const state = stateOf(entry)
    if (state === 'contradictory') return null
    if (state === 'damaged') {
      isExplained = true
      entry.writeUInt32LE(KIND_DAMAGED, ENTRY_KIND * 4)
    }
    entries.push(entry)
  }
  return isExplained ? Buffer.concat(entries) : null
}

/** A copy; null if there is none that can be. */
function entryAt(group: Buffer, at: number): Buffer | null {
  if (at + ENTRY_HEADER_BYTES > group.length) return null
  const bytes = group.readUInt32LE(at + ENTRY_BYTES * 4)
  const payload = group.readUInt32LE(at + ENTRY_PAYLOAD * 4)
  const kind = group.readUInt32LE(at + ENTRY_KIND * 4)
  if (bytes % ENTRY_ALIGN !== 0 || bytes !== entryBytes(payload)) return null
  if (bytes > group.length - at) return null
  const isKnown = kind === KIND_APPEND ? payload >= batch.BATCH_HEADER_BYTES : payload === 0
  if (!isKnown || (kind !== KIND_APPEND && kind !== KIND_MARK)) return null
  return Buffer.from(group.subarray(at, at + bytes))
}

type State = 'whole' | 'damaged' | 'contradictory'

/** Of a batch. What its CRC does not cover is in its entry as well: if these differ, either may be wrong. */
function stateOf(entry: Buffer): State {
  const payload = entry.readUInt32LE(ENTRY_PAYLOAD * 4)
  const bytes = entry.subarray(ENTRY_HEADER_BYTES, ENTRY_HEADER_BYTES + payload)
  if (batch.computeCrc(bytes) !== batch.storedCrc(bytes)) return 'damaged'
  const lastDelta = entry.readInt32LE(ENTRY_LAST_DELTA * 4)
  const baseOffset = entry.readDoubleLE(ENTRY_BASE_OFFSET_F64 * 8)
  const agrees = isBatchOf(bytes, baseOffset) && batch.lastOffsetDelta(bytes) === lastDelta
  return agrees ? 'whole' : 'contradictory'
}

/** Whether the bytes are one whole batch with that base offset. */
export function isBatchOf(bytes: Buffer, baseOffset: number): boolean {
  return (
    batch.batchBytes(bytes) === bytes.length &&
    batch.magic(bytes) === batch.MAGIC_V2 &&
    batch.baseOffset(bytes) === baseOffset &&
    batch.computeCrc(bytes) === batch.storedCrc(bytes)
  )
}
