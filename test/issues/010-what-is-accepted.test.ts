import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { AccessHere } from '../../src/embedded/access.ts'
import { read } from '../../src/embedded/read.ts'
import { errorName } from '../../src/protocol/error-codes.ts'
import { produceApi } from '../../src/protocol/messages/00-produce.ts'
import { listOffsetsApi } from '../../src/protocol/messages/02-list-offsets.ts'
import { deleteRecordsApi } from '../../src/protocol/messages/21-delete-records.ts'
import { describeProducersApi } from '../../src/protocol/messages/61-describe-producers.ts'
import { encodeBatch } from '../../src/protocol/records.ts'
import { Wire } from '../apis/wire.ts'
import { oddBatch } from '../lib/odd-batch.ts'
import { Random, seeds } from '../lib/random.ts'

// One Produce with a producer id or a timestamp at the end of int64 took its partition offline at the next roll and at every start,
// record timestamps there stopped compaction for ever, a batch whose count lied made the embedded reader fail for ever on it.
const RUNS = Number(process.env.RUNS ?? 1)
const ROUNDS = 2
const test = suite('what is accepted can be stored, moved, compacted and read again')

const ANY_TIME = {
  'message.timestamp.before.max.ms': '9223372036854775807',
  'message.timestamp.after.max.ms': '9223372036854775807',
  'segment.bytes': '1048576',
}
const TOPICS: Readonly<Record<string, Record<string, string>>> = {
  deleted: ANY_TIME,
  appended: { ...ANY_TIME, 'message.timestamp.type': 'LogAppendTime' },
  compacted: { ...ANY_TIME, 'cleanup.policy': 'compact', 'min.cleanable.dirty.ratio': '0.01' },
}
const NEVER = new AbortController().signal

class Accepted {
  readonly random: Random
  wire!: Wire
  /** Of the records that must be there: their offsets by their values, for each topic. */
  readonly #good = new Map<string, Map<string, number>>()
  #refused = 0
  #taken = 0

  constructor(seed: number) {
    this.random = new Random(seed)
  }

  async run(): Promise<void> {
    this.wire = await Wire.start()
    try {
      for (const [name, configs] of Object.entries(TOPICS)) {
        await this.wire.createTopic(name, 1, configs)
        this.#good.set(name, new Map())
      }
      for (let round = 0; round < ROUNDS; round++) await this.#round(round)
      assert.ok(
        this.#taken > 30 && this.#refused > 30,
        `${this.#taken} taken, ${this.#refused} not`,
      )
    } finally {
      await this.wire.close()
    }
  }

  async #round(round: number): Promise<void> {
    const { random } = this
    for (const topic of this.#good.keys()) {
      for (let i = 0; i < 60; i++) {
        if (random.chance(0.2)) await this.#appendGood(topic)
        const code = await this.#produce(topic, oddBatch(random, ['odd']))
        if (code === 'NONE') this.#taken++
        else this.#refused++
        assert.is.not(code, 'KAFKA_STORAGE_ERROR')
        assert.is.not(code, 'UNKNOWN_SERVER_ERROR')
      }
      // Closes the segment.
      await this.#appendGood(topic, 700_000)
      await this.#appendGood(topic, 700_000)
    }
    await this.wire.node.cleaner.clean()
    if (round === 1) await this.#deleteSome('deleted')
    await this.#check()
    this.wire = await this.wire.restart()
    await this.#check()
  }

  async #produce(topic: string, records: Buffer): Promise<string> {
    const topicData = [{ name: topic, partitionData: [{ index: 0, records }] }]
    const { responses } = await this.wire.send(produceApi, 9, { acks: -1, topicData })
    return errorName(responses[0]!.partitionResponses[0]!.errorCode)
  }

  async #appendGood(topic: string, padding = 10): Promise<void> {
    const good = this.#good.get(topic)!
    const value = `good ${good.size}`
    const headers = [{ key: 'padding', value: Buffer.alloc(padding) }]
    const record = {
      timestamp: Date.now(),
      key: Buffer.from(value),
      value: Buffer.from(value),
      headers,
    }
    const offset = this.wire.node.registry.partition(topic, 0)!.logEndOffset
    assert.is(await this.#produce(topic, await encodeBatch([record])), 'NONE')
    good.set(value, offset)
  }

  async #deleteSome(name: string): Promise<void> {
    const offset = this.wire.node.registry.partition(name, 0)!.logEndOffset >> 2
    const topics = [{ name, partitions: [{ partitionIndex: 0, offset }] }]
    await this.wire.send(deleteRecordsApi, 2, { topics, timeoutMs: 5_000 })
    for (const [value, at] of this.#good.get(name)!)
      if (at < offset) this.#good.get(name)!.delete(value)
  }

  async #check(): Promise<void> {
    const { node } = this.wire
    for (const [topic, good] of this.#good) {
      assert.is(node.registry.partition(topic, 0)!.offline, null, topic)
      const found = new Map<string, number>()
      for await (const { value, offset } of read(
        new AccessHere(node),
        topic,
        { until: 'end' },
        NEVER,
      )) {
        found.set(String(value), offset)
      }
      for (const [value, offset] of good) assert.is(found.get(value), offset, `${topic}: ${value}`)
      // The earliest, the latest and the newest record are asked for by negative times.
      for (const time of [-3, -2, -1, 0, 1, 2 ** 53 - 1, 2 ** 63, Date.now()]) {
        await this.#find(topic, time)
      }
      const topics = [{ name: topic, partitionIndexes: [0] }]
      const described = await this.wire.send(describeProducersApi, 0, { topics })
      assert.is(described.topics[0]!.partitions[0]!.errorCode, 0)
    }
  }

  async #find(name: string, timestamp: number): Promise<void> {
    const topics = [{ name, partitions: [{ partitionIndex: 0, timestamp }] }]
    const answer = await this.wire.send(listOffsetsApi, 7, { topics })
    assert.is(errorName(answer.topics[0]!.partitions[0]!.errorCode), 'NONE', `${name} ${timestamp}`)
  }
}

for (const seed of seeds(1, RUNS)) {
  test(`batches at the ends of their numbers, among good ones, through a broker (SEED=${seed})`, () =>
    new Accepted(seed).run())
}

test.run()
