import { CODEC_NONE, type Codec, decompressWith, loadCodecs } from '../compression/codec.ts'
import { RawRecords } from './raw-records.ts'
import * as batch from './record-batch.ts'
import { MalformedBatch } from './records.ts'

/** Opens batches without waiting, on a thread that may be busy as long as that takes. */
export class BatchOpener {
  readonly #codecs: ReadonlyMap<number, Codec>
  readonly #contentBytesMax: number

  private constructor(codecs: ReadonlyMap<number, Codec>, contentBytesMax: number) {
    this.#codecs = codecs
    this.#contentBytesMax = contentBytesMax
  }

  /** @param contentBytesMax the most that the records of one batch may take when decompressed */
  static async load(contentBytesMax: number): Promise<BatchOpener> {
    return new BatchOpener(await loadCodecs(), contentBytesMax)
  }

  /**
   * The records of one whole batch.
   * @throws MalformedBatch, DecompressionError
   */
  open(bytes: Buffer, contentBytesMax = this.#contentBytesMax): RawRecords {
    const number = batch.codec(batch.attributes(bytes))
    const stored = bytes.subarray(batch.BATCH_HEADER_BYTES)
    const count = batch.recordsCount(bytes)
    const lastDelta = batch.lastOffsetDelta(bytes)
    // A batch of which compaction has left no record has no content either, whatever its codec.
    const isPlain = number === CODEC_NONE || (count === 0 && stored.length === 0)
    if (isPlain) return new RawRecords(stored, count, lastDelta)
    const codec = this.#codecs.get(number)
    if (codec === undefined) throw new MalformedBatch(`there is no codec ${number}`)
    const content = decompressWith(codec, number, stored, contentBytesMax)
    return new RawRecords(content, count, lastDelta)
  }

  /** As the batch's codec has it. */
  compress(content: Buffer, attributes: number): Buffer {
    return this.#codecs.get(batch.codec(attributes))?.compress(content) ?? content
  }
}
