import { ErrorCode } from '../../protocol/error-codes.ts'
import * as batch from '../../protocol/record-batch.ts'
import { type BatchRecord, isUnreadable, readRecords } from '../../protocol/records.ts'
import type { Cluster } from '../base/cluster.ts'
import { CliError, expectNone } from '../base/failure.ts'
import { fetchNext, type Range, wholeBatches } from '../base/fetch.ts'
import { EARLIEST, listOffsets } from '../base/offsets.ts'
import type { Patience } from '../base/patience.ts'
import { note } from '../base/progress.ts'

const FETCH_BYTES = { maxBytes: 8 * 1024 * 1024, partitionMaxBytes: 4 * 1024 * 1024 }
/** The most that one batch may take when decompressed. */
const DECOMPRESSED_BYTES_MAX = 256 * 1024 * 1024

export interface Sink {
  /** Takes a record; false if it was the last one that is wanted. */
  take(range: Range, record: BatchRecord): boolean
  /** Whether it wants to be flushed before it takes more. */
  readonly isFull: boolean
  /** What was taken is handed on when it resolves. Called also when nothing more is there for now. */
  flush(): Promise<void>
}

type Answers = Awaited<ReturnType<typeof fetchNext>>

/** Reads ranges to their ends: in order within a partition, from all leaders side by side, over restarts and moves of leaders. */
export class Consumer {
  readonly #cluster: Cluster
  readonly #patience: Patience
  readonly #sink: Sink
  #hasEnough = false

  constructor(cluster: Cluster, patience: Patience, sink: Sink) {
    this.#cluster = cluster
    this.#patience = patience
    this.#sink = sink
  }

  /** Resolves when all ranges are read, the sink has enough, or the signal is aborted: a fetch may still be under way then. */
  async run(ranges: readonly Range[], signal?: AbortSignal): Promise<void> {
    let isFirst = true
    await this.#patience.through(async () => {
      if (!isFirst) await this.#findLeaders(ranges)
      isFirst = false
      await this.#readAll(ranges, signal)
    })
    await this.#sink.flush()
  }

  async #findLeaders(ranges: readonly Range[]): Promise<void> {
    for (const name of new Set(ranges.map(range => range.topic))) {
      const ofTopic = ranges.filter(range => range.topic === name && range.offset < range.end)
      const { partitions } = await this.#cluster.topic(
        name,
        ofTopic.map(range => range.partition),
      )
      const leaders = new Map(partitions.map(p => [p.partitionIndex, p.leaderId]))
      for (const range of ofTopic) range.leaderId = leaders.get(range.partition)!
    }
  }

  async #readAll(ranges: readonly Range[], signal?: AbortSignal): Promise<void> {
    const failed = new AbortController()
    const isOver = (): boolean =>
      this.#hasEnough || failed.signal.aborted || (signal?.aborted ?? false)
    await new Promise<void>((resolve, reject) => {
      const leaders = new Set(ranges.map(range => range.leaderId))
      const follows = [...leaders].map(async leader => {
        const ofLeader = ranges.filter(range => range.leaderId === leader)
        try {
          await this.#follow(leader, ofLeader, isOver)
        } catch (error) {
          failed.abort()
          throw error
        }
        if (this.#hasEnough || signal?.aborted) resolve()
      })
      // When one leader fails, the others are waited for: nobody else may read their ranges before.
      Promise.allSettled(follows).then(() => Promise.all(follows).then(() => resolve(), reject))
    })
  }

  /** What comes next is asked for before what has come is printed, so that the broker and this program work side by side. */
  async #follow(leader: number, ranges: readonly Range[], isOver: () => boolean): Promise<void> {
    const client = await this.#cluster.broker(leader)
    const asked = new Map(ranges.map(range => [range, range.offset]))
    const ask = (turn: number): Promise<Answers> | null => {
      const asks = [...asked]
        .filter(([range, from]) => from < range.end)
        .map(([range, from]) => ({ range, from }))
      if (asks.length === 0) return null
      const answers = fetchNext(this.#cluster, client, asks, turn, FETCH_BYTES)
      // Whether it fails is asked when its turn comes, if it comes.
      answers.catch(() => {})
      return answers
    }
    let next = ask(0)
    for (let turn = 1; next !== null && !isOver(); turn++) {
      const answers = await next
      const hasMoved = answers.some(({ data }) => data.errorCode !== 0)
      for (const { range, data } of answers)
        asked.set(range, endOf(data.records, asked.get(range)!))
      next = hasMoved ? null : ask(turn)
      for (const { range, data } of answers) {
        if (!isOver()) await this.#take(range, data.errorCode, data.records)
      }
      await this.#sink.flush()
      if (!hasMoved) continue
      for (const range of ranges) asked.set(range, range.offset)
      next = ask(turn)
    }
  }

  async #take(range: Range, errorCode: number, records: Buffer | null): Promise<void> {
    if (errorCode === ErrorCode.OFFSET_OUT_OF_RANGE) return this.#skipGone(range)
    expectNone(errorCode, nameOf(range))
    this.#patience.goesOn()
    if (records === null) return
    for (const whole of wholeBatches(records)) {
      await this.#takeBatch(range, whole)
      if (this.#hasEnough) return
    }
  }

  async #takeBatch(range: Range, whole: Buffer): Promise<void> {
    const where = `${nameOf(range)} offset ${batch.baseOffset(whole)}`
    if (
      batch.magic(whole) === batch.MAGIC_V2 &&
      batch.computeCrc(whole) !== batch.storedCrc(whole)
    ) {
      throw new CliError(`${where}: the batch is damaged, its checksum does not fit`)
    }
    if (!batch.isControl(batch.attributes(whole))) {
      try {
        for (const record of await readRecords(whole, DECOMPRESSED_BYTES_MAX)) {
          // Another leader's record may have been the last one meanwhile.
          if (this.#hasEnough) return
          if (record.offset < range.offset || record.offset >= range.end) continue
          range.offset = record.offset + 1
          this.#hasEnough = !this.#sink.take(range, record)
          if (this.#sink.isFull) await this.#sink.flush()
        }
      } catch (cause) {
        if (!isUnreadable(cause)) throw cause
        // It is as its producer sent it, and stays so: what comes behind it is not to be hidden by it.
        const from = Math.max(range.offset, batch.baseOffset(whole))
        const until = batch.lastOffset(whole)
        note(
          `${nameOf(range)}: offsets ${from} to ${until} cannot be read and are passed over: ${cause.message}`,
        )
      }
    }
    if (this.#hasEnough) return
    // Also past offsets that compaction has left no record for.
    range.offset = Math.max(range.offset, batch.lastOffset(whole) + 1)
  }

  /** Retention or a deletion was faster. */
  async #skipGone(range: Range): Promise<void> {
    const topic = await this.#cluster.topic(range.topic, [range.partition])
    const start = (await listOffsets(this.#cluster, topic, EARLIEST)).get(range.partition)
    if (start === undefined || start.offset <= range.offset) {
      throw new CliError(`${nameOf(range)}: offset ${range.offset} is not there (any more)`)
    }
    note(`${nameOf(range)}: offsets ${range.offset} to ${start.offset - 1} are deleted`)
    range.offset = start.offset
  }
}

/** Where the next fetch begins: behind the last whole batch of an answer. */
function endOf(records: Buffer | null, from: number): number {
  let end = from
  for (const whole of wholeBatches(records ?? NOTHING)) {
    end = Math.max(end, batch.lastOffset(whole) + 1)
  }
  return end
}

const NOTHING = Buffer.alloc(0)

const nameOf = ({ topic, partition }: Range): string => `${topic} partition ${partition}`
