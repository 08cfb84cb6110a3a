import { checkStart } from '../../embedded/arguments.ts'
import { MemoryMetadata } from '../../metadata/memory.ts'
import type { MemoryMetadataStore } from '../../metadata/memory-store.ts'
import type { WaitOptions } from '../deadline.ts'
import { TEST_NAMES, TestBroker, type TestBrokerOptions } from '../test-broker.ts'
import { checkBrokers, checkGroups, checkPlace } from './arguments.ts'
import { Network } from './network.ts'
import { moveLeader, waitForIsr, waitForLeader } from './places.ts'

const BROKERS = 3
/** A dead broker is noticed at once where its connections end; one that is only silent, after so long. */
const SESSION_MS = 3_000

export type TestClusterOptions = Omit<TestBrokerOptions, 'node.id' | 'nodeId'> & {
  /** How many; 3 by default. Their ids are 1, 2, ... */
  readonly brokers?: number
}

/** One of the cluster, in whatever state it is. */
interface Member {
  readonly id: number
  readonly broker: TestBroker
  isRunning: boolean
}

/**
 * Brokers of one cluster for tests, all in this process: each is the broker that one runs, with data of its own and replication
 * over TCP. Only what they agree on is kept in memory, in a store that promises what etcd does.
 */
export class TestCluster implements AsyncDisposable {
  readonly #metadata = new MemoryMetadata()
  readonly #network = new Network()
  /** Of each broker's last start. */
  readonly #stores = new Map<number, MemoryMetadataStore>()
  readonly #members = new Map<number, Member>()
  readonly #paused = new Set<number>()
  /** Who can hear of each other; null: all. */
  #groups: readonly (readonly number[])[] | null = null
  readonly #closed = new AbortController()
  #closing: Promise<void> | null = null

  /** @throws InvalidOption */
  static async start(options: TestClusterOptions = {}): Promise<TestCluster> {
    checkStart(options, [...TEST_NAMES, 'brokers'])
    const { brokers = BROKERS, signal, ...given } = options
    checkBrokers(brokers, given)
    const cluster = new TestCluster()
    try {
      const ids = Array.from({ length: brokers }, (_, i) => i + 1)
      await Promise.all(ids.map(id => cluster.#add(id, brokers, given)))
      signal?.throwIfAborted()
    } catch (error) {
      await cluster.close()
      throw error
    }
    signal?.addEventListener('abort', () => void cluster.close(), { once: true })
    return cluster
  }

  async #add(id: number, count: number, given: TestBrokerOptions): Promise<void> {
    const replicas = Math.min(count, BROKERS)
    const options = {
      'broker.session.timeout.ms': SESSION_MS,
      'default.replication.factor': replicas,
      'offsets.topic.replication.factor': replicas,
      'min.insync.replicas': replicas < BROKERS ? 1 : 2,
      ...given,
      'node.id': id,
    }
    const place = () => {
      const store = this.#metadata.connect()
      this.#stores.set(id, store)
      this.#cut()
      return { metadata: store, dial: this.#network.dialOf(id) }
    }
    const broker = await TestBroker.startIn(place, options)
    this.#members.set(id, { id, broker, isRunning: true })
  }

  /** `host:port,host:port,...` of all brokers, running or not. */
  get bootstrapServers(): string {
    return this.#sorted.map(({ broker }) => broker.bootstrapServers).join(',')
  }

  get clusterId(): string {
    return this.#sorted[0]!.broker.clusterId
  }

  get #sorted(): Member[] {
    return [...this.#members.values()].sort((a, b) => a.id - b.id)
  }

  /** One of them, to fill and read the cluster, or to disturb; its faults concern what is asked of it. @throws RangeError */
  broker(id: number): TestBroker {
    return this.#member(id).broker
  }

  #member(id: number): Member {
    this.#checkOpen()
    const member = this.#members.get(id)
    if (member !== undefined) return member
    const ids = this.#sorted.map(one => one.id).join(', ')
    throw new RangeError(`There is no broker ${id}; there is ${ids}.`)
  }

  /** Ends it as kill -9 does. `restart` starts it again. @throws RangeError, or Error if it does not run */
  async kill(id: number): Promise<void> {
    const member = this.#member(id)
    if (!member.isRunning) throw new Error(`Broker ${id} does not run.`)
    member.isRunning = false
    this.resume(id)
    await member.broker.stop({ crash: true })
  }

  /** Starts a killed broker on its data and port; one that runs hands over what it leads, and stops, before. */
  async restart(id: number): Promise<void> {
    const member = this.#member(id)
    this.resume(id)
    await member.broker.restart()
    member.isRunning = true
  }

  /**
   * From now on it stands still, as a process that was sent SIGSTOP: requests of clients wait, and other brokers hear nothing
   * of it, nor it of them.
   */
  pause(id: number): void {
    const { isRunning, broker } = this.#member(id)
    if (!isRunning) throw new Error(`Broker ${id} does not run.`)
    broker.gate.shut()
    this.#paused.add(id)
    this.#cut()
  }

  /** A paused broker goes on; for one that is not it does nothing. */
  resume(id: number): void {
    const { broker } = this.#member(id)
    this.#paused.delete(id)
    this.#cut()
    broker.gate.open()
  }

  /**
   * Cuts the network between groups of brokers: `partition([1], [2, 3])`. Those that are named nowhere are alone. The metadata
   * is with the largest group, the first of them if there are several. Clients reach all brokers as before.
   * @throws TypeError, RangeError
   */
  partition(...groups: readonly (readonly number[])[]): void {
    checkGroups(groups)
    for (const id of groups.flat()) this.#member(id)
    this.#groups = groups
    this.#cut()
  }

  /** The network is whole again. */
  heal(): void {
    this.#groups = null
    this.#cut()
  }

  #cut(): void {
    const groups = this.#groups
    const groupOf = (id: number) => groups?.find(group => group.includes(id)) ?? id
    const areTogether = (a: number, b: number): boolean =>
      groups === null || groupOf(a) === groupOf(b)
    const isAwake = (id: number): boolean => !this.#paused.has(id)
    this.#network.reach = (a, b) => isAwake(a) && isAwake(b) && areTogether(a, b)
    const largest = groups?.reduce((most, one) => (one.length > most.length ? one : most))
    for (const [id, store] of this.#stores) {
      store.isCut = !isAwake(id) || (largest !== undefined && groupOf(id) !== largest)
    }
  }

  /** Those whose word counts: they run, and know what the cluster knows. */
  get #nodes() {
    const reached = this.#sorted.filter(({ id, isRunning }) => {
      return isRunning && this.#stores.get(id)?.isCut === false
    })
    return reached.map(({ broker }) => broker.node)
  }

  /**
   * Has one of its replicas lead the partition; resolves when it does.
   * @throws RangeError, WaitTimeout, BrokerError
   */
  async moveLeader(topic: string, partition: number, id: number): Promise<void> {
    checkPlace(topic, partition, {}, [])
    this.#member(id)
    await moveLeader(() => this.#nodes, { topic, partition, id }, this.#closed.signal)
  }

  /**
   * Resolves when the running brokers agree on who leads the partition, and it does: whoever it is, or `id`, or anybody but `not`.
   * @returns its id @throws WaitTimeout, which says how it stood instead
   */
  async waitForLeader(
    topic: string,
    partition = 0,
    options: WaitOptions & { readonly id?: number; readonly not?: number } = {},
  ): Promise<number> {
    checkPlace(topic, partition, options, ['id', 'not'])
    this.#checkOpen()
    return waitForLeader(() => this.#nodes, { topic, partition }, options, this.#closed.signal)
  }

  /**
   * Resolves when these brokers, or all replicas by default, are in sync.
   * @returns their ids, ascending @throws WaitTimeout, which says how it stood instead
   */
  async waitForIsr(
    topic: string,
    partition = 0,
    options: WaitOptions & { readonly isr?: readonly number[] } = {},
  ): Promise<readonly number[]> {
    checkPlace(topic, partition, options, ['isr'])
    this.#checkOpen()
    return waitForIsr(() => this.#nodes, { topic, partition }, options, this.#closed.signal)
  }

  #checkOpen(): void {
    if (this.#closing !== null) throw new Error('The cluster is closed.')
  }

  /** Ends all brokers and removes their data. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#closed.abort()
    for (const { broker } of this.#members.values()) broker.gate.open()
    // Nobody is to take over from them, and what they have is removed: nothing needs an orderly end.
    const all = [...this.#members.values()]
    await Promise.all(all.map(({ isRunning, broker }) => isRunning && broker.stop({ crash: true })))
    await Promise.all(all.map(({ broker }) => broker.close()))
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

/** Starts a cluster for tests; clients can connect when this resolves. @throws InvalidOption */
export function startTestCluster(options?: TestClusterOptions): Promise<TestCluster> {
  return TestCluster.start(options)
}
