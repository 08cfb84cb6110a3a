import * as batch from '../protocol/record-batch.ts'
import {
  ENTRY_APPEND_TIME_F64,
  ENTRY_BASE_OFFSET_F64,
  ENTRY_BATCH_BYTES,
  ENTRY_BATCH_EPOCH,
  ENTRY_COUNT_F64,
  ENTRY_ERROR,
  ENTRY_HANDLE,
  ENTRY_HEADER_BYTES,
  ENTRY_LAST_DELTA,
  ENTRY_MORE,
  ENTRY_PAYLOAD,
  ENTRY_POSITION,
  ENTRY_SEGMENT_F64,
  ENTRY_TOKEN,
  KIND_APPEND,
  KIND_PLACED,
  KIND_STABILITY,
} from '../shared/entry.ts'
import type { Ring } from '../shared/ring.ts'
import type { CommandAnswer, OfflineEvent } from './commands.ts'
import type { Stability } from './log.ts'

/** Messages to the main thread are cut into parts of this size. */
const MESSAGE_PART_BYTES = 256 * 1024

/** The worker's end of the completion ring. */
export class CompletionWriter {
  readonly #ring: Ring
  /** Returns when the main thread may have made room. */
  readonly #waitForSpace: () => void

  constructor(ring: Ring, waitForSpace: () => void) {
    this.#ring = ring
    this.#waitForSpace = waitForSpace
  }

  publish(): void {
    this.#ring.publish()
  }

  /** Says what became of the append at this place of a request ring, the main thread's or another one. */
  complete(requests: Ring, at: number, isMains: boolean): void {
    this.#tell(KIND_APPEND, requests, at, isMains)
  }

  /** Says which offset the append at this place of the main thread's ring has: what becomes of it is still to come. */
  place(requests: Ring, at: number): void {
    this.#tell(KIND_PLACED, requests, at, true)
  }

  #tell(kind: number, requests: Ring, at: number, isMains: boolean): void {
    const completion = this.#reserve(kind, 0)
    copyCompletion(requests, at, this.#ring, completion)
    this.#ring.doubles[(completion >> 3) + ENTRY_COUNT_F64] = isMains ? requests.countAt(at) : -1
  }

  stability(handle: number, { undecided, segmentBase, abortedBytes }: Stability): void {
    const ring = this.#ring
    const at = this.#reserve(KIND_STABILITY, 0)
    ring.words[(at >> 2) + ENTRY_HANDLE] = handle
    ring.words[(at >> 2) + ENTRY_POSITION] = abortedBytes
    ring.doubles[(at >> 3) + ENTRY_BASE_OFFSET_F64] = undecided
    ring.doubles[(at >> 3) + ENTRY_SEGMENT_F64] = segmentBase
  }

  /** Sends a message in as many entries as it takes; all but the last say that more follows. */
  send(kind: number, token: number, message: CommandAnswer | OfflineEvent): void {
    const ring = this.#ring
    const partBytes = Math.min(MESSAGE_PART_BYTES, ring.payloadBytesMax)
    const json = Buffer.from(JSON.stringify(message))
    for (let from = 0; from < json.length; from += partBytes) {
      const part = json.subarray(from, from + partBytes)
      const at = this.#reserve(kind, part.length)
      ring.words[(at >> 2) + ENTRY_TOKEN] = token
      ring.words[(at >> 2) + ENTRY_MORE] = from + part.length < json.length ? 1 : 0
      ring.write(at, part)
    }
  }

  /** Room in the ring, waiting for the main thread if it has fallen behind. */
  #reserve(kind: number, payloadBytes: number): number {
    for (;;) {
      const at = this.#ring.reserve(kind, payloadBytes)
      if (at !== -1) return at
      this.#ring.publish()
      this.#waitForSpace()
    }
  }
}

/** Copies what the main thread needs of a request's entry into its completion. */
function copyCompletion(from: Ring, at: number, to: Ring, completion: number): void {
  const source = at >> 2
  const target = completion >> 2
  to.words[target + ENTRY_HANDLE] = from.words[source + ENTRY_HANDLE]!
  to.words[target + ENTRY_TOKEN] = from.words[source + ENTRY_TOKEN]!
  to.words[target + ENTRY_ERROR] = from.words[source + ENTRY_ERROR]!
  to.words[target + ENTRY_POSITION] = from.words[source + ENTRY_POSITION]!
  to.words[target + ENTRY_LAST_DELTA] = from.words[source + ENTRY_LAST_DELTA]!
  to.words[target + ENTRY_BATCH_BYTES] = from.words[source + ENTRY_PAYLOAD]!
  to.words[target + ENTRY_BATCH_EPOCH] = batch.leaderEpoch(from.bytes, at + ENTRY_HEADER_BYTES)
  for (const double of [ENTRY_BASE_OFFSET_F64, ENTRY_SEGMENT_F64, ENTRY_APPEND_TIME_F64]) {
    to.doubles[(completion >> 3) + double] = from.doubles[(at >> 3) + double]!
  }
}
