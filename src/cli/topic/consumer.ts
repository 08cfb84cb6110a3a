import { ErrorCode } from '../../protocol/error-codes.ts'
import { type FetchResponse, fetchApi } from '../../protocol/messages/01-fetch.ts'
import * as batch from '../../protocol/record-batch.ts'
import { type BatchRecord, isUnreadable, readRecords } from '../../protocol/records.ts'
import type { Cluster, TopicMetadata } from '../base/cluster.ts'
import { CliError, expectNone } from '../base/failure.ts'
import { EARLIEST, listOffsets } from '../base/offsets.ts'

/** How long a broker may hold a fetch that it has nothing for. */
const WAIT_MS_MAX = 500
const FETCH_BYTES_MAX = 8 * 1024 * 1024
const PARTITION_BYTES_MAX = 1024 * 1024
/** The most that one batch may take when decompressed. */
const DECOMPRESSED_BYTES_MAX = 256 * 1024 * 1024
/** Fetch's last version for names; later ones want ids. */
const NAMES_VERSION_MAX = 12

/** What is to be read of a partition. */
export interface Range {
  readonly partition: number
  readonly leaderId: number
  /** The next one to read. */
  offset: number
  /** The first one not to read; infinite to go on as records come. */
  readonly end: number
}

export interface Sink {
  /** Takes a record; false if it was the last one that is wanted. */
  take(partition: number, record: BatchRecord): Promise<boolean>
  /** Nothing more is there for now. */
  flush(): Promise<void>
  /** Something that is worth a line but no failure. */
  note(line: string): void
}

type PartitionData = FetchResponse['responses'][number]['partitions'][number]

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
    let turn = 0
    for (;;) {
      const open = ranges.filter(range => range.offset < range.end)
      if (open.length === 0 || this.#hasEnough) return
      // A broker fills its answer in this order: each partition is to be the first one in turn.
      const first = turn++ % open.length
      const inTurn = [...open.slice(first), ...open.slice(0, first)]
      const partitions = inTurn.map(({ partition, offset }) => ({
        partition,
        fetchOffset: offset,
        partitionMaxBytes: PARTITION_BYTES_MAX,
      }))
      const request = {
        maxWaitMs: Math.min(WAIT_MS_MAX, Math.floor(this.#cluster.timeoutMs / 2)),
        minBytes: 1,
        maxBytes: FETCH_BYTES_MAX,
        topics: [{ topic: this.#topic.name!, partitions }],
      }
      const answer = await this.#cluster.send(client, fetchApi, request, NAMES_VERSION_MAX)
      expectNone(answer.errorCode, `fetch of ${this.#topic.name}`)
      for (const data of answer.responses.flatMap(response => response.partitions)) {
        const range = open.find(r => r.partition === data.partitionIndex)
        if (range !== undefined && !this.#hasEnough) await this.#take(range, data)
      }
      await this.#sink.flush()
    }
  }

  async #take(range: Range, data: PartitionData): Promise<void> {
    const { errorCode, records } = data
    if (errorCode === ErrorCode.OFFSET_OUT_OF_RANGE) return this.#skipGone(range)
    expectNone(errorCode, this.#name(range))
    if (records === null) return
    for (let at = 0; at + batch.LOG_OVERHEAD_BYTES <= records.length; ) {
      const bytes = batch.batchBytes(records, at)
      // Kafka cuts an answer where its bytes end: the rest of this batch comes with the next one.
      if (at + bytes > records.length) return
      await this.#takeBatch(range, records.subarray(at, at + bytes))
      if (this.#hasEnough) return
      at += bytes
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
        throw new CliError(`${where}: the batch cannot be read: ${cause.message}`, undefined, {
          cause,
        })
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
