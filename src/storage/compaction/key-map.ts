/** Bytes of a slot of the table: where its key is, and the key's offset. */
const SLOT_BYTES = 4 + 8
const KEY_HEADER_BYTES = 4
const SLOTS_MIN = 16
const ARENA_BYTES_MIN = 1024
/** Slots in use of a hundred, above which probing gets slow. */
const LOAD_MAX = 0.75
const ARENA_BYTES_MAX = 0xffffffff

/**
 * The newest offset of each key of a part of a log. Keys are kept and compared whole, unlike in Kafka, where two keys of the
 * same hash would be one. Open addressing in typed arrays: memory grows with the keys up to a bound and is never the
 * garbage collector's.
 */
export class KeyMap {
  readonly #bytesMax: number
  readonly #seed: number
  #slots = SLOTS_MIN
  /** Position in the arena plus one; 0 where there is no key. */
  #places = new Uint32Array(SLOTS_MIN)
  #offsets = new Float64Array(SLOTS_MIN)
  /** {uint32 length, key} one after the other. */
  #arena = Buffer.allocUnsafe(ARENA_BYTES_MIN)
  #used = 0
  #size = 0

  /** @param bytesMax of table and keys together; @param seed so that nobody can know which keys share a slot */
  constructor(bytesMax: number, seed: number) {
    this.#bytesMax = bytesMax
    this.#seed = seed
  }

  get size(): number {
    return this.#size
  }

  /** @returns false if there is no room for another key: then nothing has changed */
  put(key: Uint8Array, offset: number): boolean {
    const slot = this.#find(key)
    if (this.#places[slot] !== 0) {
      this.#offsets[slot] = offset
      return true
    }
    if (!this.#makeRoom(key.length)) return false
    const free = this.#find(key)
    this.#arena.writeUInt32LE(key.length, this.#used)
    this.#arena.set(key, this.#used + KEY_HEADER_BYTES)
    this.#places[free] = this.#used + 1
    this.#offsets[free] = offset
    this.#used += KEY_HEADER_BYTES + key.length
    this.#size++
    return true
  }

  /** The newest offset, or -1. */
  get(key: Uint8Array): number {
    const slot = this.#find(key)
    return this.#places[slot] === 0 ? -1 : this.#offsets[slot]!
  }

  /** The slot that has the key, or the free one where it belongs. */
  #find(key: Uint8Array): number {
    const mask = this.#slots - 1
    let slot = this.#hash(key, 0, key.length) & mask
    for (;;) {
      const place = this.#places[slot]!
      if (place === 0 || this.#holds(place - 1, key)) return slot
      slot = (slot + 1) & mask
    }
  }

  #holds(place: number, key: Uint8Array): boolean {
    if (this.#arena.readUInt32LE(place) !== key.length) return false
    const start = place + KEY_HEADER_BYTES
    return this.#arena.compare(key, 0, key.length, start, start + key.length) === 0
  }

  /** FNV-1a with a seed, its bits mixed at the end. */
  #hash(bytes: Uint8Array, start: number, end: number): number {
    let hash = this.#seed
    for (let at = start; at < end; at++) hash = Math.imul(hash ^ bytes[at]!, 0x01000193)
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
    return (hash ^ (hash >>> 16)) >>> 0
  }

  #makeRoom(keyBytes: number): boolean {
    const needed = this.#used + KEY_HEADER_BYTES + keyBytes
    let arena = this.#arena.length
    while (arena < needed) arena *= 2
    const slots = this.#size + 1 > this.#slots * LOAD_MAX ? this.#slots * 2 : this.#slots
    if (arena > ARENA_BYTES_MAX || arena + slots * SLOT_BYTES > this.#bytesMax) return false
    if (arena > this.#arena.length) {
      const grown = Buffer.allocUnsafe(arena)
      this.#arena.copy(grown, 0, 0, this.#used)
      this.#arena = grown
    }
    if (slots > this.#slots) this.#rehash(slots)
    return true
  }

  #rehash(slots: number): void {
    const places = new Uint32Array(slots)
    const offsets = new Float64Array(slots)
    for (let old = 0; old < this.#slots; old++) {
      const place = this.#places[old]!
      if (place === 0) continue
      const start = place - 1 + KEY_HEADER_BYTES
      const end = start + this.#arena.readUInt32LE(place - 1)
      let slot = this.#hash(this.#arena, start, end) & (slots - 1)
      while (places[slot] !== 0) slot = (slot + 1) & (slots - 1)
      places[slot] = place
      offsets[slot] = this.#offsets[old]!
    }
    this.#places = places
    this.#offsets = offsets
    this.#slots = slots
  }
}
