import { ErrorCode } from '../../protocol/error-codes.ts'
import * as batch from '../../protocol/record-batch.ts'
import { type BatchRecord, isUnreadable, readRecords } from '../../protocol/records.ts'
import type { Cluster, TopicMetadata } from '../base/cluster.ts'
import { CliError, expectNone } from '../base/failure.ts'
import { fetchNext, type Range, wholeBatches } from '../base/fetch.ts'
import { EARLIEST, listOffsets } from '../base/offsets.ts'

const FETCH_BYTES = { maxBytes: 8 * 1024 * 1024, partitionMaxBytes: 1024 * 1024 }
/** The most that one batch may take when decompressed. */
const DECOMPRESSED_BYTES_MAX = 256 * 1024 * 1024

export interface Sink {
  /** Takes a record; false if it was the last one that is wanted. */
  take(partition: number, record: BatchRecord): Promise<boolean>
  /** Nothing more is there for now. */
  flush(): Promise<void>
  /** Something that is worth a line but no failure. */
  note(line: string): void
}

/** Reads ranges of one topic to their ends: in order within a partition, from all leaders side by side. */
export class Consumer {
  readonly #cluster: Cluster
  readonly #topic: TopicMetadata
  readonly #sink: Sink
  #hasEnough = false

  constructor(cluster: Cluster, topic: TopicMetadata, sink: Sink) {
    this.#cluster = cluster
    this.#topic = topic
    this.#sink = sink
  }

  /** Resolves when all ranges are read, or the sink has enough: then a fetch may still be under way. */
  async run(ranges: readonly Range[]): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const leaders = new Set(ranges.map(range => range.leaderId))
      const follows = [...leaders].map(async leader => {
        const ofLeader = ranges.filter(range => range.leaderId === leader)
        await this.#follow(leader, ofLeader)
        if (this.#hasEnough) resolve()
      })
      Promise.all(follows).then(() => resolve(), reject)
    })
    await this.#sink.flush()
  }

  async #follow(leader: number, ranges: readonly Range[]): Promise<void> {
    const client = await this.#cluster.broker(leader)
    for (let turn = 0; ; turn++) {
      const open = ranges.filter(range => range.offset < range.end)
      if (open.length === 0 || this.#hasEnough) return
      const { name } = this.#topic
      const answers = await fetchNext(this.#cluster, client, name!, open, turn, FETCH_BYTES)
      for (const { range, data } of answers) {
        if (!this.#hasEnough) await this.#take(range, data.errorCode, data.records)
      }
      await this.#sink.flush()
    }
  }

  async #take(range: Range, errorCode: number, records: Buffer | null): Promise<void> {
    if (errorCode === ErrorCode.OFFSET_OUT_OF_RANGE) return this.#skipGone(range)
    expectNone(errorCode, this.#name(range))
    if (records === null) return
    for (const whole of wholeBatches(records)) {
      await this.#takeBatch(range, whole)
      if (this.#hasEnough) return
    }
  }

  async #takeBatch(range: Range, whole: Buffer): Promise<void> {
    const where = `${this.#name(range)} offset ${batch.baseOffset(whole)}`
    if (
      batch.magic(whole) === batch.MAGIC_V2 &&
      batch.computeCrc(whole) !== batch.storedCrc(whole)
    ) {
      throw new CliError(`${where}: the batch is damaged, its checksum does not fit`)
    }
    if (!batch.isControl(batch.attributes(whole))) {
      try {
        for (const record of await readRecords(whole, DECOMPRESSED_BYTES_MAX)) {
          if (record.offset < range.offset || record.offset >= range.end) continue
          range.offset = record.offset + 1
          this.#hasEnough ||= !(await this.#sink.take(range.partition, record))
          if (this.#hasEnough) return
        }
      } catch (cause) {
        if (!isUnreadable(cause)) throw cause
        // It is as its producer sent it, and stays so: what comes behind it is not to be hidden by it.
        const from = Math.max(range.offset, batch.baseOffset(whole))
        const until = batch.lastOffset(whole)
        this.#sink.note(
          `${this.#name(range)}: offsets ${from} to ${until} cannot be read and are passed over: ${cause.message}`,
        )
      }
    }
    // Also past offsets that compaction has left no record for.
    range.offset = Math.max(range.offset, batch.lastOffset(whole) + 1)
  }

  /** Retention or a deletion was faster. */
  async #skipGone(range: Range): Promise<void> {
    const start = (await listOffsets(this.#cluster, this.#topic, EARLIEST)).get(range.partition)
    if (start === undefined || start.offset <= range.offset) {
      throw new CliError(`${this.#name(range)}: offset ${range.offset} is not there (any more)`)
    }
    this.#sink.note(
      `${this.#name(range)}: offsets ${range.offset} to ${start.offset - 1} are deleted`,
    )
    range.offset = start.offset
  }

  #name(range: Range): string {
    return `${this.#topic.name} partition ${range.partition}`
  }
}
