import { CODEC_NONE, compress, DecompressionError, decompress } from '../compression/codec.ts'
import { clampInt64, isExact } from './int64.ts'
import { MalformedFrame, Reader } from './reader.ts'
import * as batch from './record-batch.ts'

/**
 * The records inside a v2 batch (DefaultRecord.java), for those who look inside: search, compaction, embedded use, CLI.
 *
 *   record  varint length | int8 attributes | varlong timestampDelta | varint offsetDelta
 *           varint key length, key | varint value length, value | varint count, headers
 *   header  varint key length, key | varint value length, value
 *
 * Varints are zig-zag; a length of -1 is null.
 */
export interface BatchRecord {
  readonly offset: number
  /** ms since 1970, or -1; exact, or an end of the range (int64.ts). The append time if the batch is LogAppendTime. */
  readonly timestamp: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: readonly RecordHeader[]
}

export interface RecordHeader {
  readonly key: string
  readonly value: Buffer | null
}

/** A batch whose content is not the records that its header announces. */
export class MalformedBatch extends Error {
  override readonly name = 'MalformedBatch'
}

/** Whether what was thrown says that a batch cannot be opened, not that something else went wrong. */
export const isUnreadable = (error: unknown): error is MalformedBatch | DecompressionError =>
  error instanceof MalformedBatch || error instanceof DecompressionError

/** A record takes at least a length, attributes, two deltas, two lengths and a count. */
const RECORD_BYTES_MIN = 7

/**
 * The records of one whole batch, decompressed. They are decoded as they are iterated; keys and values are views on
 * `bytes` or on the decompressed content. Offsets rise but may have gaps, as compaction leaves them.
 * @param maxBytes the most that the content may take when decompressed
 * @throws MalformedBatch at once or while iterating; DecompressionError
 */
export async function readRecords(bytes: Buffer, maxBytes: number): Promise<Iterable<BatchRecord>> {
  if (bytes.length < batch.BATCH_HEADER_BYTES) throw new MalformedBatch('the header is cut off')
  if (batch.magic(bytes) !== batch.MAGIC_V2) {
    throw new MalformedBatch(`magic ${batch.magic(bytes)} is not 2`)
  }
  if (batch.batchBytes(bytes) !== bytes.length) {
    throw new MalformedBatch(`${bytes.length} bytes where ${batch.batchBytes(bytes)} are announced`)
  }
  const codec = batch.codec(batch.attributes(bytes))
  if (codec > batch.CODEC_MAX) throw new MalformedBatch(`there is no codec ${codec}`)
  let content = bytes.subarray(batch.BATCH_HEADER_BYTES)
  if (codec !== CODEC_NONE) content = await decompress(codec, content, maxBytes)
  const count = batch.recordsCount(bytes)
  if (count < 0 || count * RECORD_BYTES_MIN > content.length) {
    throw new MalformedBatch(`${count} records announced in ${content.length} bytes`)
  }
  return { [Symbol.iterator]: () => iterate(bytes, content, count) }
}

function* iterate(header: Buffer, content: Buffer, count: number): Generator<BatchRecord, void> {
  const reader = new Reader(content)
  const context: BatchContext = {
    header,
    baseOffset: batch.baseOffset(header),
    baseTimestamp: batch.baseTimestamp(header),
    appendTime: batch.isLogAppendTime(batch.attributes(header)) ? batch.maxTimestamp(header) : null,
  }
  let deltaMin = 0
  for (let i = 0; i < count; i++) {
    const record = readRecord(reader, context)
    const delta = record.offset - context.baseOffset
    if (delta < deltaMin || delta > batch.lastOffsetDelta(header)) {
      throw new MalformedBatch(`record ${i} has offset delta ${delta}`)
    }
    deltaMin = delta + 1
    yield record
  }
  if (reader.remaining > 0) {
    throw new MalformedBatch(`${reader.remaining} bytes behind the last record`)
  }
}

interface BatchContext {
  readonly header: Buffer
  readonly baseOffset: number
  readonly baseTimestamp: number
  /** ms, or null if every record has its own. */
  readonly appendTime: number | null
}

function readRecord(reader: Reader, context: BatchContext): BatchRecord {
  try {
    const length = reader.varint('record length')
    const end = reader.position + length
    if (length < 0 || end > reader.end) throw malformed(reader, `a record of ${length} bytes`)
    reader.int8('attributes')
    const record: BatchRecord = {
      timestamp: readTimestamp(reader, context),
      offset: context.baseOffset + reader.varint('offsetDelta'),
      key: readBytes(reader, 'key'),
      value: readBytes(reader, 'value'),
      headers: readHeaders(reader),
    }
    if (reader.position !== end) throw malformed(reader, `a record should end at byte ${end}`)
    return record
  } catch (error) {
    if (!(error instanceof MalformedFrame)) throw error
    throw new MalformedBatch(error.message, { cause: error })
  }
}

function readTimestamp(
  reader: Reader,
  { header, baseTimestamp, appendTime }: BatchContext,
): number {
  const at = reader.position
  const delta = reader.varlong('timestampDelta')
  if (appendTime !== null) return appendTime
  const timestamp = baseTimestamp + delta
  if (isExact(baseTimestamp) && isExact(delta) && isExact(timestamp)) return timestamp
  // Java adds up int64s, past their ends too.
  reader.position = at
  const exact = header.readBigInt64BE(27) + reader.bigVarlong('timestampDelta')
  return clampInt64(BigInt.asIntN(64, exact))
}

/** Kafka takes any negative length for null. */
function readBytes(reader: Reader, field: string): Buffer | null {
  const length = reader.varint(field)
  return length < 0 ? null : reader.view(length, field)
}

const NO_HEADERS: readonly RecordHeader[] = Object.freeze([])

function readHeaders(reader: Reader): readonly RecordHeader[] {
  const count = reader.varint('headers')
  if (count === 0) return NO_HEADERS
  if (count < 0 || count * 2 > reader.remaining) throw malformed(reader, `${count} headers`)
  const headers: RecordHeader[] = []
  for (let i = 0; i < count; i++) {
    const key = readBytes(reader, 'header key')
    if (key === null) throw malformed(reader, 'a header without a key')
    headers.push({ key: key.toString('utf8'), value: readBytes(reader, 'header value') })
  }
  return headers
}

function malformed(reader: Reader, what: string): MalformedBatch {
  return new MalformedBatch(`${what} at byte ${reader.position} of the records`)
}

/** A record to put into a batch. */
export interface NewRecord {
  /** ms since 1970, or -1 for none; a whole number. */
  readonly timestamp: number
  readonly key?: Uint8Array | null
  readonly value?: Uint8Array | null
  readonly headers?: readonly { readonly key: string; readonly value: Uint8Array | null }[]
  /** Distance to the batch's base offset; by default one more than that of the record before. */
  readonly offsetDelta?: number
}

/** What the header says beyond the records; each has Kafka's "none" as its default. */
export interface BatchOptions {
  readonly codec?: number
  readonly baseOffset?: number
  readonly leaderEpoch?: number
  readonly producerId?: number
  readonly producerEpoch?: number
  readonly baseSequence?: number
  readonly transactional?: boolean
  readonly control?: boolean
  /** At least that of the last record; compaction keeps the one the batch had. */
  readonly lastOffsetDelta?: number
}

/**
 * One v2 batch with a right CRC.
 * @throws RangeError for offsets that do not rise, a timestamp that is none, or more bytes than an int32 counts
 */
export async function encodeBatch(
  records: readonly NewRecord[],
  options: BatchOptions = {},
): Promise<Buffer> {
  const { header, content } = layOut(records, options)
  const { codec = CODEC_NONE } = options
  return sealBatch(header, codec === CODEC_NONE ? content : await compress(codec, content))
}

/** The same without compression, at once. */
export function encodePlainBatch(
  records: readonly NewRecord[],
  options: Omit<BatchOptions, 'codec'> = {},
): Buffer {
  const { header, content } = layOut(records, options)
  return sealBatch(header, content)
}

function layOut(records: readonly NewRecord[], options: BatchOptions) {
  const base = records[0]?.timestamp ?? batch.NO_TIMESTAMP
  let maxTimestamp = batch.NO_TIMESTAMP
  let lastDelta = -1
  let bytes = 0
  const plans: RecordPlan[] = []
  for (const record of records) {
    const plan = planRecord(record, base, record.offsetDelta ?? lastDelta + 1)
    if (plan.offsetDelta <= lastDelta || plan.offsetDelta > DELTA_MAX) {
      throw new RangeError(`offset delta ${plan.offsetDelta} after ${lastDelta}`)
    }
    lastDelta = plan.offsetDelta
    maxTimestamp = Math.max(maxTimestamp, record.timestamp)
    bytes += varintBytes(plan.bytes) + plan.bytes
    plans.push(plan)
  }
  if (bytes > CONTENT_BYTES_MAX) throw new RangeError(`${bytes} bytes of records in one batch`)
  const content = Buffer.allocUnsafe(bytes)
  let at = 0
  for (const plan of plans) at = putRecord(content, at, plan)
  const header = encodeHeader(records.length, lastDelta, base, maxTimestamp, options)
  return { header, content }
}

const DELTA_MAX = 0x7fffffff
const CONTENT_BYTES_MAX = 0x7fffffff - batch.BATCH_HEADER_BYTES
/** The largest time that a Date can hold, in ms. */
const TIMESTAMP_MAX = 8.64e15

function encodeHeader(
  count: number,
  lastDelta: number,
  baseTimestamp: number,
  maxTimestamp: number,
  options: BatchOptions,
): Buffer {
  const { lastOffsetDelta = lastDelta } = options
  if (lastOffsetDelta < lastDelta || lastOffsetDelta < 0) {
    throw new RangeError(`last offset delta ${lastOffsetDelta} with records up to ${lastDelta}`)
  }
  const header = Buffer.alloc(batch.BATCH_HEADER_BYTES)
  batch.assign(header, options.baseOffset ?? 0, options.leaderEpoch ?? -1)
  header.writeInt8(batch.MAGIC_V2, 16)
  header.writeInt16BE(attributesOf(options), 21)
  header.writeInt32BE(lastOffsetDelta, 23)
  batch.writeInt64(header, 27, baseTimestamp)
  batch.writeInt64(header, 35, maxTimestamp)
  batch.writeInt64(header, 43, options.producerId ?? batch.NO_PRODUCER_ID)
  header.writeInt16BE(options.producerEpoch ?? -1, 51)
  header.writeInt32BE(options.baseSequence ?? -1, 53)
  header.writeInt32BE(count, 57)
  return header
}

/** Puts header and content together, and fills in the length and the CRC. */
export function sealBatch(header: Buffer, content: Buffer): Buffer {
  const whole = Buffer.concat([header, content])
  whole.writeInt32BE(whole.length - batch.LOG_OVERHEAD_BYTES, 8)
  whole.writeUInt32BE(batch.computeCrc(whole), 17)
  return whole
}

function attributesOf({ codec, transactional, control }: BatchOptions): number {
  return (codec ?? CODEC_NONE) | (transactional ? 0x10 : 0) | (control ? 0x20 : 0)
}

/** A record with what must be known before its first byte is written. */
interface RecordPlan {
  readonly record: NewRecord
  readonly headers: readonly { readonly key: Buffer; readonly value: Uint8Array | null }[]
  readonly timestampDelta: number
  readonly offsetDelta: number
  /** Without the length in front. */
  readonly bytes: number
}

function planRecord(record: NewRecord, baseTimestamp: number, offsetDelta: number): RecordPlan {
  const { timestamp } = record
  if (!Number.isInteger(timestamp) || timestamp < -1 || timestamp > TIMESTAMP_MAX) {
    throw new RangeError(`${timestamp} is no timestamp`)
  }
  const timestampDelta = timestamp - baseTimestamp
  const headers = (record.headers ?? []).map(header => ({
    key: Buffer.from(header.key, 'utf8'),
    value: header.value,
  }))
  let bytes = 1 + varintBytes(timestampDelta) + varintBytes(offsetDelta)
  bytes += bytesBytes(record.key) + bytesBytes(record.value) + varintBytes(headers.length)
  for (const { key, value } of headers) bytes += bytesBytes(key) + bytesBytes(value)
  return { record, headers, timestampDelta, offsetDelta, bytes }
}

function putRecord(target: Buffer, start: number, plan: RecordPlan): number {
  const { record, headers } = plan
  let at = putVarint(target, start, plan.bytes)
  target[at++] = 0 // attributes: none are in use
  at = putVarint(target, at, plan.timestampDelta)
  at = putVarint(target, at, plan.offsetDelta)
  at = putBytes(target, at, record.key)
  at = putBytes(target, at, record.value)
  at = putVarint(target, at, headers.length)
  for (const { key, value } of headers) {
    at = putBytes(target, at, key)
    at = putBytes(target, at, value)
  }
  return at
}

function bytesBytes(bytes: Uint8Array | null | undefined): number {
  return bytes ? varintBytes(bytes.length) + bytes.length : 1
}

function putBytes(target: Buffer, at: number, bytes: Uint8Array | null | undefined): number {
  if (!bytes) return putVarint(target, at, -1)
  const start = putVarint(target, at, bytes.length)
  target.set(bytes, start)
  return start + bytes.length
}

/** Bytes of a whole number as a zig-zag varint: six bits of its magnitude in the first, seven in each further one. */
export function varintBytes(value: number): number {
  let rest = Math.floor((value < 0 ? -value - 1 : value) / 64)
  let bytes = 1
  for (; rest > 0; rest = Math.floor(rest / 128)) bytes++
  return bytes
}

/** Zig-zag without BigInt: the sign goes to the lowest bit, so every safe integer is exact. */
export function putVarint(target: Buffer, start: number, value: number): number {
  const magnitude = value < 0 ? -value - 1 : value
  let rest = Math.floor(magnitude / 64)
  let low = (magnitude % 64) * 2 + (value < 0 ? 1 : 0)
  let at = start
  while (rest > 0) {
    target[at++] = low | 0x80
    low = rest % 128
    rest = Math.floor(rest / 128)
  }
  target[at++] = low
  return at
}
