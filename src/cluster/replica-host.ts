import { groupBy } from '../group-by.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import { PARTITION_PREFIX } from '../replication/partition-state.ts'
import type { LogView } from '../storage/commands.ts'
import type { Partition } from '../topics/partition.ts'
import type { Replicas } from '../topics/replicas.ts'
import type { FetchedBatch } from './batches.ts'
import type { ImageFeed } from './feed.ts'
import { type HostedEffect, HostedReplica, type HostOptions } from './hosted-replica.ts'
import type { Lane } from './lane.ts'
import { LeaderProposals, proposeLost } from './proposals.ts'
import type { ReplicaFetches } from './replica-fetches.ts'
import { RoleChanges } from './role-changes.ts'

export interface ReplicaHostOptions extends Omit<HostOptions, 'carryOut' | 'confirm'> {
  readonly feed: ImageFeed
  readonly replicas: Replicas
  readonly fetches: () => ReplicaFetches
  readonly laneTo: (broker: number) => Lane
  /** It follows nobody any more, or somebody else. */
  readonly leaveLanes: (replica: HostedReplica) => void
  /** Which partitions are here and cannot be served: published. */
  readonly onFailed: (keys: readonly string[]) => void
  /** A partition is led here now, or no longer. */
  readonly onLed: (partition: Partition) => void
  readonly log: {
    info(fields: object, message: string): void
    error(fields: object, message: string): void
  }
}

/** The replicas on this broker: what their machines want done is done here. */
export class ReplicaHost {
  readonly #o: ReplicaHostOptions
  readonly #byKey = new Map<string, HostedReplica>()
  readonly #failed = new Set<string>()
  readonly #roles: RoleChanges
  readonly #proposals: LeaderProposals
  readonly #confirmations = new Map<number, (errorCode: number) => void>()
  #nextTicket = 1
  #isHeld = false

  constructor(options: ReplicaHostOptions) {
    this.#o = options
    this.#roles = new RoleChanges(options.log, replica => this.#took(replica))
    this.#proposals = new LeaderProposals(options.feed)
  }

  find(key: string): HostedReplica | undefined {
    return this.#byKey.get(key)
  }

  get all(): Iterable<HostedReplica> {
    return this.#byKey.values()
  }

  /** A partition whose log is open. */
  add(partition: Partition, key: string): HostedReplica {
    const carryOut = (replica: HostedReplica, effect: HostedEffect): void =>
      this.#carryOut(replica, effect)
    const confirm = (replica: HostedReplica): Promise<boolean> => this.#confirm(replica)
    const replica = new HostedReplica(partition, key, { ...this.#o, carryOut, confirm })
    this.#byKey.set(key, replica)
    replica.tell(machine => machine.lease(this.#isHeld))
    if (partition.offline !== null) replica.lost(partition.offline)
    return replica
  }

  /** What was read from its files behind the offset is not what was appended: others have it, or nobody has. */
  damaged({ partition, machine }: HostedReplica, offset: number): void {
    const reason = `what was read from its log behind offset ${offset} is damaged`
    if (machine.isSpare) this.#o.replicas.giveUp(partition, reason)
    else this.#o.log.error({ partition: partition.name }, `${reason}, and nobody else has it`)
  }

  /** The topic is gone, or the partition has moved away. */
  remove(key: string): void {
    const replica = this.#byKey.get(key)
    if (replica === undefined) return
    replica.isGone = true
    this.#byKey.delete(key)
    this.#o.leaveLanes(replica)
    replica.tell((machine, now) => machine.recordChanged(null, now))
    if (this.#failed.delete(key)) this.#publishFailed()
  }

  recordChanged(key: string): void {
    const state = this.#o.image.partitionAt(key)
    this.#byKey.get(key)?.tell((machine, now) => machine.recordChanged(state, now))
  }

  /** Whether others must believe that this broker is alive. */
  lease(isHeld: boolean): void {
    this.#isHeld = isHeld
    for (const replica of this.#byKey.values()) replica.tell(machine => machine.lease(isHeld))
  }

  tick(): void {
    for (const replica of this.#byKey.values()) replica.tell((machine, now) => machine.tick(now))
  }

  #confirm(replica: HostedReplica): Promise<boolean> {
    const { leader } = replica.machine
    if (leader === null) return Promise.resolve(false)
    const ticket = this.#nextTicket++
    return new Promise(resolve => {
      this.#confirmations.set(ticket, errorCode => resolve(errorCode === ErrorCode.NONE))
      replica.tell(() => leader.confirm(ticket))
    })
  }

  /** Has the workers remember how far partitions are committed. */
  saveHighWatermarks(): Promise<unknown> {
    const moved = [...this.#byKey.values()].filter(({ partition, savedHw }) => {
      return partition.highWatermark !== savedHw && !partition.worker.isLost
    })
    const saved = [...groupBy(moved, ({ partition }) => partition.worker)].map(([worker, some]) => {
      const items = some.map(replica => {
        const { handle, highWatermark: offset } = replica.partition
        replica.savedHw = offset
        return { handle, offset }
      })
      return worker.command('highWatermarks', { items })
    })
    return Promise.all(saved)
  }

  #carryOut(replica: HostedReplica, effect: HostedEffect): void {
    const { partition, key } = replica
    switch (effect.kind) {
      case 'role':
        partition.leaderEpoch = effect.epoch
        this.#o.leaveLanes(replica)
        this.#roles.ask(replica, effect.role === 'leader', effect.epoch)
        break
      case 'resign':
        partition.setLeads(false)
        this.#o.onLed(partition)
        this.#o.fetches().wake(key)
        break
      case 'propose':
        this.#proposals.send(replica, effect)
        break
      case 'advance':
        partition.advance(effect.hw)
        this.#o.fetches().committed(key)
        break
      case 'hw':
        partition.advance(effect.hw)
        break
      case 'settle':
        for (const { waiter, slot } of effect.slots) waiter.onCommitted(slot, effect.error as never)
        break
      case 'wake':
        this.#o.fetches().wake(key)
        break
      case 'readable':
        this.#o.fetches().readable(key, effect.end)
        break
      case 'answerNow':
        this.#o.fetches().answerNow(key, effect.replicas)
        break
      case 'confirmed':
        for (const ticket of effect.tickets) {
          this.#confirmations.get(ticket)?.(effect.error)
          this.#confirmations.delete(ticket)
        }
        break
      case 'fetch':
        this.#o.laneTo(effect.leader).wish(replica, effect)
        break
      case 'append':
        this.#append(replica, effect.batches, effect.epoch)
        break
      case 'truncate':
        this.#reopen(replica, 'truncate', effect)
        break
      case 'startAt':
        this.#reopen(replica, 'startAnew', effect)
        break
      case 'moveStart':
        this.#moveStart(replica, effect.offset)
        break
      case 'fail':
        this.#o.log.error({ partition: partition.name, reason: effect.reason }, 'it cannot follow')
        break
      case 'stop':
        break
      case 'failed':
        // What it has fetched is not flushed any more.
        this.#o.leaveLanes(replica)
        this.#failed.add(key)
        this.#publishFailed()
        break
      case 'lose':
        proposeLost(this.#o.feed, this.#o.image, key, this.#o.me)
        break
      case 'refill':
        this.#refill(replica)
        break
    }
  }

  #publishFailed(): void {
    this.#o.onFailed([...this.#failed].map(key => key.slice(PARTITION_PREFIX.length)))
  }

  /** The worker has taken a role over. */
  #took({ partition, machine }: HostedReplica): void {
    partition.setLeads(machine.leader !== null)
    this.#o.onLed(partition)
  }

  /** What does not fit into the ring waits for room: nothing else of the partition is under way meanwhile. */
  #append(replica: HostedReplica, batches: readonly FetchedBatch[], epoch: number): void {
    const { partition } = replica
    const { worker } = partition
    replica.waitsForRoom = false
    for (let i = 0; i < batches.length; i++) {
      if (partition.replicate(batches[i]!.bytes, epoch)) continue
      if (worker.isLost || replica.isGone) return
      replica.waitsForRoom = true
      void worker.space().then(() => this.#append(replica, batches.slice(i), epoch))
      return
    }
  }

  #reopen(
    replica: HostedReplica,
    command: 'truncate' | 'startAnew',
    { epoch, offset }: { readonly epoch: number; readonly offset: number },
  ): void {
    const { partition } = replica
    const { worker, handle, name } = partition
    this.#o.log.info({ partition: name, offset, epoch }, `${command}: what its leader has not goes`)
    const cut = async (): Promise<void> => {
      const item = { handle, epoch, offset }
      const { views } =
        command === 'truncate'
          ? await worker.command('truncate', { items: [item] })
          : await worker.command('startAnew', item)
      const view = views.find((one: LogView) => one.handle === handle)
      if (view === undefined || view.offline !== null) return
      replica.tell(({ follower }, now) => follower?.reopened(replica.factsOf(view), now))
    }
    this.#o.replicas.exclusive
      .run([handle], cut)
      .catch(err => this.#o.log.error({ err, partition: name }, `${command} failed`))
  }

  #moveStart({ partition }: HostedReplica, offset: number): void {
    this.#o.replicas.deleteRecords(partition, offset).catch(err => {
      this.#o.log.error({ err, partition: partition.name }, 'its start could not be moved')
    })
  }

  /** The folder is put aside, a new one is made, and filled by the leader. */
  #refill(replica: HostedReplica): void {
    const { partition, key } = replica
    const refill = async (): Promise<void> => {
      await this.#o.replicas.open([partition], false, () => [])
      if (partition.offline !== null) throw new Error(partition.offline)
      this.#o.log.info({ partition: partition.name }, 'a damaged log is filled anew by its leader')
      this.#failed.delete(key)
      this.#publishFailed()
      replica.tell((machine, now) => machine.refilled(now))
    }
    this.#o.replicas.exclusive
      .run([partition.handle], refill)
      .catch(err => this.#o.log.error({ err, partition: partition.name }, 'it stays offline'))
  }
}
