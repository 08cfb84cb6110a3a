import { ClusterImage } from '../../src/cluster/image.ts'
import type { ImageDiff } from '../../src/cluster/image-diff.ts'
import { Session, type SessionEffect } from '../../src/cluster/session.ts'
import { Controller, type ControllerEffect } from '../../src/controller/controller.ts'
import type { FetchAnswer, FollowerEffect } from '../../src/replication/follower-effects.ts'
import type { LeaderReplica } from '../../src/replication/leader.ts'
import type { LeaderEffect } from '../../src/replication/leader-effects.ts'
import type { LogFacts } from '../../src/replication/log-facts.ts'
import {
  isRefusal,
  nextState,
  type Proposal,
  transactionOf,
} from '../../src/replication/next-state.ts'
import { PartitionReplica } from '../../src/replication/replica.ts'
import type { Change, Compare, Outcome } from '../../src/replication/types.ts'
import type { Effect, Reply, Slot } from './effects.ts'
import type { Batch } from './log-content.ts'
import type { SimNode, Surroundings } from './node.ts'
import { type FetchRequest, Peers } from './peers.ts'
import { Store } from './store.ts'
import { OUT_OF_ORDER, type Worker } from './worker.ts'

export const TICK_MS = 100
const NOT_LEADER = 6
const UNDECIDED = 20

/** One life of a broker: the shell around the machines, with all threads of the process as one. */
export class Process {
  readonly node: SimNode
  readonly around: Surroundings
  readonly incarnation: string
  readonly image = new ClusterImage()
  readonly session: Session
  readonly controller: Controller
  readonly replicas = new Map<string, PartitionReplica<Slot, Batch>>()
  readonly worker: Worker
  isAlive = true
  /** Stands still at this many effects from now; 0: it does not. */
  pauseAtEffect = 0
  pauseMs = 0
  #isPaused = false
  #isUncertain = true
  #wasUnfenced = false
  readonly #inbox: (() => void)[] = []
  readonly #effects: Effect[] = []
  #isDraining = false
  readonly #store: Store
  readonly #peers: Peers
  /** By key: the epoch whose state was read from the log. */
  readonly #loaded = new Map<string, number>()
  #ticket = 0
  readonly #tickets = new Map<number, (error: number) => void>()
  #proposals: { key: string; effect: Extract<LeaderEffect<Slot>, { kind: 'propose' }> }[] = []
  /** Up to where the checks have looked at what is committed here. */
  readonly #checkedTo = new Map<string, number>()

  constructor(
    node: SimNode,
    around: Surroundings,
    start: 'new' | 'clean' | 'killed' | 'recovered',
  ) {
    this.node = node
    this.around = around
    this.incarnation = `${node.id}.${node.starts}`
    this.worker = node.disk.worker(this)
    this.#store = new Store(this)
    this.#peers = new Peers(this)
    this.session = new Session({
      id: node.id,
      ttlMs: around.settings.ttlMs,
      incarnation: this.incarnation,
      dir: node.dir,
      start,
      replacesNode: node.isReplacement,
      facts: {},
      out: { push: effect => this.#effects.push({ of: 'session', effect }) },
    })
    this.controller = new Controller({
      me: node.id,
      incarnation: this.incarnation,
      image: this.image,
      ttlMs: around.settings.ttlMs,
      preferredMs: around.settings.preferredMs,
      mayBeUnclean: () => false,
      out: { push: effect => this.#effects.push({ of: 'controller', effect }) },
    })
    this.#store.watch()
    this.#tickLater()
  }

  /** Its own monotonic clock. */
  get now(): number {
    return (this.around.world.now - this.node.missed) * this.node.drift
  }

  get isPaused(): boolean {
    return this.#isPaused
  }

  end(): void {
    this.isAlive = false
    this.#peers.end()
  }

  /** Runs something in the process: now, when it goes on, or never. */
  deliver(run: () => void): void {
    if (!this.isAlive) return
    if (this.#isPaused) this.#inbox.push(run)
    else {
      run()
      this.#carryOut()
    }
  }

  pause(ms: number, isSuspended: boolean): void {
    if (this.#isPaused || !this.isAlive) return
    const { world } = this.around
    world.note(isSuspended ? 'suspend' : 'pause', this.node.id, ms | 0)
    this.#isPaused = true
    world.after(ms, () => {
      if (!this.isAlive) return
      if (isSuspended) this.node.missed += ms
      world.note('resume', this.node.id)
      this.#isPaused = false
      this.#carryOut()
      if (isSuspended) {
        world.after(world.between(0, 300), () =>
          this.deliver(() => this.session.clockJumped(this.now)),
        )
      }
      while (this.#inbox.length > 0 && !this.#isPaused) this.deliver(this.#inbox.shift()!)
    })
  }

  /** What the store said of keys, in whatever way. */
  learnt(diff: ImageDiff): void {
    const { id } = this.node
    for (const change of diff.brokers) {
      if (change.id !== id) continue
      this.session.seen(change.now, this.now)
      if (change.isUnfenced && change.now?.incarnation === this.incarnation) {
        this.session.unfenced()
        this.#wasUnfenced = true
      }
    }
    for (const { key, now } of diff.partitions) {
      const replica = this.replicas.get(key)
      if (replica !== undefined) replica.recordChanged(now, this.now)
      else if (now?.replicas.includes(id)) this.#host(key).recordChanged(now, this.now)
    }
    this.session.told(this.image.revision, this.now)
    this.controller.changed(diff, this.now)
    this.#tellController()
  }

  produce(key: string, batch: Batch, acks: 'all' | 'one', reply: Reply): unknown {
    const replica = this.replicas.get(key)
    const leader = replica?.leader ?? null
    if (leader === null) return reply(NOT_LEADER, null)
    if (acks === 'all' && leader.appendError !== 0) return reply(leader.appendError, null)
    const { epoch } = leader
    const placed = (end: number): void => this.replicas.get(key)?.leader?.placed(end, this.now)
    this.worker.append(key, epoch, batch, placed, (error, end, appended, isDuplicate) => {
      const now = this.replicas.get(key)?.leader ?? null
      if (error === OUT_OF_ORDER && now !== null) return this.#forgotten(now, batch, reply)
      if (error !== 0 || appended === null) return reply(error, null)
      // Appended, and who leads now may not be who was asked.
      if (now === null || now.epoch !== epoch) return reply(UNDECIDED, null)
      now.appended(end, this.now)
      if (acks === 'one') return reply(0, appended)
      if (isDuplicate && this.around.settings.bugs.duplicateAckedAtOnce) return reply(0, appended)
      now.wait(appended.lastOffset + 1, { batch: appended, reply }, this.now + 1_500)
    })
  }

  /** Who has been replaced cannot know what the producer has sent since, and must not say that it is missing. */
  #forgotten(leader: LeaderReplica<Slot>, { pid, seq }: Batch, reply: Reply): void {
    this.#tickets.set(++this.#ticket, error => {
      if (error === 0 && !this.around.checks.isForgiven) {
        this.around.checks.fail('I1', `${this.incarnation} has nothing of ${pid} before ${seq}`)
      }
      reply(error === 0 ? OUT_OF_ORDER : error, null)
    })
    if (this.around.settings.bugs.readWithoutConfirm) this.#tickets.get(this.#ticket)!(0)
    else leader.confirm(this.#ticket)
  }

  fetch(request: FetchRequest, answer: (answer: FetchAnswer<Batch>) => void): void {
    this.#peers.serve(request, answer)
  }

  /** As an admin request or a replica's own wish: by compare-and-set, once. */
  propose(key: string, proposal: Proposal): void {
    const state = this.image.partitionAt(key)
    if (state === null) return
    const next = nextState(state, proposal, this.image.view(key))
    if (isRefusal(next)) return
    const { compares, change } = transactionOf(key, next)
    this.around.world.note('propose', this.node.id, key, JSON.stringify(proposal))
    this.transact(compares, [change], () => {})
  }

  transact(
    compares: readonly Compare[],
    changes: readonly Change[],
    done: (outcome: Outcome) => void,
  ): void {
    this.#store.transact(compares, changes, done)
  }

  /** As DeleteRecords or retention of the leader: never above the high watermark. */
  deleteRecords(key: string, part: number): void {
    const leader = this.replicas.get(key)?.leader
    if (!leader) return
    const offset = leader.logStart + (leader.hw - leader.logStart) * part
    const batch = this.node.log(key)!.at(Math.floor(offset))
    if (batch === null || batch.baseOffset > leader.hw) return
    this.around.world.note('delete', this.node.id, key, batch.baseOffset)
    leader.startMoved(batch.baseOffset)
    this.worker.trim(key, batch.baseOffset)
  }

  /** etcd has something new. */
  watched(): void {
    this.#store.pump()
  }

  cutWatch(isCompacted: boolean): void {
    this.#store.cut(isCompacted)
  }

  /** Stops in order: first others take over. */
  drain(done: () => void): void {
    this.deliver(() => this.session.change({ draining: true }, this.now))
    const { world } = this.around
    const end = world.now + 6_000
    const look = (): unknown => {
      if (!this.isAlive) return
      const isOut =
        this.image.broker(this.node.id) !== null && this.image.unfenced(this.node.id) === 0
      if (!isOut && world.now < end) return world.after(100, look)
      this.deliver(() => this.session.stop())
      this.deliver(() => {
        this.node.isClean = this.#wasUnfenced || this.session.epoch === 0
        done()
      })
    }
    look()
  }

  #host(key: string): PartitionReplica<Slot, Batch> {
    const replica: PartitionReplica<Slot, Batch> = new PartitionReplica({
      me: this.node.id,
      incarnation: this.incarnation,
      key,
      brokers: this.image,
      lagTimeMs: this.around.settings.lagTimeMs,
      hasGaps: () => this.around.settings.compacts,
      out: {
        push: effect => {
          const record = replica.leader?.record ?? replica.record
          this.#effects.push({ of: 'replica', key, effect, record })
        },
      },
    })
    this.replicas.set(key, replica)
    replica.lease(!this.#isUncertain)
    return replica
  }

  #tickLater(): void {
    const { world } = this.around
    world.after(TICK_MS, () => {
      if (!this.isAlive) return
      if (!this.#isPaused) this.deliver(() => this.#tick())
      this.#tickLater()
    })
  }

  #tick(): void {
    const { now } = this
    const { settings, world } = this.around
    const { random } = world
    this.session.tick(now)
    this.#tellController()
    this.controller.tick(now)
    for (const [key, replica] of this.replicas) {
      replica.tick(now)
      if (random.chance(0.02)) this.worker.saveHw(key, replica.hw)
      if (settings.compacts && random.chance(0.02)) this.#compact(key)
    }
    this.worker.idle()
    this.#peers.expire()
  }

  /** Closed segments only, which end somewhere below the high watermark. */
  #compact(key: string): void {
    const { world } = this.around
    const hw = this.#checkedTo.get(key) ?? 0
    const offset = world.random.chance(0.5) ? hw : world.random.below(hw + 1)
    world.note('compact', this.node.id, key, offset)
    this.worker.compact(key, offset)
  }

  #lastLease: string | null = null
  #tellController(): void {
    if (this.session.lease === this.#lastLease) return
    this.#lastLease = this.session.lease
    this.controller.session(this.#lastLease, this.now)
  }

  #carryOut(): void {
    if (this.#isDraining) return
    this.#isDraining = true
    while (this.#effects.length > 0 && this.isAlive && !this.#isPaused) {
      if (this.pauseAtEffect > 0 && --this.pauseAtEffect === 0) {
        this.pause(this.pauseMs, false)
        break
      }
      const next = this.#effects.shift()!
      if (next.of === 'session') this.#session(next.effect)
      else if (next.of === 'controller') this.#controller(next.effect)
      else this.#replica(next)
    }
    this.#isDraining = false
  }

  #session(effect: SessionEffect): unknown {
    switch (effect.kind) {
      case 'grant':
        return this.#store.grant(effect.ttlMs, lease =>
          this.session.granted(effect.id, lease, this.now),
        )
      case 'register':
        return this.transact(effect.compares, effect.changes, outcome =>
          this.session.answered(effect.id, outcome, this.now),
        )
      case 'keepAlive':
        return this.#store.keepAlive(effect.lease, ttlMs =>
          this.session.kept(effect.id, ttlMs, this.now),
        )
      case 'revoke':
        return this.#store.revoke(effect.lease)
      case 'uncertain':
        this.#isUncertain = effect.isUncertain
        for (const replica of this.replicas.values()) replica.lease(!effect.isUncertain)
    }
  }

  #controller({ id, compares, changes }: ControllerEffect): void {
    const { checks, etcd } = this.around
    const isActive = this.controller.isActive
    this.#store.transact(
      compares,
      changes,
      outcome => this.controller.answered(id, outcome, this.now),
      outcome => {
        if (isActive && outcome.outcome === 'applied' && etcd.get('controller') !== null) {
          checks.controls(this.incarnation)
        }
      },
    )
  }

  #replica({ key, effect, record }: Extract<Effect, { of: 'replica' }>): unknown {
    const replica = this.replicas.get(key)
    if (replica === undefined) return
    const { world, checks } = this.around
    switch (effect.kind) {
      case 'role':
        return this.worker.role(key, effect.role, effect.epoch, facts => {
          if (this.node.damaged.has(key)) return replica.damaged('damage', this.now)
          replica.opened(effect.epoch, facts, this.now)
          const machine = replica.leader ?? replica.follower
          if (machine?.epoch !== effect.epoch) return
          this.#checkedTo.set(key, 0)
          this.#committed(key, machine.hw)
          if (replica.leader === null) return
          checks.leads(this.node, key, effect.epoch)
          if (this.around.settings.bugs.loadedToHw) {
            checks.loaded(key, effect.epoch, replica.leader.hw)
          } else this.#load(key)
        })
      case 'stop':
        this.replicas.delete(key)
        return this.worker.stop(key)
      case 'propose':
        if (this.#proposals.length === 0) {
          world.after(world.between(0, 20), () => this.deliver(() => this.#sendProposals()))
        }
        this.#proposals.push({ key, effect })
        return
      case 'advance':
        this.#committed(key, effect.hw)
        this.#load(key)
        return checks.advanced(key, record!, effect.hw)
      case 'hw':
        return this.#committed(key, effect.hw)
      case 'settle':
        for (const { batch, reply } of effect.slots) reply(effect.error, batch)
        return
      case 'wake':
        return this.#peers.wake(key, () => true)
      case 'readable':
        return this.#peers.wake(key, ({ offset }) => offset < effect.end)
      case 'answerNow':
        return this.#peers.wake(key, ({ from }) => effect.replicas.includes(from))
      case 'confirmed':
        for (const ticket of effect.tickets) {
          this.#tickets.get(ticket)?.(effect.error)
          this.#tickets.delete(ticket)
        }
        return
      case 'resign':
        return this.#peers.refuse(key)
      case 'failed':
        return this.session.change({ failed: [key.slice(2)] }, this.now)
      case 'lose':
        return this.propose(key, { lost: [this.node.id] })
      case 'refill':
        this.worker.refill(key)
        this.node.damaged.delete(key)
        this.session.change({ failed: [] }, this.now)
        return replica.refilled(this.now)
      default:
        this.#follow(key, effect as FollowerEffect<Batch>)
    }
  }

  #follow(key: string, effect: FollowerEffect<Batch>): unknown {
    const follower = this.replicas.get(key)?.follower
    // What comes back may come to another one.
    const isIts = (): boolean => follower === this.replicas.get(key)?.follower
    const reopened = (facts: LogFacts): void => {
      if (isIts()) follower?.reopened(facts, this.now)
    }
    switch (effect.kind) {
      case 'fetch':
        return this.#peers.fetch(key, effect)
      case 'append': {
        const flushed = (end: number): void => {
          if (isIts()) follower?.flushed(end, this.now)
        }
        const refused = (facts: LogFacts): void => {
          if (isIts()) follower?.appendFailed(facts, this.now)
        }
        return this.worker.replicate(key, effect.epoch, effect.batches, flushed, refused)
      }
      case 'truncate':
        this.around.checks.cuts(this.node, key, effect.offset, this.replicas.get(key)!.hw)
        this.#checkedTo.set(key, 0)
        return this.worker.cut(key, effect.epoch, effect.offset, reopened)
      case 'startAt':
        return this.worker.beginAt(key, effect.epoch, effect.offset, reopened)
      case 'moveStart':
        return this.worker.trim(key, effect.offset)
      case 'fail':
        if (!this.around.checks.isForgiven) this.around.checks.fail('I7', effect.reason)
    }
  }

  /** Changes of several partitions go in one transaction. */
  #sendProposals(): void {
    const proposals = this.#proposals
    this.#proposals = []
    const compares = new Map<string, Compare>()
    for (const { effect } of proposals) {
      for (const compare of effect.compares) compares.set(JSON.stringify(compare), compare)
    }
    const changes = new Map(proposals.map(({ key, effect }) => [key, effect.change]))
    const leaders = proposals.map(({ key }) => this.replicas.get(key)?.leader)
    this.transact([...compares.values()], [...changes.values()], outcome => {
      proposals.forEach(({ key, effect }, i) => {
        const leader = this.replicas.get(key)?.leader
        if (leader === leaders[i]) leader?.answered(effect.id, outcome, this.now)
      })
    })
  }

  /** As a coordinator does of its partition, when all is committed that was there at the election. */
  #load(key: string): void {
    const leader = this.replicas.get(key)?.leader
    if (!leader || leader.hw < leader.epochStart || this.#loaded.get(key) === leader.epoch) return
    this.#loaded.set(key, leader.epoch)
    this.around.checks.loaded(key, leader.epoch, leader.epochStart)
  }

  #committed(key: string, hw: number): void {
    this.around.checks.highWatermark(this.node, key, this.#checkedTo.get(key) ?? 0, hw)
    this.#checkedTo.set(key, hw)
  }
}
