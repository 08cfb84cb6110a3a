import * as batch from '../../src/protocol/record-batch.ts'
import { sealBatch } from '../../src/protocol/records.ts'
import type { Random } from './random.ts'

/** Where an int64 begins and ends, and where a number stops being exact. */
export const INT64_ENDS: readonly bigint[] = [
  -(2n ** 63n),
  -(2n ** 53n) - 1n,
  -(2n ** 53n),
  -2n,
  -1n,
  0n,
  1n,
  2n ** 53n - 1n,
  2n ** 53n,
  2n ** 53n + 1n,
  2n ** 63n - 1n,
]
export const INT32_ENDS: readonly number[] = [-(2 ** 31), -2, -1, 0, 1, 2 ** 31 - 2, 2 ** 31 - 1]
export const INT16_ENDS: readonly number[] = [-0x8000, -1, 0, 1, 0x7fff]

/** Zig-zag varint of an int64. */
export function varint(value: bigint): Buffer {
  const octets: number[] = []
  let rest = BigInt.asUintN(64, (value << 1n) ^ (value >> 63n))
  for (; rest > 0x7fn; rest >>= 7n) octets.push(Number(rest & 0x7fn) | 0x80)
  octets.push(Number(rest))
  return Buffer.from(octets)
}

export interface RawRecord {
  readonly timestampDelta?: bigint
  readonly offsetDelta: number
  readonly key: string | null
  readonly value: string | null
}

const field = (text: string | null): Buffer =>
  text === null
    ? varint(-1n)
    : Buffer.concat([varint(BigInt(Buffer.byteLength(text))), Buffer.from(text)])

/** Records as bytes, whatever they say. */
export function rawRecords(records: readonly RawRecord[]): Buffer {
  return Buffer.concat(
    records.flatMap(({ timestampDelta = 0n, offsetDelta, key, value }) => {
      const deltas = [varint(timestampDelta), varint(BigInt(offsetDelta))]
      const body = Buffer.concat([
        Buffer.from([0]),
        ...deltas,
        field(key),
        field(value),
        varint(0n),
      ])
      return [varint(BigInt(body.length)), body]
    }),
  )
}

/** What a header says, each field with what an honest producer of one record would. */
export interface RawHeader {
  readonly attributes?: number
  readonly lastOffsetDelta?: number
  readonly baseTimestamp?: bigint
  readonly maxTimestamp?: bigint
  readonly producerId?: bigint
  readonly producerEpoch?: number
  readonly baseSequence?: number
  readonly count?: number
}

/** A batch with a right length and a right CRC, and whatever else. */
export function rawBatch(header: RawHeader, content: Buffer): Buffer {
  const bytes = Buffer.alloc(batch.BATCH_HEADER_BYTES)
  batch.assign(bytes, 0, -1)
  bytes.writeInt8(batch.MAGIC_V2, 16)
  bytes.writeInt16BE(header.attributes ?? 0, 21)
  bytes.writeInt32BE(header.lastOffsetDelta ?? 0, 23)
  bytes.writeBigInt64BE(header.baseTimestamp ?? 1_000n, 27)
  bytes.writeBigInt64BE(header.maxTimestamp ?? header.baseTimestamp ?? 1_000n, 35)
  bytes.writeBigInt64BE(header.producerId ?? -1n, 43)
  bytes.writeInt16BE(header.producerEpoch ?? -1, 51)
  bytes.writeInt32BE(header.baseSequence ?? -1, 53)
  bytes.writeInt32BE(header.count ?? 1, 57)
  return sealBatch(bytes, content)
}

/**
 * A batch of one to three records of which some field is at an end of its range, or lies. As it may lie in a file: but for a last
 * offset delta that is negative, there is nothing that it may not say.
 */
export function oddBatch(random: Random, keys: readonly string[]): Buffer {
  const odd = (): boolean => random.chance(0.25)
  const records = Array.from({ length: 1 + random.below(3) }, (_, i) => ({
    timestampDelta: odd() ? random.pick(INT64_ENDS) : BigInt(i),
    offsetDelta: odd() ? random.pick(INT32_ENDS) : i,
    key: odd() ? null : random.pick(keys),
    value: random.chance(0.2) ? null : 'odd',
  }))
  const content = odd() ? Buffer.from('no records at all') : rawRecords(records)
  const isIdempotent = odd()
  return rawBatch(
    {
      // Codecs that there are and are not, timestamp type, delete horizon, bits without a meaning; no transactions and markers.
      attributes: odd() ? random.below(0x400) & ~0x30 : 0,
      lastOffsetDelta: odd() ? random.pick([0, 1, 7, 2 ** 31 - 1]) : records.length - 1,
      count: odd() ? random.pick(INT32_ENDS) : records.length,
      ...(odd() ? { baseTimestamp: random.pick(INT64_ENDS) } : {}),
      ...(odd() ? { maxTimestamp: random.pick(INT64_ENDS) } : {}),
      ...(isIdempotent
        ? {
            producerId: random.pick(INT64_ENDS),
            producerEpoch: random.pick(INT16_ENDS),
            baseSequence: random.pick(INT32_ENDS),
          }
        : {}),
    },
    content,
  )
}
