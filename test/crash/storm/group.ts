import { setTimeout as sleep } from 'node:timers/promises'
import type { Client } from '../../../src/client/client.ts'
import { ErrorCode } from '../../../src/protocol/error-codes.ts'
import { offsetFetchApi } from '../../../src/protocol/messages/09-offset-fetch.ts'
import { describeGroupsApi } from '../../../src/protocol/messages/15-describe-groups.ts'
import { consumerGroupDescribeApi } from '../../../src/protocol/messages/69-consumer-group-describe.ts'
import { Random } from '../../lib/random.ts'
import { ClassicStormMember } from './classic-member.ts'
import { ConsumerStormMember } from './consumer-member.ts'
import { Cell, now } from './ledger.ts'
import { type GroupFace, SESSION_MS, type StormMember, type Subscribed } from './member.ts'
import { keyOf } from './producer.ts'
import type { Report } from './report.ts'

const MEMBERS_MAX = 6
const EVENT_MS_MAX = 800
const FREEZE_MS_MAX = 2 * SESSION_MS
/** ms after which a mixed group moves on to the other protocol. */
const MIGRATION_MS = 5_000
const INSTANCES = ['s0', 's1']

/** What the issue promises: the group is stable so soon after the storm. */
const STABLE_MS_MAX = 5_000
/** For so long nothing may change then. */
const HOLD_MS = 2_000
const CALM_MS = 500
const DRAIN_MS_MAX = 10_000
const LOOK_MS = 25

export type Kind = 'classic' | 'consumer' | 'mixed'
type Protocol = 'classic' | 'consumer'

export interface GroupOptions {
  readonly id: string
  readonly kind: Kind
  readonly port: number
  readonly topicIds: ReadonlyMap<string, string>
  readonly partitions: number
  readonly random: Random
  readonly report: Report
}

/** One group in a storm: who is in it, what happens to them, and whether it comes to rest afterwards. */
export class StormGroup implements GroupFace {
  readonly id: string
  readonly port: number
  readonly report: Report
  readonly cells: ReadonlyMap<string, Cell>
  readonly topicIds: ReadonlyMap<string, string>
  readonly partitions: number
  readonly isMixed: boolean
  isCalm = false
  generation = -1
  readonly #kind: Kind
  readonly #random: Random
  readonly #members: StormMember[] = []
  readonly #leaving = new Set<Promise<void>>()
  #type: Protocol | null = null
  #made = 0
  #startedAt = now()

  constructor(options: GroupOptions) {
    const { id, kind, port, topicIds, partitions, random, report } = options
    this.id = id
    this.#kind = kind
    this.isMixed = kind === 'mixed'
    this.port = port
    this.topicIds = topicIds
    this.partitions = partitions
    this.#random = random
    this.report = report
    const places = [...topicIds.keys()].flatMap(topic =>
      Array.from({ length: partitions }, (_, partition) => keyOf(topic, partition)),
    )
    this.cells = new Map(places.map(key => [key, new Cell(`${id} ${key}`, report)]))
  }

  saw(type: Protocol, epoch: number): void {
    if (this.#type !== null && this.#type !== type) this.report.count('upgrades and downgrades')
    this.#type = type
    if (epoch > this.generation) this.report.count('rebalances')
    this.generation = this.#kind === 'classic' ? Math.max(this.generation, epoch) : epoch
  }

  namesakes(member: StormMember): StormMember[] {
    if (member.instanceId === null) return []
    return this.#members.filter(one => one !== member && one.instanceId === member.instanceId)
  }

  // The storm.

  async storm(until: number): Promise<void> {
    this.#startedAt = now()
    for (let i = 0; i < 3; i++) this.#join()
    while (now() < until) {
      await sleep(this.#random.below(EVENT_MS_MAX))
      this.#act()
    }
  }

  get #alive(): StormMember[] {
    return this.#members.filter(member => !member.isGone)
  }

  /** Those that something may happen to. */
  get #free(): StormMember[] {
    return this.#alive.filter(member => !member.isFrozen && !this.#isLeaving(member))
  }

  readonly #leavers = new WeakSet<StormMember>()
  #isLeaving(member: StormMember): boolean {
    return this.#leavers.has(member)
  }

  #act(): void {
    const free = this.#free
    if (free.length === 0) {
      if (this.#alive.length < MEMBERS_MAX) this.#join()
      return
    }
    const member = this.#random.pick(free)
    const dice = this.#random.next()
    if (dice < 0.3) {
      if (this.#alive.length < MEMBERS_MAX) this.#join()
    } else if (dice < 0.42) this.#leave(member)
    else if (dice < 0.54) this.#die(member)
    else if (dice < 0.68) this.#freeze(member)
    else if (dice < 0.85) this.#resubscribe(member)
    else if (this.isMixed) this.#switch()
  }

  #join(protocol = this.#nextProtocol(), instanceId = this.#freeInstance()): void {
    const label = `${this.id}/${this.#made++}-${protocol}${instanceId === null ? '' : `-${instanceId}`}`
    const random = new Random(this.#random.below(2 ** 31))
    const Member = protocol === 'classic' ? ClassicStormMember : ConsumerStormMember
    const member = new Member(label, this, random, this.#subscription(), instanceId)
    this.report.count('joins')
    this.report.trace(`${label} starts with ${shown(member.subscribed)}`)
    this.#members.push(member)
    void member.run()
  }

  #nextProtocol(): Protocol {
    if (this.#kind !== 'mixed') return this.#kind
    return this.#random.chance(0.85) ? this.#preferred : other(this.#preferred)
  }

  /** A mixed group moves from one protocol to the other and back. */
  get #preferred(): Protocol {
    const isOdd = Math.floor((now() - this.#startedAt) / MIGRATION_MS) % 2 === 1
    return isOdd ? 'consumer' : 'classic'
  }

  /** Often of a member that is gone, now and then of one that is frozen. */
  #freeInstance(): string | null {
    if (this.#random.chance(0.6)) return null
    const instanceId = this.#random.pick(INSTANCES)
    const holder = this.#alive.find(member => member.instanceId === instanceId)
    if (holder === undefined) return instanceId
    return holder.isFrozen && this.#random.chance(0.5) ? instanceId : null
  }

  #leave(member: StormMember): void {
    this.report.count('leaves')
    this.report.trace(`${member.label} leaves`)
    this.#leavers.add(member)
    const leaving = member.leave().finally(() => this.#leaving.delete(leaving))
    this.#leaving.add(leaving)
  }

  #die(member: StormMember): void {
    this.report.count('deaths')
    this.report.trace(`${member.label} dies`)
    member.die()
  }

  #freeze(member: StormMember): void {
    const ms = this.#random.below(FREEZE_MS_MAX)
    this.report.count('freezes')
    this.report.trace(`${member.label} freezes for ${ms} ms`)
    member.freeze(ms)
  }

  #resubscribe(member: StormMember): void {
    this.report.count('subscriptions changed')
    const subscribed = this.#subscription()
    this.report.trace(`${member.label} subscribes to ${shown(subscribed)}`)
    member.resubscribe(subscribed)
  }

  /** A member that does not speak the protocol of the time leaves and comes back in it, some under their instance id. */
  #switch(): void {
    const old = this.#free.find(member => member.protocol !== this.#preferred)
    if (old === undefined) return
    this.report.count('protocols changed')
    this.#leave(old)
    const { instanceId } = old
    const pause = sleep(this.#random.below(300))
    void Promise.all([pause, ...this.#leaving]).then(() =>
      this.#join(other(old.protocol), instanceId),
    )
  }

  #subscription(): Subscribed {
    const all = [...this.topicIds.keys()]
    const chosen = all.filter(() => this.#random.chance(0.6))
    const names = chosen.length === 0 ? all : chosen
    const pattern = this.#random.chance(0.4) ? names.map(name => `(${name})`).join('|') : ''
    return { names, pattern }
  }

  // The calm.

  /** Nobody is frozen any more, somebody consumes each topic. From here on the time counts. */
  async end(): Promise<void> {
    for (const member of this.#members) member.wake()
    await Promise.all(this.#leaving)
    const alive = this.#alive
    if (alive.length === 0) this.#join()
    const names = [...this.topicIds.keys()]
    this.report.trace(`${this.id}: the storm is over`)
    this.#alive[0]!.resubscribe({ names, pattern: '' })
  }

  /** @returns ms until it was stable, or NaN if it was not in time */
  async settle(admin: Client): Promise<number> {
    const start = now()
    let since: number | null = null
    let signature = ''
    let last = 'nothing'
    for (;;) {
      const at = now()
      const problem = this.#problem() ?? (await this.#problemSeen(admin))
      if (problem !== null && problem !== last) {
        last = problem
        this.report.trace(`${this.id}: ${problem}`)
      }
      const next = this.#signature()
      if (problem !== null || since === null || next !== signature) {
        this.isCalm = false
        since = problem === null ? at : null
        signature = next
      }
      if (since !== null && at - since > CALM_MS) this.isCalm = true
      const late = (since ?? at) - start - STABLE_MS_MAX
      if (late > 0) {
        this.report.violate(`${this.id} is not stable after the storm: ${last}`)
        return Number.NaN
      }
      if (since !== null && at - since > HOLD_MS) return since - start
      await sleep(LOOK_MS)
    }
  }

  /** What is not as it should be, as far as its members know. */
  #problem(): string | null {
    const owners = new Map<string, number>()
    for (const member of this.#alive) {
      if (!member.isSettled) return `${member.label} is not settled`
      for (const { key, topic } of member.holdings.values()) {
        if (!member.subscribed.names.includes(topic)) return `${member.label} has ${key}`
        owners.set(key, (owners.get(key) ?? 0) + 1)
      }
    }
    for (const key of this.cells.keys()) {
      if (owners.get(key) !== 1) return `${key} has ${owners.get(key) ?? 0} owners`
    }
    return null
  }

  async #problemSeen(admin: Client): Promise<string | null> {
    const asked = await admin.send(consumerGroupDescribeApi, 1, { groupIds: [this.id] })
    const found = asked.groups[0]!
    let { groupState, members }: { groupState: string; members: readonly unknown[] } = found
    if (found.errorCode === ErrorCode.GROUP_ID_NOT_FOUND) {
      const classic = await admin.send(describeGroupsApi, 6, { groups: [this.id] })
      groupState = classic.groups[0]!.groupState
      members = classic.groups[0]!.members
    }
    if (groupState !== 'Stable') return `the broker says ${groupState}`
    const { length } = this.#alive
    return members.length === length ? null : `${members.length} members, not ${length}`
  }

  #signature(): string {
    const one = (member: StormMember) =>
      `${member.label} ${member.epoch} ${[...member.holdings.keys()].sort().join()}`
    return this.#alive.map(one).join('; ')
  }

  /** Everything that was produced has been processed and committed, and nothing has moved meanwhile. */
  async drain(admin: Client, ends: ReadonlyMap<string, number>): Promise<void> {
    const signature = this.#signature()
    const deadline = now() + DRAIN_MS_MAX
    for (;;) {
      const left = await this.#left(admin, ends)
      if (left.length === 0) break
      if (now() > deadline) {
        this.report.violate(`${this.id}: ${left.join('; ')}`)
        break
      }
      await sleep(100)
    }
    if (this.#signature() !== signature) {
      this.report.violate(`${this.id} was stable, then ${signature} became ${this.#signature()}`)
    }
  }

  async #left(admin: Client, ends: ReadonlyMap<string, number>): Promise<string[]> {
    const topics = [...this.topicIds.keys()].map(name => ({
      name,
      partitionIndexes: Array.from({ length: this.partitions }, (_, i) => i),
    }))
    const from = now()
    const answer = await admin.send(offsetFetchApi, 7, { groupId: this.id, topics })
    return answer.topics.flatMap(({ name, partitions }) =>
      partitions.flatMap(({ partitionIndex, committedOffset }) => {
        const key = keyOf(name, partitionIndex)
        const cell = this.cells.get(key)!
        cell.read(committedOffset, from, now(), 'an operator')
        const end = ends.get(key)!
        if (cell.processedTo < end) return [`${key}: record ${cell.processedTo} of ${end} is lost`]
        if (committedOffset === end || (committedOffset === -1 && end === 0)) return []
        return [`${key}: ${committedOffset} is committed, not ${end}`]
      }),
    )
  }

  stop(): void {
    for (const member of this.#members) member.die()
  }
}

const other = (protocol: Protocol): Protocol => (protocol === 'classic' ? 'consumer' : 'classic')

const shown = ({ names, pattern }: Subscribed): string =>
  pattern === '' ? names.join() : `/${pattern}/`
