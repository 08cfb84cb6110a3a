import { fromEntry, partitionKey, toRecord } from '../../src/replication/partition-state.ts'
import type { Random } from '../lib/random.ts'
import type { Bugs } from './bugs.ts'
import { Checks } from './checks.ts'
import { Producer, Talker } from './clients.ts'
import { SimEtcd } from './etcd.ts'
import { chooseFaults, type Fault, type Plan, schedule } from './faults.ts'
import { Network } from './network.ts'
import { SimNode, type Surroundings } from './node.ts'
import { resetSessions } from './peers.ts'
import type { RealLogs } from './real-disk.ts'
import { Violation, World } from './world.ts'

const FAULTS_FROM_MS = 2_000
const FAULTS_TO_MS = 18_000
const HEALED_MS = 20_000
const END_MS = 50_000
/** One seed of so many has the logs of storage. */
const REAL_EVERY = 100

export interface Result {
  readonly seed: number
  readonly hash: number
  readonly events: number
  readonly acks: number
  /** Null: all invariants held. */
  readonly violation: string | null
  readonly faults: readonly Fault[]
  readonly lines: readonly string[]
}

export interface Options {
  readonly bugs?: Bugs
  readonly isTraced?: boolean
  /** All logs are those of storage, not only those of every hundredth seed. */
  readonly isReal?: boolean
  /** Instead of those that the seed would choose: for shrinking. */
  readonly faults?: readonly Fault[]
}

/** Little of everything, so that segments, journals and open files end often. */
const chooseLogs = (random: Random, isDurable: boolean): RealLogs => ({
  segmentBytes: random.pick([500, 3_000, 1 << 20]),
  journalFileBytes: random.pick([10_000, 64 * 1024]),
  bypassBytes: random.pick([100, 400, 4_000]),
  openLogsMax: random.pick([1, 10]),
  isDurable,
})

/** A cluster in virtual time: things go wrong for a while, then all is well, and must be again. */
export class Simulation {
  readonly #world: World
  readonly around: Surroundings
  readonly #keys: string[] = []
  readonly #producers: Producer[] = []
  readonly #talkers: Talker[] = []
  readonly #faults: readonly Fault[]

  constructor(seed: number, options: Options = {}) {
    const { bugs = {}, isTraced = false, isReal = seed % REAL_EVERY === 0, faults } = options
    resetSessions()
    const world = new World(seed, isTraced)
    this.#world = world
    const { random } = world
    const brokers = random.pick([3, 3, 3, 4, 5])
    const nodes = Array.from(
      { length: brokers },
      (_, i) => new SimNode(i + 1, world.between(0.99, 1.01)),
    )
    const etcd = new SimEtcd(world)
    const minIsr = random.chance(0.8) ? 2 : 1
    // Without flushes one that is alone may lose what is committed, and rightly.
    const isDurable = minIsr === 1 || random.chance(0.9)
    const settings = {
      ttlMs: random.pick([2_000, 3_000]),
      lagTimeMs: random.pick([1_500, 4_000]),
      preferredMs: random.pick([4_000, 1e9]),
      compacts: !isReal && random.chance(0.3),
      bugs,
      real: isReal ? chooseLogs(random, isDurable) : null,
    }
    const network = new Network(world)
    const checks = new Checks(world, etcd, nodes)
    this.around = { world, etcd, network, checks, settings, nodes }
    const plan: Plan = { minIsr, durable: isDurable, mayBeUnclean: random.chance(0.05) }
    checks.hasLostCopies = !plan.durable
    // With a minimum of one, the last one that is in the ISR is alone with what is committed.
    const replicas = plan.minIsr === 1 ? random.pick([1, 2, 3]) : 3
    this.#createTopic(plan, replicas)
    for (const node of nodes) {
      node.join(this.around)
      node.start()
    }
    etcd.onCommit = () => {
      for (const { process } of nodes) process?.watched()
    }
    const chosen = chooseFaults(this.around, plan, FAULTS_FROM_MS, FAULTS_TO_MS)
    this.#faults = faults ?? chosen
    schedule(this.#faults, this.around, this.#keys)
    const count = 1 + random.below(2)
    for (const key of this.#keys) {
      for (let i = 0; i < count; i++) {
        this.#producers.push(new Producer(this.#producers.length + 1, key, this.around))
      }
      if (random.chance(0.5)) this.#talkers.push(new Talker(this.#talkers.length, key, this.around))
    }
  }

  run(): Result {
    let violation: string | null = null
    try {
      this.#world.run(HEALED_MS)
      this.#heal()
      this.#world.run(END_MS - 6_000)
      for (const client of [...this.#producers, ...this.#talkers]) client.isStopped = true
      this.#world.run(END_MS - 1_000)
      const { revision } = this.around.etcd
      this.#world.run(END_MS)
      this.#isWell()
      this.#areImagesEqual(revision)
    } catch (error) {
      violation = error instanceof Violation ? error.message : String((error as Error).stack)
    }
    const { hash, events, lines, random } = this.#world
    const { acks } = this.around.checks
    return {
      seed: random.seed,
      hash: hash >>> 0,
      events,
      acks,
      violation,
      faults: this.#faults,
      lines,
    }
  }

  #createTopic(plan: Plan, replicationFactor: number): void {
    const { world, etcd, nodes } = this.around
    const partitions = world.random.pick([1, 1, 2])
    const changes = Array.from({ length: partitions }, (_, index) => {
      const key = partitionKey('T', index)
      this.#keys.push(key)
      const first = world.random.below(nodes.length)
      const replicas = Array.from(
        { length: replicationFactor },
        (_, i) => nodes[(first + i) % nodes.length]!.id,
      )
      const value = toRecord({
        replicas,
        isr: replicas,
        elr: [],
        adding: [],
        removing: [],
        leader: -1,
        by: '',
        epoch: 0,
        min: plan.minIsr,
        durable: plan.durable,
        unclean: -1,
        revision: 0,
      })
      return { key, value }
    })
    const topic = { name: 't', id: 'T', partitions, configs: {} }
    etcd.transact([], [...changes, { key: 'topics/t', value: topic }])
    for (const { id, dir } of nodes) {
      etcd.transact([], [{ key: `nodes/${id}`, value: { dir, state: 'member' } }])
    }
  }

  #heal(): void {
    const { world, etcd, network, nodes } = this.around
    world.note('healed')
    network.heal()
    etcd.isAway = false
    for (const node of nodes) {
      node.flushMsMax = 2
      if (node.process !== null) node.process.pauseAtEffect = 0
      node.start()
    }
  }

  /** I12, I13 */
  #isWell(): void {
    const { checks, etcd, nodes } = this.around
    for (const key of this.#keys) {
      const { leader, isr, elr, replicas, adding, removing } = fromEntry(etcd.get(key)!)
      if (leader === -1 && this.#isLost(key, [...isr, ...elr])) continue
      if (leader === -1) checks.fail('I13', `nobody leads ${key}`)
      if (isr.length !== replicas.length)
        checks.fail('I13', `ISR of ${key} is ${isr} of ${replicas}`)
      if (adding.length + removing.length > 0) checks.fail('I13', `${key} is still reassigned`)
    }
    for (const producer of this.#producers) {
      // Who was forgotten is refused for ever, and rightly.
      if (producer.isWaiting && !checks.isForgiven)
        checks.fail('I13', `producer ${producer.pid} has no answer`)
    }
    const active = nodes.filter(({ process }) => process?.controller.isActive)
    if (active.length !== 1) checks.fail('I13', `${active.length} controllers`)
    const most = 400 + 120 * this.#faults.length
    if (etcd.transactions > most) checks.fail('I12', `${etcd.transactions} transactions`)
  }

  /** After an unclean election the only one who is counted on can be damaged, too: then it waits for an operator. */
  #isLost(key: string, counted: readonly number[]): boolean {
    const { checks, nodes } = this.around
    const isDamaged = (id: number) => nodes.find(node => node.id === id)!.damaged.has(key)
    return checks.isForgiven && counted.every(isDamaged)
  }

  /** What was there a second ago is known everywhere. */
  #areImagesEqual(revision: number): void {
    const { checks, etcd, nodes } = this.around
    const { entries } = etcd.list()
    for (const { id, process } of nodes) {
      const { image } = process!
      if (image.revision < revision)
        checks.fail('I13', `${id} knows ${image.revision} of ${revision}`)
      for (const { key, revision: at } of entries) {
        const known = image.entry(key)?.revision
        if (at <= revision && known !== at) {
          checks.fail('I13', `${id} has ${key} at ${known}, not ${at}`)
        }
      }
      if (etcd.revision === revision && image.size !== entries.length) {
        checks.fail('I13', `${id} has ${image.size} keys of ${entries.length}`)
      }
    }
  }
}
