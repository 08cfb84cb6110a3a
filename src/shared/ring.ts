import { assert } from '../assert.ts'
import { copyShared } from './copy.ts'
import {
  ENTRY_BYTES,
  ENTRY_HEADER_BYTES,
  ENTRY_KIND,
  ENTRY_PAYLOAD,
  entryBytes,
  KIND_PAD,
} from './entry.ts'
import {
  COMPLETION_HEAD,
  COMPLETION_TAIL,
  CONTROL_BYTES,
  REQUEST_HEAD,
  REQUEST_TAIL,
  type SharedMemory,
} from './layout.ts'

/**
 * A bounded byte ring for one producer thread and one consumer thread (layout.ts draws it). Entries never wrap: where
 * one does not fit before the end, a pad fills the rest. The views are shared by both ends:
 * `words[at >> 2]` is the first word of the entry at byte `at`, `doubles[at >> 3]` its first 8 bytes.
 */
export class Ring {
  readonly size: number
  readonly bytes: Buffer
  readonly words: Int32Array
  readonly doubles: Float64Array
  readonly control: Int32Array
  readonly #headWord: number
  readonly #tailWord: number
  readonly #mask: number
  /** The producer's unpublished head, the consumer's unreleased position: each end uses its own Ring object. */
  #position = 0
  /** The same without a wrap. */
  #count = 0

  constructor(memory: SharedMemory, which: 'request' | 'completion') {
    const request = which === 'request'
    const start = request ? CONTROL_BYTES : CONTROL_BYTES + memory.requestBytes
    this.size = request ? memory.requestBytes : memory.completionBytes
    assert(this.size >= 1024 && (this.size & (this.size - 1)) === 0, 'ring size is a power of two')
    this.bytes = Buffer.from(memory.buffer, start, this.size)
    this.words = new Int32Array(memory.buffer, start, this.size >> 2)
    this.doubles = new Float64Array(memory.buffer, start, this.size >> 3)
    this.control = new Int32Array(memory.buffer, 0, CONTROL_BYTES >> 2)
    this.#headWord = request ? REQUEST_HEAD : COMPLETION_HEAD
    this.#tailWord = request ? REQUEST_TAIL : COMPLETION_TAIL
    this.#mask = this.size - 1
  }

  /** The largest payload that always fits into an empty ring, wherever its head stands. */
  get payloadBytesMax(): number {
    return (this.size >> 1) - entryBytes(0)
  }

  // Producer.

  /**
   * Takes room for an entry and fills its length and kind; the caller fills the rest and publishes.
   * @returns the entry's byte position in the ring, or -1 if there is no room now.
   */
  reserve(kind: number, payloadBytes: number): number {
    const need = entryBytes(payloadBytes)
    assert(payloadBytes <= this.payloadBytesMax, 'an entry is at most half the ring')
    let at = this.#position & this.#mask
    const toEnd = this.size - at
    const pad = toEnd < need ? toEnd : 0
    const used = (this.#position - Atomics.load(this.control, this.#tailWord)) >>> 0
    if (used + pad + need > this.size) return -1
    if (pad > 0) {
      this.words[(at >> 2) + ENTRY_BYTES] = pad
      this.words[(at >> 2) + ENTRY_KIND] = KIND_PAD
      at = 0
    }
    this.#position = (this.#position + pad + need) | 0
    this.#count += pad + need
    const word = at >> 2
    this.words[word + ENTRY_BYTES] = need
    this.words[word + ENTRY_KIND] = kind
    this.words[word + ENTRY_PAYLOAD] = payloadBytes
    return at
  }

  /** Fills the payload of the entry at this position, which was reserved for as many bytes. */
  write(at: number, payload: Buffer): void {
    copyShared(payload, 0, payload.length, this.bytes, at + ENTRY_HEADER_BYTES)
  }

  /**
   * Whether the producer has not written over what stands at this count of bytes. What the consumer has given back stays
   * there until then: only the producer writes, so it may read what it has written itself, and what the consumer has made of it.
   */
  stillHolds(count: number): boolean {
    return this.#count - count <= this.size
  }

  /** Hands everything reserved so far to the consumer. */
  publish(): void {
    Atomics.store(this.control, this.#headWord, this.#position)
  }

  /** Bytes between the consumer's tail and the producer's head. */
  get used(): number {
    const head = Atomics.load(this.control, this.#headWord)
    return (head - Atomics.load(this.control, this.#tailWord)) >>> 0
  }

  // Consumer.

  /** The next published entry's byte position, pads skipped, or -1. It stays the consumer's until `release`. */
  next(): number {
    const head = Atomics.load(this.control, this.#headWord)
    while (this.#position !== head) {
      const at = this.#position & this.#mask
      const length = this.words[(at >> 2) + ENTRY_BYTES]!
      assert(length >= 8 && length <= this.size - at, 'a ring entry ends inside the ring')
      this.#position = (this.#position + length) | 0
      this.#count += length
      if (this.words[(at >> 2) + ENTRY_KIND] !== KIND_PAD) return at
    }
    return -1
  }

  /** Bytes that had passed before the entry at this position, which has not been given back. */
  countAt(at: number): number {
    const behind = ((this.#position - at - 1) & this.#mask) + 1
    return this.#count - behind
  }

  get isEmpty(): boolean {
    return Atomics.load(this.control, this.#headWord) === this.#position
  }

  /** Gives every entry returned by `next` back to the producer. */
  release(): void {
    Atomics.store(this.control, this.#tailWord, this.#position)
  }
}
