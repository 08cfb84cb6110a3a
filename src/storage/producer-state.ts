import { decodeMarker } from '../protocol/control-records.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import { isExact } from '../protocol/int64.ts'
import * as batch from '../protocol/record-batch.ts'

/** How many batches of a producer are remembered to recognise a retry (KIP-98: at most 5 in flight). */
const BATCHES_MAX = 5

export interface ProducedBatch {
  firstSequence: number
  lastSequence: number
  lastOffset: number
  timestamp: number
}

export interface Producer {
  epoch: number
  /** Oldest first, at most 5. */
  batches: ProducedBatch[]
  /** Of its last batch, as the client said it. */
  lastTimestamp: number
  /** Of the newest marker: older coordinators are refused. */
  coordinatorEpoch: number
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
const BAD_TRANSACTION: SequenceVerdict = { kind: 'error', code: ErrorCode.INVALID_TXN_STATE }
const OLD_COORDINATOR: SequenceVerdict = {
  kind: 'error',
  code: ErrorCode.TRANSACTION_COORDINATOR_FENCED,
}

/** From this version of transactions on a producer's epoch rises at every end of one (KIP-890). */
const BUMPING_VERSION = 2
const NONE = -1

/** A transaction that a marker has ended in this partition. */
export interface EndedTransaction {
  readonly producerId: number
  readonly firstOffset: number
  /** Of the marker. */
  readonly lastOffset: number
  readonly isCommit: boolean
}

/**
 * The idempotent producers of one partition and their open transactions (KIP-98, KIP-360, KIP-890; ProducerStateManager.java,
 * ProducerAppendInfo.java): rebuilt from the log after a crash, starting at a snapshot (producer-snapshot.ts).
 */
export class ProducerState {
  /** In the order in which they were last heard of, about: the one that has been silent the longest comes first. */
  readonly producers = new Map<number, Producer>()

  /** Where the open transactions of producers began, the oldest first. */
  readonly #open = new Map<number, number>()

  /** Everything below it is of no transaction, or of one that is over; Infinity: all is. */
  get firstUndecided(): number {
    return this.#open.values().next().value ?? Number.POSITIVE_INFINITY
  }

  /** -1: there is none. */
  openedAt(producerId: number): number {
    return this.#open.get(producerId) ?? NONE
  }

  /**
   * Judges the batch; does not remember it (`update` does, once it is appended).
   * @param version of its transaction; 0: it is of none
   */
  check(bytes: Buffer, version = 0): SequenceVerdict {
    const attributes = batch.attributes(bytes)
    const producer = this.producers.get(batch.producerId(bytes))
    if (batch.isControl(attributes)) return this.#checkMarker(bytes, version, producer)
    const first = batch.baseSequence(bytes)
    if (producer === undefined) {
      // Whoever has bumped its epoch begins at 0: what comes later has lost what was before it.
      return version >= BUMPING_VERSION && first !== 0 ? OUT_OF_ORDER : APPEND
    }
    const isOpen = this.#open.has(batch.producerId(bytes))
    if (isOpen && !batch.isTransactional(attributes)) return BAD_TRANSACTION
    return this.#checkSequence(bytes, first, producer)
  }

  /**
   * One that says what is known already is a duplicate: its coordinator asks until it knows that the marker is there. From version 2 on it
   * has the epoch after that of what it ends, so that a late one cannot end what came later.
   */
  #checkMarker(bytes: Buffer, version: number, producer: Producer | undefined): SequenceVerdict {
    const marker = decodeMarker(bytes)
    if (marker === null) return BAD_TRANSACTION
    if (producer === undefined) return APPEND
    if (marker.coordinatorEpoch < producer.coordinatorEpoch) return OLD_COORDINATOR
    if (marker.producerEpoch < producer.epoch) return FENCED
    if (marker.producerEpoch > producer.epoch) return APPEND
    if (!this.#open.has(marker.producerId)) {
      return { kind: 'duplicate', baseOffset: NONE, timestamp: batch.NO_TIMESTAMP }
    }
    return version >= BUMPING_VERSION ? FENCED : APPEND
  }

  #checkSequence(header: Buffer, first: number, producer: Producer): SequenceVerdict {
    const epoch = batch.producerEpoch(header)
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
   * Remembers an appended batch, its offsets assigned: its header, or the whole of a control batch. Batches without a producer id are
   * passed over, and those with one that is not exact: the broker has given out none, takes none, and one for many would call the
   * batch of one a retry of another's.
   * @returns the transaction that it has ended
   */
  update(bytes: Buffer, at = 0, seenAt = 0): EndedTransaction | null {
    const id = batch.producerId(bytes, at)
    if (!isProducerId(id)) return null
    const attributes = batch.attributes(bytes, at)
    if (batch.isControl(attributes)) return this.#end(bytes, at, seenAt)
    const producer = this.#seen(id, batch.producerEpoch(bytes, at), seenAt)
    producer.batches.push(batchOf(bytes, at))
    if (producer.batches.length > BATCHES_MAX) producer.batches.shift()
    producer.lastTimestamp = batch.maxTimestamp(bytes, at)
    if (batch.isTransactional(attributes) && !this.#open.has(id)) {
      this.#open.set(id, batch.baseOffset(bytes, at))
    }
    return null
  }

  #end(bytes: Buffer, at: number, seenAt: number): EndedTransaction | null {
    const marker = decodeMarker(bytes.subarray(at, at + batch.batchBytes(bytes, at)))
    if (marker === null) return null
    const { producerId, producerEpoch, coordinatorEpoch, isCommit } = marker
    const producer = this.#seen(producerId, producerEpoch, seenAt)
    producer.coordinatorEpoch = coordinatorEpoch
    producer.lastTimestamp = batch.maxTimestamp(bytes, at)
    const firstOffset = this.#open.get(producerId)
    if (firstOffset === undefined) return null
    this.#open.delete(producerId)
    return { producerId, firstOffset, lastOffset: batch.lastOffset(bytes, at), isCommit }
  }

  /** A producer of which something was appended; what is known of it under another epoch counts no more. */
  #seen(id: number, epoch: number, seenAt: number): Producer {
    const known = this.producers.get(id)
    if (known !== undefined && known.epoch === epoch) {
      if (seenAt - known.seenAt < SEEN_MS) return known
      known.seenAt = seenAt
      this.#setLast(id, known)
      return known
    }
    const coordinatorEpoch = known?.coordinatorEpoch ?? NONE
    const producer = { epoch, batches: [], lastTimestamp: NONE, coordinatorEpoch, seenAt }
    this.#setLast(id, producer)
    if (this.producers.size > PRODUCERS_MAX) this.forgetOldest(1)
    return producer
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
      if (producer.seenAt < before && !this.#open.has(id)) this.producers.delete(id)
    }
  }

  /** Forgets so many of those that have been silent the longest, but none with an open transaction: what its marker ends must be known. */
  forgetOldest(count: number): void {
    let left = count
    for (const id of this.producers.keys()) {
      if (left <= 0) return
      if (this.#open.has(id)) continue
      this.producers.delete(id)
      left--
    }
  }

  /** As a snapshot has it; open transactions come in the order in which they began. */
  restore(id: number, producer: Producer): void {
    if (isProducerId(id)) this.producers.set(id, producer)
  }

  restoreOpen(id: number, firstOffset: number): void {
    if (this.producers.has(id)) this.#open.set(id, firstOffset)
  }
}

const isProducerId = (id: number): boolean => id >= 0 && isExact(id)

function batchOf(header: Buffer, at: number): ProducedBatch {
  const firstSequence = batch.baseSequence(header, at)
  return {
    firstSequence,
    lastSequence: batch.addSequence(firstSequence, batch.lastOffsetDelta(header, at)),
    lastOffset: batch.lastOffset(header, at),
    timestamp: batch.maxTimestamp(header, at),
  }
}
