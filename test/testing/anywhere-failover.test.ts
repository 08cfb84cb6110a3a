import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { BrokerError, ReadRecord, Subscription } from '../../src/index.ts'
import { ErrorCode } from '../../src/protocol/error-codes.ts'
import { startTestCluster, type TestCluster } from '../../src/testing/index.ts'
import { Random, seeds } from '../lib/random.ts'
import { until } from '../lib/until.ts'
import { readOn, SOON, topicOn } from './placed.ts'

/** What an application sees of a failover through the broker that it embeds: nothing but a pause. */
const test = suite('the embedded API through failovers')
const IDS = [1, 2, 3]
const PARTITIONS = 3
let cluster: TestCluster

test.before(async () => {
  cluster = await startTestCluster({
    groupConsumerMinHeartbeatIntervalMs: 50,
    groupConsumerHeartbeatIntervalMs: 50,
    groupConsumerMinSessionTimeoutMs: 1_000,
    groupConsumerSessionTimeoutMs: 1_000,
  })
})
test.after(() => cluster.close())

/** Appends one record after the other by one broker, to all partitions in turn, until it is to end. */
class Writer {
  readonly id: number
  readonly acknowledged: string[] = []
  readonly errors: unknown[] = []
  readonly #done: Promise<void>
  #isOver = false
  #news: () => void = () => {}

  constructor(id: number, topic: string) {
    this.id = id
    this.#done = this.#run(topic)
  }

  async #run(topic: string): Promise<void> {
    for (let i = 0; !this.#isOver; i++) {
      const value = `${this.id} ${i}`
      try {
        await cluster.broker(this.id).append(topic, [{ value, partition: i % PARTITIONS }])
        this.acknowledged.push(value)
      } catch (error) {
        this.errors.push(error)
        this.#isOver = true
      }
      this.#news()
    }
  }

  /** Resolves when so many more are acknowledged, or it has failed. */
  async more(count: number): Promise<void> {
    const goal = this.acknowledged.length + count
    const late = setTimeout(() => {
      this.errors.push(new Error(`fewer than ${goal} appends within ${2 * SOON.timeout} ms`))
      this.#isOver = true
      this.#news()
    }, 2 * SOON.timeout)
    while (this.acknowledged.length < goal && !this.#isOver) {
      await new Promise<void>(resolve => {
        this.#news = resolve
      })
    }
    clearTimeout(late)
  }

  end(): Promise<void> {
    this.#isOver = true
    return this.#done
  }
}

/** Each value at most once, all that were acknowledged, and those of each writer in order in each partition. */
function check(records: readonly ReadRecord[], writers: readonly Writer[]): void {
  const values = records.map(({ value }) => String(value))
  assert.is(new Set(values).size, values.length, 'nothing is doubled')
  const there = new Set(values)
  const acknowledged = writers.flatMap(writer => writer.acknowledged)
  assert.equal(
    acknowledged.filter(value => !there.has(value)),
    [],
    'nothing is lost',
  )
  checkOrder(records)
}

function checkOrder(records: readonly ReadRecord[]): void {
  const last = new Map<string, number>()
  for (const { partition, value } of records) {
    const [writer, number] = String(value).split(' ')
    const key = `${partition} ${writer}`
    assert.ok(Number(number) > (last.get(key) ?? -1), `${key}: ${number} after ${last.get(key)}`)
    last.set(key, Number(number))
  }
}

const whole = async (topic: string): Promise<void> => {
  for (let i = 0; i < PARTITIONS; i++) await cluster.waitForIsr(topic, i, SOON)
  await cluster.waitForIsr('__consumer_offsets', 0, SOON)
}

/** Something that happens to the cluster, and what makes it whole again; never to broker 1. */
const events: Record<string, (random: Random, topic: string) => Promise<() => Promise<void>>> = {
  kill: async random => {
    const id = random.pick([2, 3])
    await cluster.kill(id)
    return () => cluster.restart(id)
  },
  restart: async random => {
    await cluster.restart(random.pick([2, 3]))
    return async () => {}
  },
  move: async (random, topic) => {
    await cluster.moveLeader(topic, random.below(PARTITIONS), random.pick(IDS))
    return async () => {}
  },
  cut: async random => {
    const id = random.pick(IDS)
    cluster.partition(
      [id],
      IDS.filter(other => other !== id),
    )
    return async () => cluster.heal()
  },
  pause: async random => {
    const id = random.pick([2, 3])
    cluster.pause(id)
    return async () => cluster.resume(id)
  },
}

const assignments = [
  [1, 2, 3],
  [2, 3, 1],
  [3, 1, 2],
]

for (const seed of seeds(1, 5)) {
  const names = Object.keys(events)
  const random = new Random(seed)
  const name = names[seed % names.length]!
  test(`appends of all brokers go on, and none is lost, doubled or out of order: ${name} (seed ${seed})`, async () => {
    const topic = await topicOn(cluster, ...assignments)
    const writers = IDS.map(id => new Writer(id, topic))
    await Promise.all(writers.map(writer => writer.more(10)))
    const mend = await events[name]!(random, topic)
    await writers[0]!.more(20)
    await mend()
    for (let i = 0; i < PARTITIONS; i++) await cluster.waitForIsr(topic, i, SOON)
    await Promise.all(writers.map(writer => writer.more(10)))
    await Promise.all(writers.map(writer => writer.end()))
    assert.equal(writers[0]!.errors, [], 'no error surfaced')
    for (const { errors } of writers) {
      for (const error of errors) assert.match(String(error), /closed/)
    }
    for (const id of IDS) check(await readOn(cluster, id, topic), writers)
  })
}

test('an append whose answer is lost is there once', async () => {
  const topic = await topicOn(cluster, [2])
  for (const drop of ['answer', 'request', 'answer'] as const) {
    using fault = cluster.broker(2).fault({ api: 'Produce', drop, times: 2 })
    await cluster.broker(1).append(topic, [{ value: drop }, { value: drop }])
    assert.is(fault.hits, 2)
  }
  const records = await readOn(cluster, 3, topic)
  assert.equal(
    records.map(({ offset, value }) => `${offset} ${value}`),
    ['0 answer', '1 answer', '2 request', '3 request', '4 answer', '5 answer'],
  )
})

test('what a leader says that passes is waited for', async () => {
  const topic = await topicOn(cluster, [2])
  const passing = ['NOT_LEADER_OR_FOLLOWER', 'LEADER_NOT_AVAILABLE', 'NOT_ENOUGH_REPLICAS'] as const
  for (const error of passing) {
    using fault = cluster.broker(2).fault({ api: 'Produce', error, times: 2 })
    await cluster.broker(1).append(topic, [{ value: error }])
    assert.is(fault.hits, 2)
  }
  using fault = cluster.broker(2).fault({ api: 'ListOffsets', drop: 'answer', times: 3 })
  assert.is((await readOn(cluster, 1, topic)).length, 3)
  assert.is(fault.hits, 3)
})

test('a reader follows its leader: none missing, none twice, in order', async () => {
  const topic = await topicOn(cluster, [2, 3], [3, 2], [2, 3])
  const writer = new Writer(1, topic)
  const stop = new AbortController()
  const seen: ReadRecord[] = []
  const reading = (async () => {
    for await (const one of cluster.broker(1).read(topic, { signal: stop.signal })) {
      seen.push(one)
      if (stop.signal.aborted) break
    }
  })()
  await writer.more(10)
  for (const leader of [3, 2, 3]) {
    for (let i = 0; i < PARTITIONS; i++) await cluster.moveLeader(topic, i, leader)
    await writer.more(10)
  }
  await writer.end()
  assert.equal(writer.errors, [])
  const all = await readOn(cluster, 1, topic)
  await until(() => seen.length >= all.length, SOON.timeout)
  stop.abort()
  await reading
  check(seen, [writer])
})

test('a reader goes on while the partition moves to its broker and away again', async () => {
  const topic = await topicOn(cluster, [2])
  const seen: string[] = []
  const stop = new AbortController()
  const reading = (async () => {
    const records = cluster.broker(1).read(topic, { signal: stop.signal })
    for await (const { offset, value } of records) seen.push(`${offset} ${value}`)
  })()
  const sent: string[] = []
  for (const id of [2, 1, 3, 1, 2]) {
    const { registry, cluster: view } = cluster.broker(1).node
    await view.reassign(registry.topic(topic)!, 0, [id])
    await cluster.waitForLeader(topic, 0, { id, ...SOON })
    for (let i = 0; i < 3; i++) {
      const [appended] = await cluster.broker(3).append(topic, [{ value: `${id}` }])
      sent.push(`${appended!.offset} ${id}`)
    }
    await until(() => seen.length === sent.length, SOON.timeout)
  }
  stop.abort()
  await reading
  assert.equal(seen, sent)
  assert.is(new Set(sent).size, 15)
})

/** A member on one broker that commits each record; what it was told is noted. */
class Member {
  readonly subscription: Subscription
  readonly seen: ReadRecord[] = []
  readonly committed: ReadRecord[] = []
  readonly done: Promise<unknown>

  constructor(id: number, topic: string, group: string) {
    this.subscription = cluster.broker(id).subscribe({ group, topics: [topic] })
    this.done = this.#run().catch((error: unknown) => error)
  }

  async #run(): Promise<void> {
    for await (const record of this.subscription) {
      this.seen.push(record)
      try {
        await this.subscription.commit(record)
        this.committed.push(record)
      } catch (error) {
        const { errorCode } = error as BrokerError
        const lost: readonly number[] = [
          ErrorCode.STALE_MEMBER_EPOCH,
          ErrorCode.UNKNOWN_MEMBER_ID,
          ErrorCode.FENCED_MEMBER_EPOCH,
        ]
        if (!lost.includes(errorCode)) throw error
      }
    }
  }
}

const coordinator = (): Promise<number> => cluster.waitForLeader('__consumer_offsets', 0, SOON)

for (const what of ['coordinator', 'leader', 'connection'] as const) {
  test(`a group with a member on each broker: each record is seen, in order, and commits hold (${what} lost)`, async () => {
    const topic = await topicOn(cluster, ...assignments)
    const group = `g-${what}`
    const members = IDS.map(id => new Member(id, topic, group))
    const writer = new Writer(1, topic)
    await until(
      () => members.every(({ subscription }) => subscription.assignment.length === 1),
      SOON.timeout,
    )
    await until(() => members.every(({ seen }) => seen.length > 3), SOON.timeout)
    if ((await coordinator()) === 1) await cluster.moveLeader('__consumer_offsets', 0, 2)
    const victim = what === 'leader' ? 3 : await coordinator()
    const count = (): number => members.reduce((sum, { committed }) => sum + committed.length, 0)
    if (what === 'connection') {
      using beats = cluster.broker(victim).fault({
        ...{ api: 'ConsumerGroupHeartbeat', drop: 'answer', times: 4 },
      })
      using commits = cluster.broker(victim).fault({
        ...{ api: 'OffsetCommit', drop: 'answer', times: 4 },
      })
      await until(() => beats.hits === 4 && commits.hits === 4, SOON.timeout)
    } else await cluster.kill(victim)
    const before = count()
    await writer.more(30)
    await until(() => count() >= before + 30, SOON.timeout)
    if (what !== 'connection') await cluster.restart(victim)
    await whole(topic)
    await writer.end()
    assert.equal(writer.errors, [])
    const seenBy = () => new Set(members.flatMap(m => m.seen.map(({ value }) => String(value))))
    await until(() => writer.acknowledged.every(value => seenBy().has(value)), SOON.timeout)
    await Promise.all(members.map(({ subscription }) => subscription.close()))
    const ends = await Promise.all(members.map(({ done }) => done))
    // The application of a broker that is killed sees whatever it sees.
    const survivors = IDS.filter(id => what === 'connection' || id !== victim)
    for (const id of survivors) assert.is(ends[id - 1], undefined, `broker ${id}`)
    checkSeen(members)
    // Whoever comes next goes on behind what was committed.
    const committed = members.flatMap(member => member.committed)
    const marks = await Promise.all(
      [0, 1, 2].map(async partition => {
        const [mark] = await cluster
          .broker(1)
          .append(topic, [{ value: `mark ${1_000_000}`, partition }])
        return mark!.offset
      }),
    )
    const next = cluster.broker(1).subscribe({ group, topics: [topic] })
    const first = new Map<number, number>()
    const reached = new Set<number>()
    for await (const { partition, offset } of next) {
      if (!first.has(partition)) first.set(partition, offset)
      if (offset === marks[partition]) reached.add(partition)
      if (reached.size === PARTITIONS) break
    }
    for (const { partition, offset } of committed) {
      assert.ok(first.get(partition)! > offset, `${partition}: ${first.get(partition)}, ${offset}`)
    }
  })
}

/** In order in each partition; a member begins anew, further in front or behind what some member has seen up to there. */
function checkSeen(members: readonly Member[]): void {
  const places = members.flatMap(({ seen }) => seen.map(r => `${r.partition} ${r.offset}`))
  const known = new Set(places)
  for (const { seen } of members) {
    const last = new Map<number, number>()
    for (const { partition, offset } of seen) {
      const before = last.get(partition) ?? -1
      const isInOrder = offset <= before + 1 || known.has(`${partition} ${offset - 1}`)
      assert.ok(isInOrder, `partition ${partition}: ${offset} after ${before}`)
      last.set(partition, offset)
    }
  }
}

test('close ends what is under way at a broker that does not answer', async () => {
  const topic = await topicOn(cluster, [2], [2], [2])
  await cluster.broker(3).append(topic, [{ value: 'x', partition: 0 }])
  const reading = cluster.broker(3).read(topic)
  assert.is((await reading.next()).done, false)
  const stopped = reading.next()
  cluster.pause(2)
  const appended = cluster.broker(3).append(topic, [{ value: 'y', partition: 1 }])
  const outcome = appended.catch((error: unknown) => error)
  const start = performance.now()
  const restarted = cluster.restart(3)
  assert.match(String(await outcome), /The broker is closed/)
  assert.is((await stopped).done, true)
  assert.ok(performance.now() - start < 5_000, 'long before a leader would be given up')
  cluster.resume(2)
  await restarted
  assert.is((await readOn(cluster, 3, topic)).length >= 1, true)
})

test.run()
