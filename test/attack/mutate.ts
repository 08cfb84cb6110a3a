import type { Random } from '../lib/random.ts'
import { sealAgain } from './batch.ts'

/** Behind the length: key, version, correlation id, client id. */
const KEY_AT = 4
const VERSION_AT = 6
const BODY_AT = 14
/** Where a batch's own bytes begin, and what must stand at its 17th. */
const BATCH_LENGTH_AT = 8
const BATCH_MAGIC_AT = 16
const BATCH_HEADER_BYTES = 61
const PRODUCE = 0

const NUMBERS = [0n, 1n, -1n, 2n, 100n, 127n, -128n, 32_767n, -32_768n, 65_535n]
const LARGE = [
  2n ** 31n - 1n,
  -(2n ** 31n),
  2n ** 32n - 1n,
  2n ** 53n,
  2n ** 63n - 1n,
  -(2n ** 63n),
]
const VARINTS = [
  'ffffffff0f',
  'ffffffffffffffffff01',
  '8080808008',
  'feffffff0f',
  '00',
  '01',
  'ff7f',
]

/** What a mutation may be told of: other requests, and names and ids that exist. */
export interface Surroundings {
  readonly traffic: readonly Buffer[]
  readonly names: readonly Buffer[]
}

type Mutation = (frame: Buffer, random: Random, around: Surroundings) => Buffer

/** A place behind the correlation id. */
const place = (frame: Buffer, random: Random): number =>
  Math.min(BODY_AT, frame.length) + random.below(Math.max(1, frame.length - BODY_AT))

function replaced(frame: Buffer, at: number, bytes: number, by: Buffer): Buffer {
  return Buffer.concat([frame.subarray(0, at), by, frame.subarray(at + bytes)])
}

function integer(size: number, value: bigint): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigInt64BE(BigInt.asIntN(64, value))
  return bytes.subarray(8 - size)
}

const MUTATIONS: readonly Mutation[] = [
  function flipBits(frame, random) {
    const bytes = Buffer.from(frame)
    for (let n = 1 + random.below(4); n > 0; n--)
      bytes[place(frame, random)]! ^= 1 << random.below(8)
    return bytes
  },
  function writeNumber(frame, random) {
    const size = random.pick([1, 2, 4, 8])
    return replaced(frame, place(frame, random), size, integer(size, random.pick(NUMBERS)))
  },
  function writeLargeNumber(frame, random) {
    const size = random.pick([2, 4, 8])
    return replaced(frame, place(frame, random), size, integer(size, random.pick(LARGE)))
  },
  function writeVarint(frame, random) {
    const by = Buffer.from(random.pick(VARINTS), 'hex')
    return replaced(frame, place(frame, random), random.pick([1, by.length]), by)
  },
  function remove(frame, random) {
    return replaced(frame, place(frame, random), 1 + random.below(32), Buffer.alloc(0))
  },
  function insert(frame, random) {
    const by = Buffer.alloc(1 + random.below(32), random.pick([0, 0xff, 0x80, 0x41]))
    return replaced(frame, place(frame, random), 0, by)
  },
  function repeat(frame, random) {
    const at = place(frame, random)
    const piece = frame.subarray(at, at + 1 + random.below(64))
    const by = Buffer.alloc(piece.length * (1 + random.below(16)), piece)
    return piece.length === 0 ? frame : replaced(frame, at, 0, by)
  },
  function splice(frame, random, { traffic }) {
    const other = random.pick(traffic)
    return Buffer.concat([
      frame.subarray(0, place(frame, random)),
      other.subarray(place(other, random)),
    ])
  },
  function otherVersion(frame, random) {
    return replaced(frame, VERSION_AT, 2, integer(2, BigInt(random.below(20))))
  },
  function otherApi(frame, random) {
    return replaced(frame, KEY_AT, 2, integer(2, BigInt(random.below(96))))
  },
  /** Takes a text of one length for another: names that exist, and ids. */
  function otherName(frame, random, { names }) {
    const name = random.pick(names)
    return replaced(frame, place(frame, random), name.length, name)
  },
]

/** Where a record batch seems to be, -1 if nowhere. */
function batchAt(frame: Buffer): number {
  if (frame.readInt16BE(KEY_AT) !== PRODUCE) return -1
  for (let at = BODY_AT; at + BATCH_HEADER_BYTES <= frame.length; at++) {
    if (frame[at + BATCH_MAGIC_AT] !== 2) continue
    const end = at + 12 + frame.readInt32BE(at + BATCH_LENGTH_AT)
    if (end > at + BATCH_HEADER_BYTES && end <= frame.length) return at
  }
  return -1
}

/** A batch that is mutated and has the right length and checksum nevertheless. */
function mutatedBatch(frame: Buffer, at: number, random: Random): Buffer {
  const end = at + 12 + frame.readInt32BE(at + BATCH_LENGTH_AT)
  const inside = 21 + random.below(end - at - 21)
  const size = random.pick([1, 2, 4, 8])
  const by = integer(size, random.pick(random.chance(0.5) ? NUMBERS : LARGE))
  const batch = replaced(frame.subarray(at, end), inside, size, by).subarray(0, end - at)
  return replaced(frame, at, end - at, sealAgain(batch))
}

/**
 * One request as some client sent it, changed once to three times; its length is right but for one in twenty, so that
 * what was changed is read. One in ten is left as it was.
 */
export function mutated(random: Random, around: Surroundings): Buffer {
  let frame = random.pick(around.traffic)
  if (random.chance(0.1)) return frame
  for (let n = 1 + random.below(3); n > 0; n--) {
    const batch = random.chance(0.5) ? batchAt(frame) : -1
    frame =
      batch === -1
        ? random.pick(MUTATIONS)(frame, random, around)
        : mutatedBatch(frame, batch, random)
    if (frame.length < BODY_AT) return frame
  }
  frame = Buffer.from(frame)
  if (!random.chance(0.05)) frame.writeInt32BE(frame.length - 4, 0)
  return frame
}
