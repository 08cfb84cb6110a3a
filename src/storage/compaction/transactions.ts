import type { BatchOpener } from '../../protocol/batch-content.ts'
import * as batch from '../../protocol/record-batch.ts'
import { isUnreadable } from '../../protocol/records.ts'

const MARKER_ABORT = 0
const MARKER_COMMIT = 1
/** Of a marker that says something else or cannot be read: it stays. */
const UNKNOWN = -1

/** A transaction whose marker says that it was aborted. */
interface Aborted {
  readonly producerId: number
  /** Of its first batch that was met. */
  readonly firstOffset: number
}

/** Finds the transactions of a part of a log, by a walk over its batches from the first to the last. */
export class TransactionFinder {
  readonly #open = new Map<number, number>()
  readonly aborted: Aborted[] = []

  /** @param bytes a whole batch if it is a marker, else at least its header */
  note(bytes: Buffer, opener: BatchOpener): void {
    const attributes = batch.attributes(bytes)
    if (!batch.isTransactional(attributes)) return
    const producerId = batch.producerId(bytes)
    if (!batch.isControl(attributes)) {
      if (!this.#open.has(producerId)) this.#open.set(producerId, batch.baseOffset(bytes))
      return
    }
    const firstOffset = this.#open.get(producerId)
    if (firstOffset === undefined) return
    const type = markerType(bytes, opener)
    if (type === MARKER_ABORT) this.aborted.push({ producerId, firstOffset })
    if (type === MARKER_ABORT || type === MARKER_COMMIT) this.#open.delete(producerId)
  }

  /** Where the first transaction begins that is not over: nothing from there on may be compacted. */
  get firstOpenOffset(): number {
    return Math.min(Number.POSITIVE_INFINITY, ...this.#open.values())
  }
}

/**
 * Which batches and markers may go, in a walk over the log (CleanedTransactionMetadata.java): what was aborted goes; a marker
 * stays as long as any batch of its transaction does.
 */
export class TransactionFilter {
  readonly #aborted: Aborted[]
  /** Aborted transactions that the walk is in, and whether any of their batches was met. */
  readonly #inAborted = new Map<number, { isMet: boolean }>()
  readonly #inCommitted = new Set<number>()

  constructor(aborted: readonly Aborted[]) {
    this.#aborted = aborted.toSorted((a, b) => b.firstOffset - a.firstOffset)
  }

  /** Whether the batch is of no use any more. */
  mayGo(bytes: Buffer, opener: BatchOpener): boolean {
    const attributes = batch.attributes(bytes)
    if (!batch.isTransactional(attributes)) return false
    this.#enter(batch.lastOffset(bytes))
    const producerId = batch.producerId(bytes)
    if (batch.isControl(attributes)) return this.#leave(bytes, producerId, opener)
    const aborted = this.#inAborted.get(producerId)
    if (aborted !== undefined) {
      aborted.isMet = true
      return true
    }
    this.#inCommitted.add(producerId)
    return false
  }

  #enter(offset: number): void {
    for (let next = this.#aborted.at(-1); next !== undefined; next = this.#aborted.at(-1)) {
      if (next.firstOffset > offset) return
      this.#aborted.pop()
      if (!this.#inAborted.has(next.producerId)) {
        this.#inAborted.set(next.producerId, { isMet: false })
      }
    }
  }

  #leave(bytes: Buffer, producerId: number, opener: BatchOpener): boolean {
    switch (markerType(bytes, opener)) {
      case MARKER_ABORT: {
        const aborted = this.#inAborted.get(producerId)
        this.#inAborted.delete(producerId)
        return aborted === undefined || !aborted.isMet
      }
      case MARKER_COMMIT:
        return !this.#inCommitted.delete(producerId)
      case null:
        return true
      default:
        return false
    }
  }
}

/** Of a control batch; null if its record is gone. The key is {int16 version, int16 type}. */
function markerType(bytes: Buffer, opener: BatchOpener): number | null {
  if (batch.recordsCount(bytes) === 0) return null
  try {
    const records = opener.open(bytes)
    if (!records.next() || records.key === null || records.key.length < 4) return UNKNOWN
    return records.key.readInt16BE(2)
  } catch (error) {
    if (!isUnreadable(error)) throw error
    return UNKNOWN
  }
}
