import { setTimeout as sleep } from 'node:timers/promises'
import { kafkaOf } from '../../lib/cluster-ledger.ts'
import { Random } from '../../lib/random.ts'
import { judge, readTopic, unequal } from './check.ts'
import { Committer } from './committer.ts'
import type { DiskCluster } from './disk-cluster.ts'
import { CutProducer } from './producer.ts'

const PARTITIONS = 6
const PRODUCERS = 3
const GROUPS = 3
const LOAD_MS_MIN = 50
const LOAD_MS_MAX = 800
/** The first broker that is there again is alone for a while: for so long, or until it leads everything if it may. */
const GAPS_MS = [0, 500] as const
const ALONE_MS_MAX = 8_000
const LOOK_MS = 50
/** How long the others go on while brokers are away. */
const AWAY_MS = [0, 1_000, 3_000]
/** Sends that hang longer than this will not end. */
const REST_MS_MAX = 30_000

/** Which brokers lose their power. `stale`: one of them some time before all the others. */
const KINDS = ['all', 'all', 'all', 'one', 'two', 'stale'] as const
export type Kind = (typeof KINDS)[number]

/** A topic with producers and groups, loaded over several cuts. */
export class CutRun {
  readonly #cluster: DiskCluster
  readonly #random: Random
  readonly topic: string
  readonly producers: readonly CutProducer[]
  readonly committers: readonly Committer[]

  private constructor(cluster: DiskCluster, topic: string, random: Random) {
    this.#cluster = cluster
    this.#random = random
    this.topic = topic
    const target = { topic, partitions: PARTITIONS }
    this.producers = Array.from({ length: PRODUCERS }, (_, i) => {
      const own = new Random(random.below(1e9))
      return new CutProducer(cluster.brokers, target, `producer${i}`, own)
    })
    this.committers = Array.from({ length: GROUPS }, (_, i) => {
      return new Committer(cluster.brokers, target, `${topic}-group-${i}`)
    })
  }

  static async start(cluster: DiskCluster, topic: string, random: Random): Promise<CutRun> {
    const admin = kafkaOf(cluster.brokers).admin()
    await admin.connect()
    await admin.createTopics({
      topics: [{ topic, numPartitions: PARTITIONS, replicationFactor: 3 }],
    })
    await admin.disconnect()
    await cluster.brokers.untilWhole(topic)
    const run = new CutRun(cluster, topic, random)
    for (const producer of run.producers) await producer.start()
    return run
  }

  get acknowledged(): number {
    return this.producers.reduce((sum, { acknowledged }) => sum + acknowledged.length, 0)
  }

  get commits(): number {
    return this.committers.reduce((sum, { commits }) => sum + commits, 0)
  }

  get unknown(): number {
    return this.producers.reduce((sum, { unknown }) => sum + unknown, 0)
  }

  get #load(): readonly (CutProducer | Committer)[] {
    return [...this.producers, ...this.committers]
  }

  /** Cuts the power amid load and starts what is gone. @returns which brokers it was, and what is wrong then */
  async cycle(): Promise<{ kind: Kind; wrong: string[] }> {
    const random = this.#random
    const kind = random.pick(KINDS)
    const before = this.acknowledged
    for (const one of this.#load) one.go()
    while (this.acknowledged === before) await sleep(1)
    await sleep(LOAD_MS_MIN + random.below(LOAD_MS_MAX - LOAD_MS_MIN))
    await this.#cutAndStart(kind)
    const wrong = await this.#check()
    return { kind, wrong }
  }

  async #cutAndStart(kind: Kind): Promise<void> {
    const { brokers } = this.#cluster
    const { etcd } = brokers
    const random = this.#random
    const ids = this.#random.shuffled(brokers.members.map(({ id }) => id))
    const first = kind === 'all' ? ids : ids.slice(0, kind === 'two' ? 2 : 1)
    const withEtcd = kind === 'all' || random.chance(0.3)
    await this.#cluster.cut(first, withEtcd)
    if (withEtcd) await etcd.start()
    if (kind !== 'all') await sleep(random.pick(AWAY_MS))
    if (kind === 'stale') {
      await this.#cluster.cut(ids.slice(1), true)
      await etcd.start()
    }
    const [one, ...others] =
      kind === 'stale' ? this.#random.shuffled(ids) : this.#random.shuffled(first)
    await brokers.startBroker(one!)
    if (others.length > 0) await this.#leaveAlone(one!)
    await Promise.all(others.map(id => brokers.startBroker(id)))
  }

  async #leaveAlone(id: number): Promise<void> {
    if (this.#random.chance(1 / 2)) return void (await sleep(this.#random.pick(GAPS_MS)))
    const { brokers } = this.#cluster
    for (const deadline = Date.now() + ALONE_MS_MAX; Date.now() < deadline; await sleep(LOOK_MS)) {
      const partitions = await brokers.partitions(this.topic, id)
      if (partitions.length > 0 && partitions.every(({ leaderId }) => leaderId === id)) return
    }
  }

  async #check(): Promise<string[]> {
    const { brokers } = this.#cluster
    await brokers.untilWhole(this.topic)
    const resting = Promise.all(this.#load.map(one => one.rest()))
    const hasEnded = await Promise.race([resting.then(() => true), sleep(REST_MS_MAX, false)])
    const log = await readTopic(brokers, this.topic)
    const commits = await Promise.all(this.committers.map(one => one.check()))
    const differing = hasEnded ? await unequal(brokers, this.topic) : []
    return [
      ...judge(this.producers, log),
      ...commits.flat(),
      ...differing,
      ...(hasEnded ? [] : ['a send or commit does not end']),
      ...this.#complaints(),
    ]
  }

  /** What brokers say of a log that they cannot go on with. */
  #complaints(): string[] {
    return this.#cluster.brokers.members.flatMap(({ id, broker }) => {
      const lines =
        broker!.output.match(/.*(bug:|cannot follow|partition is offline|worker has died).*/g) ?? []
      return lines.map(line => `broker ${id}: ${line}`)
    })
  }

  async stop(): Promise<void> {
    await Promise.all(this.producers.map(producer => producer.stop()))
  }
}
