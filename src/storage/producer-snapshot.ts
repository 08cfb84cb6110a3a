import { crc32c } from '../protocol/crc32c.ts'
import { readInt64, writeInt64 } from '../protocol/record-batch.ts'
import { type ProducedBatch, ProducerState } from './producer-state.ts'

/**
 * Kafka's `.snapshot` of the producers of a log (ProducerStateManager.java), big-endian: int16 version | uint32 CRC of what follows it |
 * int32 entries, then for each producer
 *   0 id i64 | 8 epoch i16 | 10 lastSequence i32 | 14 lastOffset i64 | 22 offsetDelta i32 | 26 timestamp i64 | 34 coordinatorEpoch i32
 *   38 first offset of its open transaction i64, or -1
 * of which sequence, offset and delta are those of its last batch; -1 if it has none.
 */
const VERSION = 1
const HEADER_BYTES = 2 + 4 + 4
const ENTRY_BYTES = 8 + 2 + 4 + 8 + 4 + 8 + 4 + 8
const NONE = -1

export function encodeProducers(state: ProducerState): Buffer {
  const out = Buffer.alloc(HEADER_BYTES + state.producers.size * ENTRY_BYTES)
  out.writeInt16BE(VERSION, 0)
  out.writeInt32BE(state.producers.size, 6)
  let at = HEADER_BYTES
  for (const [id, { epoch, batches, lastTimestamp, coordinatorEpoch }] of state.producers) {
    const last = batches.at(-1)
    writeInt64(out, at, id)
    out.writeInt16BE(epoch, at + 8)
    out.writeInt32BE(last?.lastSequence ?? NONE, at + 10)
    writeInt64(out, at + 14, last?.lastOffset ?? NONE)
    out.writeInt32BE(last === undefined ? 0 : deltaOf(last), at + 22)
    writeInt64(out, at + 26, lastTimestamp)
    out.writeInt32BE(coordinatorEpoch, at + 34)
    writeInt64(out, at + 38, state.openedAt(id))
    at += ENTRY_BYTES
  }
  out.writeUInt32BE(crc32c(out.subarray(6)), 2)
  return out
}

/** Null if it is not whole, so that the caller takes an older one. */
export function decodeProducers(file: Buffer): ProducerState | null {
  if (file.length < HEADER_BYTES || file.readInt16BE(0) !== VERSION) return null
  if (crc32c(file.subarray(6)) !== file.readUInt32BE(2)) return null
  if (file.length !== HEADER_BYTES + file.readInt32BE(6) * ENTRY_BYTES) return null
  const state = new ProducerState()
  const open: [number, number][] = []
  for (let at = HEADER_BYTES; at < file.length; at += ENTRY_BYTES) {
    const id = readInt64(file, at)
    const firstOffset = readInt64(file, at + 38)
    if (firstOffset >= 0) open.push([id, firstOffset])
    state.restore(id, {
      epoch: file.readInt16BE(at + 8),
      batches: lastBatch(file, at),
      lastTimestamp: readInt64(file, at + 26),
      coordinatorEpoch: file.readInt32BE(at + 34),
      seenAt: 0,
    })
  }
  open.sort(([, a], [, b]) => a - b)
  for (const [id, firstOffset] of open) state.restoreOpen(id, firstOffset)
  return state
}

function lastBatch(file: Buffer, at: number): ProducedBatch[] {
  const lastSequence = file.readInt32BE(at + 10)
  if (lastSequence < 0) return []
  const firstSequence = before(lastSequence, file.readInt32BE(at + 22))
  const lastOffset = readInt64(file, at + 14)
  return [{ firstSequence, lastSequence, lastOffset, timestamp: readInt64(file, at + 26) }]
}

const deltaOf = ({ firstSequence, lastSequence }: ProducedBatch): number =>
  before(lastSequence, firstSequence)

/** The sequence number so much before: it wraps from 0 to 2^31 - 1. */
function before(sequence: number, decrement: number): number {
  const difference = sequence - decrement
  return difference < 0 ? difference + 0x80000000 : difference
}
