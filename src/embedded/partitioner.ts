/** Kafka's default hash of a key (Utils.murmur2), so that keys land where Java clients put them. */
export function murmur2(key: Uint8Array): number {
  const m = 0x5bd1e995
  let h = 0x9747b28c ^ key.length
  const whole = key.length & ~3
  for (let i = 0; i < whole; i += 4) {
    let k = key[i]! | (key[i + 1]! << 8) | (key[i + 2]! << 16) | (key[i + 3]! << 24)
    k = Math.imul(k, m)
    k ^= k >>> 24
    h = Math.imul(h, m) ^ Math.imul(k, m)
  }
  const rest = key.length & 3
  if (rest === 3) h ^= key[whole + 2]! << 16
  if (rest >= 2) h ^= key[whole + 1]! << 8
  if (rest >= 1) {
    h ^= key[whole]!
    h = Math.imul(h, m)
  }
  h ^= h >>> 13
  h = Math.imul(h, m)
  return h ^ (h >>> 15)
}

/** The partition of a key among so many. */
export function partitionOf(key: Uint8Array, partitions: number): number {
  return (murmur2(key) & 0x7fffffff) % partitions
}
