import { setTimeout as sleep } from 'node:timers/promises'
import type { Client } from '../../../src/client/client.ts'
import { ErrorCode, errorName } from '../../../src/protocol/error-codes.ts'
import { produceApi } from '../../../src/protocol/messages/00-produce.ts'
import { encodeBatch } from '../../../src/protocol/records.ts'
import type { Random } from '../../lib/random.ts'
import type { Report } from './report.ts'

const PRODUCE_VERSION = 9
/** ms between two requests. */
const PAUSE_MS = 60
/** Records that a request holds at most for each partition. */
const RECORDS_MAX = 3
const TIMEOUT_MS = 10_000

export const keyOf = (topic: string, partition: number): string => `${topic}-${partition}`
/** What the record at this offset must hold. */
export const contentOf = (key: string, offset: number): string => `${key}:${offset}`

/** Writes numbered records to every partition: the number of a record is its offset. */
export class StormProducer {
  readonly #client: Client
  readonly #places: readonly { topic: string; partition: number; key: string }[]
  readonly #random: Random
  readonly #report: Report
  /** Records acknowledged, by partition. */
  readonly ends = new Map<string, number>()
  #isStopped = false

  constructor(
    client: Client,
    topics: readonly string[],
    partitions: number,
    random: Random,
    report: Report,
  ) {
    this.#client = client
    this.#random = random
    this.#report = report
    this.#places = topics.flatMap(topic =>
      Array.from({ length: partitions }, (_, partition) => ({
        ...{ topic, partition, key: keyOf(topic, partition) },
      })),
    )
    for (const { key } of this.#places) this.ends.set(key, 0)
  }

  stop(): void {
    this.#isStopped = true
  }

  async run(): Promise<void> {
    while (!this.#isStopped) {
      await this.#send()
      await sleep(PAUSE_MS)
    }
  }

  async #send(): Promise<void> {
    const chosen = this.#places.filter(() => this.#random.chance(0.5))
    const counts = chosen.map(() => 1 + this.#random.below(RECORDS_MAX))
    const topicData = await Promise.all(
      chosen.map(async ({ topic, partition, key }, i) => ({
        name: topic,
        partitionData: [{ index: partition, records: await this.#batch(key, counts[i]!) }],
      })),
    )
    const request = { acks: -1, timeoutMs: TIMEOUT_MS, topicData }
    const { responses } = await this.#client.send(produceApi, PRODUCE_VERSION, request)
    responses.forEach((response, i) => {
      const { key } = chosen[i]!
      const { errorCode, baseOffset } = response.partitionResponses[0]!
      const end = this.ends.get(key)!
      if (errorCode !== ErrorCode.NONE) {
        this.#report.violate(`Produce to ${key} answers ${errorName(errorCode)}`)
        this.#isStopped = true
      } else if (baseOffset !== end) {
        this.#report.violate(`record ${end} of ${key} is acknowledged at ${baseOffset}`)
        this.#isStopped = true
      }
      this.ends.set(key, end + counts[i]!)
      this.#report.count('records produced', counts[i]!)
    })
  }

  #batch(key: string, count: number): Promise<Buffer> {
    const first = this.ends.get(key)!
    const records = Array.from({ length: count }, (_, i) => ({
      timestamp: Date.now(),
      key: Buffer.from(key),
      value: Buffer.from(contentOf(key, first + i)),
    }))
    return encodeBatch(records)
  }
}
