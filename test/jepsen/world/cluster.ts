import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { BrokerProcess } from '../../lib/broker-process.ts'
import { end, hasEnded } from '../../lib/child.ts'
import { rest } from '../../lib/cluster-ledger.ts'
import { Etcd } from '../../lib/etcd.ts'
import { type Member, ProcessCluster } from '../../lib/process-cluster.ts'
import { ADDRESSES, type Network, type NodeName } from './network.ts'

const PORT = 9092
/** As a supervisor that starts what has ended. */
const RESTART_MS = 500
const KILL_MS_MAX = 10_000
const OVERRIDES = [
  ...['odradek.partition.workers=1', 'group.initial.rebalance.delay.ms=0'],
  ...[
    'offsets.topic.num.partitions=3',
    'log.segment.bytes=1048576',
    'auto.create.topics.enable=false',
  ],
  // Flipped bits are found while the run lasts, not within a week.
  ...['odradek.scrub.interval.ms=2000', 'odradek.scrub.bytes.per.second=100000000'],
]

export interface ClusterSettings {
  readonly network: Network
  /** For data and for files that set clocks. */
  readonly folder: string
  /** The folder that holds dist/, if it is not this repository. */
  readonly root?: string
  /** Whether brokers get clocks that can be set: each look at one costs them more. */
  readonly hasClocks: boolean
}

export const nodeOf = (id: number): NodeName => `b${id}` as NodeName

/** Three brokers and an etcd, each in its network namespace; for who is in that of the clients. */
export class JepsenCluster extends ProcessCluster<BrokerProcess> {
  readonly etcd: Etcd
  readonly members: readonly Member<BrokerProcess>[]
  /** Starts that went wrong and were repeated: of a broker without its etcd, for example. */
  readonly failedStarts: string[] = []
  /** All have run once: whoever cannot start from now on may lack something, and tries again. */
  #isUp = false
  /** Of brokers that are dead. */
  readonly #complaints: string[] = []
  readonly #settings: ClusterSettings
  /** Who is to run; a start goes on until it is done or nobody wants it any more. */
  readonly #wanted = new Set<number>()
  readonly #starting = new Map<number, Promise<void>>()
  /** The process of a broker from its first moment. */
  readonly #children = new Map<number, BrokerProcess['child']>()

  private constructor(etcd: Etcd, settings: ClusterSettings) {
    super()
    this.etcd = etcd
    this.#settings = settings
    this.members = [1, 2, 3].map(id => {
      const dir = join(settings.folder, `broker-${id}`)
      return { id, host: ADDRESSES[nodeOf(id)], port: PORT, dir, broker: null }
    })
  }

  static async start(settings: ClusterSettings): Promise<JepsenCluster> {
    const dir = join(settings.folder, 'etcd')
    mkdirSync(dir)
    const wrapper = settings.network.wrapper('etcd')
    const etcd = await Etcd.start({ dir, wrapper, host: ADDRESSES.etcd })
    const cluster = new JepsenCluster(etcd, settings)
    for (const { id } of cluster.members) cluster.setClock(id, 0)
    await Promise.all(cluster.members.map(({ id }) => cluster.startBroker(id)))
    cluster.#isUp = true
    return cluster
  }

  /** Resolves when it runs, however often it has to be started for that, or when it is killed. */
  override async startBroker(id: number): Promise<BrokerProcess> {
    this.#wanted.add(id)
    while (this.#wanted.has(id) && this.member(id).broker?.hasEnded !== false) {
      let starting = this.#starting.get(id)
      if (starting === undefined) {
        starting = this.#start(id).finally(() => this.#starting.delete(id))
        this.#starting.set(id, starting)
      }
      await starting
    }
    return this.broker(id)
  }

  /** Once. */
  async #start(id: number): Promise<void> {
    const member = this.member(id)
    try {
      member.broker = await BrokerProcess.start({
        dir: member.dir,
        overrides: this.#overridesOf(member),
        wrapper: this.#settings.network.wrapper(nodeOf(id)),
        onSpawn: child => this.#children.set(id, child),
        ...(this.#settings.root !== undefined && { root: this.#settings.root }),
        ...(this.#settings.hasClocks && { env: this.#clockOf(id) }),
      })
    } catch (error) {
      if (!this.#isUp) throw error
      if (!this.#wanted.has(id)) return
      this.failedStarts.push(`broker ${id}: ${(error as Error).message}`)
      await rest(RESTART_MS)
    }
  }

  #overridesOf({ id, host, port }: Member<BrokerProcess>): string[] {
    const { etcd } = this
    return [
      ...[`node.id=${id}`, `listeners=PLAINTEXT://${host}:${port}`],
      `odradek.metadata=etcd://${etcd.host}:${etcd.port}/test`,
      ...OVERRIDES,
    ]
  }

  async killBroker(id: number): Promise<void> {
    const member = this.member(id)
    if (member.broker?.hasEnded === true) this.#complaints.push(`broker ${id} has ended by itself`)
    this.#wanted.delete(id)
    const child = this.#children.get(id)
    if (child !== undefined) await end(child, 'SIGKILL', KILL_MS_MAX)
    await this.#starting.get(id)
    if (member.broker !== null) this.#complaints.push(...bugsIn(member))
    member.broker = null
  }

  /** SIGSTOP or SIGCONT, if there is a process. */
  signal(id: number, signal: 'SIGSTOP' | 'SIGCONT'): void {
    const child = this.#children.get(id)
    if (child !== undefined && !hasEnded(child)) child.kill(signal)
  }

  isWanted(id: number): boolean {
    return this.#wanted.has(id)
  }

  /** Brokers that have ended by themselves, and bugs that any has noticed. */
  complaints(): string[] {
    const ended = this.members.filter(({ broker }) => broker?.hasEnded === true)
    return [
      ...this.#complaints,
      ...ended.map(({ id }) => `broker ${id} has ended by itself`),
      ...this.members.flatMap(bugsIn),
    ]
  }

  #clockOf(id: number): Record<string, string> {
    return {
      LD_PRELOAD: fakeTimeLibrary(),
      FAKETIME_TIMESTAMP_FILE: this.#clockFile(id),
      // It looks once a second; timers and waits keep to the clock that only goes forward.
      FAKETIME_CACHE_DURATION: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      NO_FAKE_STAT: '1',
    }
  }

  #clockFile(id: number): string {
    return join(this.#settings.folder, `clock-${id}`)
  }

  /** Its wall clock is so many ms off from now on. */
  setClock(id: number, ms: number): void {
    writeFileSync(this.#clockFile(id), `${ms < 0 ? '' : '+'}${(ms / 1_000).toFixed(3)}\n`)
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.members.map(({ id }) => this.killBroker(id)))
    await this.etcd.close()
  }
}

function bugsIn({ id, broker }: Member<BrokerProcess>): string[] {
  const lines = broker?.output.match(/.*(bug:|cannot follow).*/g) ?? []
  return lines.map(line => `broker ${id} says ${line}`)
}

/** Where Debian's package of libfaketime has it. */
function fakeTimeLibrary(): string {
  const found = readdirSync('/usr/lib')
    .map(triplet => join('/usr/lib', triplet, 'faketime/libfaketimeMT.so.1'))
    .find(path => existsSync(path))
  if (found !== undefined) return found
  throw new Error('faketime is needed for clocks: install its Debian package')
}
