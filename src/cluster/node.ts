import { randomBytes } from 'node:crypto'
import { type BrokerConfigView, topicText } from '../configs/values.ts'
import { Controller, type ControllerEffect } from '../controller/controller.ts'
import type { Endpoint } from '../endpoint.ts'
import { every } from '../guarded.ts'
import type { MetadataStore } from '../metadata/store.ts'
import type { Partition } from '../topics/partition.ts'
import type { Registry, Topic } from '../topics/registry.ts'
import type { TopicSource } from '../topics/topic-source.ts'
import type { TopicTable } from '../topics/topic-table.ts'
import {
  type ClusterTopicRecord,
  ClusterTopics,
  type ClusterTopicsOptions,
} from './cluster-topics.ts'
import { addressOn, ImageView } from './cluster-view.ts'
import type { Dial } from './dial.ts'
import { ImageFeed } from './feed.ts'
import type { HostedReplica } from './hosted-replica.ts'
import { ClusterImage, type ImageTopic } from './image.ts'
import type { ImageDiff } from './image-diff.ts'
import { Lane } from './lane.ts'
import { Probes } from './probes.ts'
import type { StartKind } from './registration.ts'
import { ReplicaFetches } from './replica-fetches.ts'
import { ReplicaHost } from './replica-host.ts'
import { Scrubber } from './scrubber.ts'
import { Session, type SessionEffect } from './session.ts'
import { Throttle } from './throttle.ts'
import { Wakeups } from './wakeups.ts'

const TICK_MS = 100
const REPLICA_TICK_MS = 500
const SAVE_MS = 5_000
/** Wall clock and monotonic clock may part by this much between two ticks. */
const CLOCK_JUMP_MS = 500
/** The controller writes a tick every 5 s: a watch that shows none for so long is taken for dead. */
const SILENCE_MS = 20_000
/** initial.broker.registration.timeout.ms */
const JOIN_MS_MAX = 60_000
const DRAIN_MS_MAX = 30_000
/** A disk has no room, or has room again, for so long before others are told: leaders move then. */
const FULL_MS = 10_000
const UNCLEAN = 'unclean.leader.election.enable'
/** A broker that has handed over goes on answering for so long: clients that ask it now are told who leads. */
const TELL_MS = 500

export interface ClusterNodeOptions {
  readonly me: number
  readonly store: MetadataStore
  /** Of the data folder. */
  readonly dir: string
  readonly start: Exclude<StartKind, 'live'>
  readonly replacesNode: boolean
  readonly rack: string | null
  /** broker.session.timeout.ms */
  readonly sessionMs: number
  /** Infinity: leaders stay where they are. */
  readonly preferredMs: number
  readonly lagTimeMs: () => number
  /** 0: never. */
  readonly scrubMs: () => number
  readonly scrubBytesPerSecond: () => number
  /** Consumers may read from followers. */
  readonly tellsCommitted: boolean
  readonly interBrokerListener: string
  readonly dial: Dial
  readonly onLed: (partition: Partition) => void
  /** Keys that are none of brokers, topics and partitions have changed. */
  readonly onKeys: (keys: readonly string[]) => void
  readonly log: ClusterTopicsOptions['log']
}

/** A broker's part in a cluster. Wiring only: machines, what they are told, and what becomes of what they want. */
export class ClusterNode {
  readonly image = new ClusterImage()
  readonly view: ImageView
  readonly feed: ImageFeed
  readonly #o: ClusterNodeOptions
  readonly #incarnation = randomBytes(8).toString('hex')
  readonly #controller: Controller
  readonly #controllerOut: ControllerEffect[] = []
  readonly #sessionOut: SessionEffect[] = []
  readonly #lanes = new Map<number, Lane>()
  /** Of brokers that there are, or were a moment ago: a lease that ends says nothing about its process. */
  readonly #incarnations = new Map<number, string>()
  #lanesThrottle: Throttle | null = null
  #configView: (() => BrokerConfigView) | null = null
  readonly #probes: Probes
  readonly #timers: NodeJS.Timeout[] = []
  #session: Session | null = null
  #topics: ClusterTopics | null = null
  #host: ReplicaHost | null = null
  #fetches: ReplicaFetches | null = null
  #scrubber: Scrubber | null = null
  #fullTimer: NodeJS.Timeout | undefined
  #clockLead = 0
  #heardAt = 0
  /** The image has changed. */
  readonly #changes = new Wakeups()
  /** Why it is not registered. */
  #blocked = ''
  #isClosed = false

  constructor(options: ClusterNodeOptions) {
    this.#o = options
    const { image } = this
    const { store, log, me, sessionMs: ttlMs, preferredMs, dial } = options
    const onDiff = (diff: ImageDiff): void => this.#changed(diff)
    this.feed = new ImageFeed({ store, image, onDiff, log })
    const isAway = (id: number): boolean => this.#probes.isAway(id)
    this.view = new ImageView({ image, feed: this.feed, isAway, changes: this.#changes })
    const incarnation = this.#incarnation
    const out = this.#controllerOut
    const mayBeUnclean = (topic: ImageTopic): boolean => this.#mayBeUnclean(topic)
    this.#controller = new Controller({
      ...{ me, incarnation, image, ttlMs, preferredMs, mayBeUnclean, out },
    })
    this.#probes = new Probes({
      addressOf: id => this.addressOf(id),
      dial,
      onRefused: id => {
        log.info({ broker: id }, 'no process listens at this broker any more')
        this.#tellController(now => this.#controller.refused(id, now))
      },
    })
  }

  #mayBeUnclean({ entry }: ImageTopic): boolean {
    const { configs } = entry.value as unknown as ClusterTopicRecord
    const view = this.#configView?.() ?? null
    return view !== null && topicText(UNCLEAN, configs, view) === 'true'
  }

  get dial(): Dial {
    return this.#o.dial
  }

  get fetches(): ReplicaFetches {
    return this.#fetches!
  }

  get host(): ReplicaHost {
    return this.#host!
  }

  /** Topics as the cluster's metadata has them: what the registry is made with. */
  topicsFor(
    table: TopicTable,
    more: Pick<ClusterTopicsOptions, 'nodeStore' | 'workers' | 'dataDir' | 'configView'>,
  ): TopicSource {
    const { me, store, log } = this.#o
    const { image, feed } = this
    const host = (): ReplicaHost => this.host
    this.#topics = new ClusterTopics({ me, store, image, feed, host, table, log, ...more })
    return this.#topics
  }

  /** The broker's own configs have changed: so may have what topics are to have that do not override them. */
  settle(topics: Iterable<Topic>): Promise<void> {
    return this.#topics!.settleAll(topics)
  }

  /** Before topics are loaded. */
  attach(registry: Registry, configView: () => BrokerConfigView): void {
    this.#configView = configView
    const { me, log, lagTimeMs, tellsCommitted, onLed } = this.#o
    const { image, feed } = this
    const { replicas } = registry
    this.#host = new ReplicaHost({
      ...{ me, image, feed, replicas, lagTimeMs, log, onLed },
      incarnation: this.#incarnation,
      now: () => performance.now(),
      fetches: () => this.fetches,
      laneTo: id => this.#laneTo(id),
      leaveLanes: replica => {
        for (const lane of this.#lanes.values()) lane.forget(replica)
      },
      onFailed: failed => this.#tellSession(now => this.#session?.change({ failed }, now)),
    })
    const onDamaged = (replica: HostedReplica, offset: number): void =>
      this.host.damaged(replica, offset)
    const find = (key: string) => this.host.find(key)
    const throttle = this.#throttle('leader', configView)
    const incarnationOf = (id: number): string | null => this.#incarnations.get(id) ?? null
    this.#lanesThrottle = this.#throttle('follower', configView)
    this.#fetches = new ReplicaFetches({
      find,
      pool: replicas.pool,
      tellsCommitted,
      throttle,
      incarnationOf,
      onDamaged,
      log,
    })
    this.#scrubber = new Scrubber({
      replicas: () => this.host.all,
      pool: replicas.pool,
      intervalMs: this.#o.scrubMs,
      bytesPerSecond: this.#o.scrubBytesPerSecond,
      onDamaged,
      log,
    })
  }

  #throttle(side: 'leader' | 'follower', configView: () => BrokerConfigView): Throttle {
    return new Throttle({ me: this.#o.me, side, configView, now: () => performance.now() })
  }

  #laneTo(peer: number): Lane {
    const known = this.#lanes.get(peer)
    if (known !== undefined) return known
    const { me, log, dial } = this.#o
    const lane = new Lane({
      ...{ me, peer, incarnation: this.#incarnation, clientId: `broker-${me}-fetcher` },
      address: () => this.addressOf(peer),
      dial,
      throttle: this.#lanesThrottle!,
      brokerEpoch: () => this.#session?.epoch ?? -1,
      onError: err => log.info({ err, broker: peer }, 'a fetch from another broker failed'),
    })
    this.#lanes.set(peer, lane)
    return lane
  }

  /** Where another broker is reached now; null: nobody knows. */
  addressOf(id: number): Endpoint | null {
    const broker = this.image.broker(id)
    return broker === null ? null : addressOn(broker, this.#o.interBrokerListener)
  }

  /** Whether the cluster has ever had this broker among its own, in this life. */
  hasJoined = false

  /** Registers this broker, whose listeners are open, and resolves when it has its place. @throws Error if it has none in time */
  async join(listeners: Readonly<Record<string, Endpoint>>): Promise<void> {
    const { me: id, dir, start, replacesNode, sessionMs: ttlMs, rack, log } = this.#o
    const facts = {
      listeners: Object.fromEntries(
        Object.entries(listeners).map(([name, { host, port }]) => [name, { host, port }]),
      ),
      ...(rack !== null && { rack }),
    }
    const incarnation = this.#incarnation
    const out = this.#sessionOut
    this.#session = new Session({ id, ttlMs, incarnation, dir, start, replacesNode, facts, out })
    this.#clockLead = Date.now() - performance.now()
    this.#heardAt = performance.now()
    const timer = (ms: number, what: string, act: () => unknown): void =>
      void this.#timers.push(every(ms, log, what, act as () => void))
    timer(TICK_MS, 'the session was not looked at', () => this.#tick())
    timer(REPLICA_TICK_MS, 'replicas were not looked at', () => this.host.tick())
    timer(SAVE_MS, 'high watermarks were not kept', () => this.host.saveHighWatermarks())
    this.#tick()
    await this.#untilUnfenced()
    this.hasJoined = true
  }

  async #untilUnfenced(): Promise<void> {
    const { me } = this.#o
    const deadline = performance.now() + JOIN_MS_MAX
    while (this.image.unfenced(me) === 0 || this.#session?.epoch === 0) {
      const left = deadline - performance.now()
      if (left > 0) await this.#changes.next(left)
      else {
        const why = this.#blocked === '' ? '' : `: ${this.#blocked}`
        const message = `Broker ${me} was not taken into the cluster within ${JOIN_MS_MAX} ms${why}.`
        throw Object.assign(new Error(message), { name: 'ClusterError' })
      }
    }
  }

  #tick(): void {
    const now = performance.now()
    const lead = Date.now() - now
    if (Math.abs(lead - this.#clockLead) > CLOCK_JUMP_MS) {
      this.#tellSession(at => this.#session?.clockJumped(at))
    }
    this.#clockLead = lead
    if (now - this.#heardAt > SILENCE_MS) {
      this.#heardAt = now
      this.feed.restart()
    }
    this.#tellSession(at => this.#session?.tick(at))
    this.#tellController(at => this.#controller.tick(at))
  }

  #changed(diff: ImageDiff): void {
    this.#heardAt = performance.now()
    const { me } = this.#o
    this.#topics?.changed(diff)
    if (diff.keys.length > 0) this.#o.onKeys(diff.keys)
    for (const { id } of diff.brokers) {
      const known = this.image.broker(id)
      if (known !== null) this.#incarnations.set(id, known.incarnation)
    }
    const session = this.#session
    if (session !== null && diff.brokers.some(({ id }) => id === me)) {
      const mine = this.image.broker(me)
      this.#tellSession(now => session.seen(mine, now))
      if (this.image.unfenced(me) !== 0) session.unfenced()
    }
    if (session !== null) this.#tellSession(now => session.told(this.image.revision, now))
    this.#tellController(now => this.#controller.changed(diff, now))
    if (diff.brokers.length > 0) this.#watchOthers()
    this.#changes.wake()
  }

  /** The controller replaces who dies, all others a controller that does; and clients are sent to nobody who has died. */
  #watchOthers(): void {
    if (this.#isClosed || this.#session === null) return
    const ids = this.image.brokers.map(({ id }) => id)
    this.#probes.watch(new Set(ids.filter(id => id !== this.#o.me)))
  }

  #tellSession(tell: (now: number) => void): void {
    tell(performance.now())
    for (let next = this.#sessionOut.shift(); next !== undefined; next = this.#sessionOut.shift()) {
      this.#doForSession(next)
    }
    const lease = this.#session?.lease ?? null
    this.#tellController(now => this.#controller.session(lease, now))
  }

  #doForSession(effect: SessionEffect): void {
    const { store, log } = this.#o
    const session = this.#session!
    switch (effect.kind) {
      case 'grant':
        store.grant(effect.ttlMs).then(
          lease => this.#tellSession(now => session.granted(effect.id, lease, now)),
          err => {
            log.warn({ err }, 'there is no lease from the metadata store')
            this.#tellSession(now => session.granted(effect.id, null, now))
          },
        )
        break
      case 'register':
        void this.feed.transact(effect.compares, effect.changes).then(outcome => {
          this.#tellSession(now => session.answered(effect.id, outcome, now))
        })
        break
      case 'keepAlive':
        store.keepAlive(effect.lease).then(
          ttlMs => this.#tellSession(now => session.kept(effect.id, ttlMs, now)),
          () => this.#tellSession(now => session.kept(effect.id, null, now)),
        )
        break
      case 'revoke':
        store.revoke(effect.lease).catch(err => log.info({ err }, 'a lease was not given up'))
        break
      case 'uncertain':
        this.host.lease(!effect.isUncertain)
        break
      case 'registered':
        log.info({ epoch: effect.epoch }, 'registered in the cluster')
        break
      case 'blocked':
        this.#blocked = effect.reason
        log.warn({}, effect.reason)
        break
    }
  }

  #tellController(tell: (now: number) => void): void {
    if (this.#isClosed) return
    tell(performance.now())
    const out = this.#controllerOut
    for (let next = out.shift(); next !== undefined; next = out.shift()) {
      const { id } = next
      void this.feed.transact(next.compares, next.changes).then(outcome => {
        this.#tellController(now => this.#controller.answered(id, outcome, now))
      })
    }
  }

  /** Whether the disk has no room now: others are told when that has lasted for a while. */
  setFull(full: boolean): void {
    clearTimeout(this.#fullTimer)
    const publish = (): void => this.#tellSession(now => this.#session?.change({ full }, now))
    this.#fullTimer = setTimeout(publish, FULL_MS).unref()
  }

  /** The most that `drain` takes. */
  readonly drainMsMax = DRAIN_MS_MAX

  /** Hands over what this broker leads, and leaves the in-sync replicas: then it may stop. */
  async drain(): Promise<void> {
    const session = this.#session
    const { me, log } = this.#o
    if (session === null || session.epoch === 0) return
    const mine = [...this.image.partitionsOn(me)]
    const leads = mine.some(({ key }) => this.image.partitionAt(key)!.leader === me)
    this.#tellSession(now => session.change({ draining: true }, now))
    const deadline = performance.now() + DRAIN_MS_MAX
    const isOut = (): boolean => this.image.unfenced(me) === 0
    // Out of reach of the metadata for so long that another may lead: there is nothing to hand over any more.
    const isLost = (): boolean => !session.isHeld(performance.now())
    while (!isOut() && !isLost() && performance.now() < deadline) {
      await this.#changes.next(TICK_MS)
    }
    if (isOut()) {
      if (leads) await new Promise(resolve => setTimeout(resolve, TELL_MS))
      return
    }
    const why = isLost()
      ? 'the metadata is out of reach'
      : `it takes longer than ${DRAIN_MS_MAX} ms`
    log.warn({}, `not handed over: ${why}; it stops all the same`)
  }

  /** Nothing is fetched, watched or registered any more. */
  close(gently = true): void {
    if (this.#isClosed) return
    if (gently) this.#tellSession(() => this.#session?.stop())
    this.#isClosed = true
    for (const timer of this.#timers) clearInterval(timer)
    clearTimeout(this.#fullTimer)
    this.#probes.close()
    this.#scrubber?.close()
    for (const lane of this.#lanes.values()) lane.close()
    this.feed.stop()
  }
}
