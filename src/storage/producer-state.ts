import { crc32c } from '../protocol/crc32c.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import { isExact } from '../protocol/int64.ts'
import * as batch from '../protocol/record-batch.ts'

/** How many batches of a producer are remembered to recognise a retry (KIP-98: at most 5 in flight). */
const BATCHES_MAX = 5
const SNAPSHOT_VERSION = 1
const SNAPSHOT_ENTRY_BYTES = 8 + 2 + 4 + 8 + 4 + 8 + 4 + 8
const SNAPSHOT_HEADER_BYTES = 2 + 4 + 4

interface Batch {
  firstSequence: number
  lastSequence: number
  lastOffset: number
  timestamp: number
}

export interface Producer {
  epoch: number
  /** Oldest first, at most 5. */
  batches: Batch[]
  /** Of its last batch, as the client said it. */
  lastTimestamp: number
  /** When it last appended, in ms of the worker's monotonic clock; 0, when that began, if it was before. */
  seenAt: number
}

/** Producers that are kept of one partition: about 500 bytes each. Past that the one that has been silent the longest is forgotten. */
const PRODUCERS_MAX = 20_000
/** The order of silence is kept no finer than this, in ms. */
const SEEN_MS = 1_000

/** What the leader says to a batch of an idempotent producer: append it, it is already there, or an error code. */
export type SequenceVerdict =
  | { kind: 'append' }
  | { kind: 'duplicate'; baseOffset: number; timestamp: number }
  | { kind: 'error'; code: number }

const APPEND: SequenceVerdict = { kind: 'append' }
const OUT_OF_ORDER: SequenceVerdict = {
  kind: 'error',
  code: ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER,
}
const FENCED: SequenceVerdict = { kind: 'error', code: ErrorCode.INVALID_PRODUCER_EPOCH }

/**
 * The idempotent producers of one partition (KIP-98, KIP-360; ProducerStateManager.java, ProducerAppendInfo.java):
 * rebuilt from the log after a crash, starting at a snapshot in Kafka's format.
 */
export class ProducerState {
  /** In the order in which they were last heard of, about: the one that has been silent the longest comes first. */
  readonly producers = new Map<number, Producer>()

  /** Judges the batch; does not remember it (`update` does, once it is appended). */
  check(header: Buffer): SequenceVerdict {
    const producer = this.producers.get(batch.producerId(header))
    if (producer === undefined) return APPEND
    const epoch = batch.producerEpoch(header)
    const first = batch.baseSequence(header)
    if (epoch < producer.epoch) return FENCED
    if (epoch > producer.epoch) return first === 0 ? APPEND : OUT_OF_ORDER
    const last = batch.addSequence(first, batch.lastOffsetDelta(header))
    for (const known of producer.batches) {
      if (known.firstSequence === first && known.lastSequence === last) {
        const baseOffset = known.lastOffset - batch.lastOffsetDelta(header)
        return { kind: 'duplicate', baseOffset, timestamp: known.timestamp }
      }
    }
    const newest = producer.batches.at(-1)
    if (newest === undefined) return APPEND
    return batch.addSequence(newest.lastSequence, 1) === first ? APPEND : OUT_OF_ORDER
  }

  /**
   * Remembers an appended batch, its offsets assigned. Batches without a producer id are passed over, and those with one that is
   * not exact: the broker has given out none, takes none, and one for many would call the batch of one a retry of another's.
   */
  update(header: Buffer, at = 0, seenAt = 0): void {
    const id = batch.producerId(header, at)
    if (!isProducerId(id) || batch.isControl(batch.attributes(header, at))) return
    const epoch = batch.producerEpoch(header, at)
    const timestamp = batch.maxTimestamp(header, at)
    let producer = this.producers.get(id)
    if (producer === undefined || producer.epoch !== epoch) {
      producer = { epoch, batches: [], lastTimestamp: timestamp, seenAt }
      this.#setLast(id, producer)
      if (this.producers.size > PRODUCERS_MAX) this.forgetOldest(1)
    } else if (seenAt - producer.seenAt >= SEEN_MS) {
      producer.seenAt = seenAt
      this.#setLast(id, producer)
    }
    producer.batches.push(batchOf(header, at))
    if (producer.batches.length > BATCHES_MAX) producer.batches.shift()
    producer.lastTimestamp = timestamp
  }

  /**
   * Takes in a batch from in front of the snapshot that this state was read from, oldest first: a snapshot names only a
   * producer's last batch, but a retry of any of the last 5 must be recognised.
   */
  recall(header: Buffer, at = 0): void {
    const producer = this.producers.get(batch.producerId(header, at))
    const last = producer?.batches.at(-1)
    if (producer === undefined || last === undefined) return
    if (batch.producerEpoch(header, at) !== producer.epoch) return
    if (batch.lastOffset(header, at) >= last.lastOffset) return
    if (batch.isControl(batch.attributes(header, at))) return
    producer.batches.splice(-1, 0, batchOf(header, at))
    if (producer.batches.length > BATCHES_MAX) producer.batches.shift()
  }

  #setLast(id: number, producer: Producer): void {
    this.producers.delete(id)
    this.producers.set(id, producer)
  }

  /**
   * Forgets producers that have appended nothing since `before`, by the broker's clock. Kafka goes by the timestamps of their
   * records: one that sends old records is forgotten while it sends, and its retries are appended again.
   */
  expire(before: number): void {
    for (const [id, producer] of this.producers) {
      if (producer.seenAt < before) this.producers.delete(id)
    }
  }

  /** Forgets so many of those that have been silent the longest. */
  forgetOldest(count: number): void {
    let left = count
    for (const id of this.producers.keys()) {
      if (left-- <= 0) return
      this.producers.delete(id)
    }
  }

  /** Kafka's producer snapshot: version, CRC of what follows it, one entry a producer with its last batch. */
  encode(): Buffer {
    const out = Buffer.alloc(SNAPSHOT_HEADER_BYTES + this.producers.size * SNAPSHOT_ENTRY_BYTES)
    out.writeInt16BE(SNAPSHOT_VERSION, 0)
    out.writeInt32BE(this.producers.size, 6)
    let at = SNAPSHOT_HEADER_BYTES
    for (const [id, producer] of this.producers) {
      const last = producer.batches.at(-1)
      const delta = last === undefined ? 0 : sequenceDistance(last)
      batch.writeInt64(out, at, id)
      out.writeInt16BE(producer.epoch, at + 8)
      out.writeInt32BE(last?.lastSequence ?? -1, at + 10)
      batch.writeInt64(out, at + 14, last?.lastOffset ?? -1)
      out.writeInt32BE(delta, at + 22)
      batch.writeInt64(out, at + 26, producer.lastTimestamp)
      out.writeInt32BE(-1, at + 34) // coordinator epoch
      batch.writeInt64(out, at + 38, -1) // first offset of an open transaction
      at += SNAPSHOT_ENTRY_BYTES
    }
    out.writeUInt32BE(crc32c(out.subarray(6)), 2)
    return out
  }

  /** Reads a snapshot; null if it is not whole, so that the caller takes an older one. */
  static decode(file: Buffer): ProducerState | null {
    if (file.length < SNAPSHOT_HEADER_BYTES || file.readInt16BE(0) !== SNAPSHOT_VERSION) return null
    if (crc32c(file.subarray(6)) !== file.readUInt32BE(2)) return null
    const count = file.readInt32BE(6)
    if (file.length !== SNAPSHOT_HEADER_BYTES + count * SNAPSHOT_ENTRY_BYTES) return null
    const state = new ProducerState()
    for (let at = SNAPSHOT_HEADER_BYTES; at < file.length; at += SNAPSHOT_ENTRY_BYTES) {
      const lastSequence = file.readInt32BE(at + 10)
      const delta = file.readInt32BE(at + 22)
      const timestamp = batch.readInt64(file, at + 26)
      const batches =
        lastSequence < 0
          ? []
          : [
              {
                firstSequence: subtractSequence(lastSequence, delta),
                lastSequence,
                lastOffset: batch.readInt64(file, at + 14),
                timestamp,
              },
            ]
      const epoch = file.readInt16BE(at + 8)
      const id = batch.readInt64(file, at)
      if (isProducerId(id))
        state.producers.set(id, { epoch, batches, lastTimestamp: timestamp, seenAt: 0 })
    }
    return state
  }
}

const isProducerId = (id: number): boolean => id >= 0 && isExact(id)

function batchOf(header: Buffer, at: number): Batch {
  const firstSequence = batch.baseSequence(header, at)
  return {
    firstSequence,
    lastSequence: batch.addSequence(firstSequence, batch.lastOffsetDelta(header, at)),
    lastOffset: batch.lastOffset(header, at),
    timestamp: batch.maxTimestamp(header, at),
  }
}

/** The sequence number `decrement` before `sequence`: it wraps from 0 to 2^31 - 1. */
function subtractSequence(sequence: number, decrement: number): number {
  const difference = sequence - decrement
  return difference < 0 ? difference + 0x80000000 : difference
}

function sequenceDistance(b: Batch): number {
  return subtractSequence(b.lastSequence, b.firstSequence)
}
