import { setTimeout as sleep } from 'node:timers/promises'
import { Client, ClientError } from '../../../src/client/client.ts'
import { ErrorCode, errorName } from '../../../src/protocol/error-codes.ts'
import type { DecodedFields, EncodableFields, Fields } from '../../../src/protocol/fields.ts'
import { fetchApi } from '../../../src/protocol/messages/01-fetch.ts'
import { offsetCommitApi } from '../../../src/protocol/messages/08-offset-commit.ts'
import { offsetFetchApi } from '../../../src/protocol/messages/09-offset-fetch.ts'
import * as batch from '../../../src/protocol/record-batch.ts'
import { readRecords } from '../../../src/protocol/records.ts'
import type { Api } from '../../../src/protocol/schema.ts'
import type { Random } from '../../lib/random.ts'
import { type Cell, type Claim, now, type Owner } from './ledger.ts'
import { contentOf, keyOf } from './producer.ts'
import type { Report } from './report.ts'

const FETCH_VERSION = 11
const FETCH_WAIT_MS = 150
const FETCH_BYTES = 4096
const IDLE_MS = 30
const COMMIT_MS_MAX = 500
const REQUEST_MS_MAX = 15_000

/** ms; short, so that a storm meets all of them often. */
export const SESSION_MS = 1_500
export const REBALANCE_MS = 2_000
export const HEARTBEAT_MS = 250

/** What a commit may be refused with, if its sender is not where it thinks it is. */
const REFUSALS: readonly number[] = [
  ErrorCode.UNKNOWN_MEMBER_ID,
  ErrorCode.ILLEGAL_GENERATION,
  ErrorCode.REBALANCE_IN_PROGRESS,
  ErrorCode.FENCED_INSTANCE_ID,
  ErrorCode.STALE_MEMBER_EPOCH,
  ErrorCode.GROUP_ID_NOT_FOUND,
]

/** A group as its members see it. */
export interface GroupFace {
  readonly id: string
  readonly port: number
  readonly report: Report
  readonly cells: ReadonlyMap<string, Cell>
  readonly topicIds: ReadonlyMap<string, string>
  readonly partitions: number
  readonly isMixed: boolean
  /** Nothing happens to it any more: who is in it is to be served. */
  readonly isCalm: boolean
  /** Other members with the same instance id. */
  namesakes(member: StormMember): StormMember[]
  /** A member has been told of this generation or epoch by a group of this type. */
  saw(type: 'classic' | 'consumer', epoch: number): void
  /** The highest generation that anybody has been told of. */
  readonly generation: number
}

export interface Subscribed {
  readonly names: readonly string[]
  /** For members of the consumer protocol: the same topics as a pattern; empty: by name. */
  readonly pattern: string
}

/** A partition that the member consumes. */
export interface Holding {
  readonly topic: string
  readonly partition: number
  readonly key: string
  readonly cell: Cell
  readonly claim: Claim
  /** Of the next record; -1 until it knows where to start. */
  position: number
  committed: number
}

interface Answered<R> {
  readonly answer: R
  readonly sentAt: number
  readonly receivedAt: number
}

/** The member has died or left: whatever it was doing ends. */
export class Gone extends Error {
  override readonly name = 'Gone'
}

/**
 * A consumer, of either protocol: one task keeps it in the group (see the subclasses), another fetches, processes and commits
 * what it owns, as real ones do from a thread and the poll loop. It may freeze, and goes on as if nothing had happened.
 */
export abstract class StormMember implements Owner {
  abstract readonly protocol: 'classic' | 'consumer'
  readonly label: string
  readonly instanceId: string | null
  protected readonly group: GroupFace
  protected readonly random: Random
  readonly holdings = new Map<string, Holding>()
  subscribed: Subscribed
  memberId = ''
  epoch = -1
  isGone = false
  /** When the last request was sent that showed the broker a member in good standing. */
  protected goodAt = Number.NEGATIVE_INFINITY
  #replacedAt = Number.POSITIVE_INFINITY
  #frozen: Promise<void> | null = null
  #thaw = (): void => {}
  #control: Client | null = null
  #data: Client | null = null
  /** What it has given up: a commit of it that comes late must be refused. */
  #given: { holding: Holding; epoch: number; memberId: string } | null = null
  #commitAt = 0

  constructor(
    label: string,
    group: GroupFace,
    random: Random,
    subscribed: Subscribed,
    instanceId: string | null,
  ) {
    this.label = label
    this.group = group
    this.random = random
    this.subscribed = subscribed
    this.instanceId = instanceId
  }

  /** Until when it may think that it owns what it holds, if all goes well. */
  protected abstract get heldUntil(): number
  /** It is where the group has told it to be. */
  abstract get isSettled(): boolean
  /** Joins, heartbeats and rebalances until it is gone. */
  protected abstract stay(): Promise<void>
  /** Tells the group that it leaves. */
  protected abstract sayGoodbye(): Promise<void>
  abstract resubscribe(subscribed: Subscribed): void

  get protectedUntil(): number {
    return Math.min(this.heldUntil, this.#replacedAt)
  }

  get isFrozen(): boolean {
    return this.#frozen !== null
  }

  /** Lives until it leaves or dies. Rejects if something happens that must not. */
  async run(): Promise<void> {
    try {
      const address = { host: '127.0.0.1', port: this.group.port, requestTimeoutMs: REQUEST_MS_MAX }
      this.#control = await Client.connect({ ...address, clientId: this.label })
      this.#data = await Client.connect({ ...address, clientId: this.label })
      if (this.isGone) throw new Gone()
      await Promise.all([this.stay(), this.#consume()])
    } catch (error) {
      this.endWith(error)
    } finally {
      this.die()
    }
  }

  /** Something that it has begun has failed: that is fine only if it is gone. */
  protected endWith(error: unknown): void {
    const isEnd = error instanceof Gone || (this.isGone && error instanceof ClientError)
    if (!isEnd) this.group.report.violate(`${this.label}: ${(error as Error).message}`)
    this.die()
  }

  // Fates.

  /** Its process is killed: nothing is said to anybody. */
  die(): void {
    this.isGone = true
    this.#thaw()
    void this.#control?.close()
    void this.#data?.close()
  }

  /** Commits most of the time, gives everything up and says goodbye. */
  async leave(): Promise<void> {
    try {
      await this.gate()
      // It may be given more while it does.
      while (this.holdings.size > 0) await this.giveUp([...this.holdings.values()])
      this.replaced()
      await this.sayGoodbye()
    } catch (error) {
      this.endWith(error)
    } finally {
      this.die()
    }
  }

  /** Stands still, then wakes up as if nothing had happened, and first commits what it has. */
  freeze(ms: number): void {
    if (this.#frozen !== null || this.isGone) return
    this.#frozen = new Promise<void>(resolve => {
      const timer = setTimeout(() => this.#thaw(), ms)
      this.#thaw = () => {
        clearTimeout(timer)
        this.#thaw = () => {}
        this.trace('wakes up')
        const waking = this.isGone ? Promise.resolve() : this.#commitAsleep()
        waking.finally(() => {
          this.#frozen = null
          resolve()
        })
      }
    })
  }

  wake(): void {
    this.#thaw()
  }

  async #commitAsleep(): Promise<void> {
    const held = [...this.holdings.values()].filter(({ position }) => position > 0)
    await this.commit(held, this.epoch, false).catch(() => {}) // its loops meet the same error
  }

  /** From now on others may have what it holds: it leaves, or another one comes with its instance id. */
  replaced(): void {
    this.#replacedAt = Math.min(this.#replacedAt, now())
  }

  /** The other one was refused. */
  kept(): void {
    this.#replacedAt = Number.POSITIVE_INFINITY
  }

  /** Before it joins as somebody that the group does not know. Whoever has its instance id loses it, or it is refused. */
  protected arrives(): void {
    this.#replacedAt = Number.POSITIVE_INFINITY
    for (const other of this.group.namesakes(this)) other.replaced()
  }

  protected wasRefused(): void {
    for (const other of this.group.namesakes(this)) other.kept()
  }

  /** @throws Gone */
  protected async gate(): Promise<void> {
    while (this.#frozen !== null && !this.isGone) await this.#frozen
    if (this.isGone) throw new Gone()
  }

  protected async ask<Q extends Fields, R extends Fields>(
    api: Api<Q, R>,
    version: number,
    request: EncodableFields<Q>,
  ): Promise<Answered<DecodedFields<R>>> {
    await this.gate()
    const sentAt = now()
    const answer = await this.#control!.send(api, version, request)
    const receivedAt = now()
    await this.gate()
    return { answer, sentAt, receivedAt }
  }

  protected trace(what: string): void {
    this.group.report.trace(`${this.label} ${what}`)
  }

  // Owning.

  protected acquire(topic: string, partition: number, at: number): void {
    const key = keyOf(topic, partition)
    if (this.holdings.has(key)) return
    const cell = this.group.cells.get(key)
    if (cell === undefined) {
      this.group.report.violate(`${this.label} is given ${key}, which is not of its group`)
      return
    }
    const claim = cell.acquire(this, at)
    this.holdings.set(key, { topic, partition, key, cell, claim, position: -1, committed: -1 })
  }

  /** Before the group is told that it does not own these any more: commits, now and then late or not at all. */
  protected async giveUp(given: readonly Holding[]): Promise<void> {
    if (given.length === 0) return
    if (this.random.chance(0.3)) await sleep(this.random.below(300))
    if (this.random.chance(0.9)) {
      await this.commit(given.filter(({ position, committed }) => position > committed))
    }
    this.#drop(given)
  }

  /** It has been told that it owns nothing any more. @param receivedAt when */
  protected lose(why: string, receivedAt: number): void {
    const left = Math.round(this.protectedUntil - receivedAt)
    if (left > 0 && this.holdings.size > 0) {
      this.group.report.violate(`${this.label} is told ${why} ${left} ms too early`)
    }
    this.trace(`loses ${this.holdings.size} partitions: ${why}`)
    this.#drop([...this.holdings.values()])
  }

  #holds(holding: Holding): boolean {
    return this.holdings.get(holding.key) === holding
  }

  #drop(given: readonly Holding[]): void {
    for (const holding of given) {
      if (!this.#holds(holding)) continue
      holding.cell.release(holding.claim)
      this.holdings.delete(holding.key)
      if (holding.position > 0 && this.random.chance(0.1)) {
        this.#given = { holding, epoch: this.epoch, memberId: this.memberId }
      }
    }
  }

  // Consuming.

  async #consume(): Promise<void> {
    while (!this.isGone) {
      await this.gate()
      await this.#commitLate()
      await this.#locate()
      const ready = [...this.holdings.values()].filter(({ position }) => position >= 0)
      if (ready.length === 0) await sleep(IDLE_MS)
      else await this.#fetch(ready)
      if (now() < this.#commitAt) continue
      this.#commitAt = now() + this.random.below(COMMIT_MS_MAX)
      const held = [...this.holdings.values()]
      await this.commit(held.filter(({ position, committed }) => position > committed))
    }
  }

  /** A commit from before, of something that is not its own any more. */
  async #commitLate(): Promise<void> {
    const given = this.#given
    if (given === null || !this.isSettled || given.epoch === this.epoch) return
    this.#given = null
    if (given.epoch > this.epoch || given.memberId !== this.memberId) return
    if (this.holdings.has(given.holding.key)) return
    this.group.report.count('late commits')
    await this.commit([given.holding], given.epoch)
  }

  /** Where to start with what is new. */
  async #locate(): Promise<void> {
    const fresh = [...this.holdings.values()].filter(({ position }) => position < 0)
    if (fresh.length === 0) return
    const { protocol, memberId, epoch } = this
    const topics = byTopic(fresh).map(([name, held]) => ({
      name,
      partitionIndexes: held.map(({ partition }) => partition),
    }))
    const asMember = protocol === 'consumer' ? { memberId, memberEpoch: epoch } : {}
    const groups = [{ groupId: this.group.id, ...asMember, topics }]
    const { answer, sentAt, receivedAt } = await this.ask(offsetFetchApi, 9, { groups })
    const { errorCode, topics: found } = answer.groups[0]!
    if (errorCode !== ErrorCode.NONE) {
      const isExpected = protocol === 'consumer' && REFUSALS.includes(errorCode)
      if (!isExpected) throw new Error(`OffsetFetch answers ${errorName(errorCode)}`)
      await sleep(IDLE_MS)
      return
    }
    for (const { name, partitions } of found) {
      for (const { partitionIndex, committedOffset } of partitions) {
        const holding = fresh.find(h => h.topic === name && h.partition === partitionIndex)!
        holding.cell.read(committedOffset, sentAt, receivedAt, this.label)
        holding.position = Math.max(committedOffset, 0)
        holding.committed = holding.position
      }
    }
  }

  async #fetch(ready: readonly Holding[]): Promise<void> {
    const topics = byTopic(ready).map(([topic, held]) => ({
      topic,
      partitions: held.map(({ partition, position }) => ({
        ...{ partition, fetchOffset: position, partitionMaxBytes: FETCH_BYTES },
      })),
    }))
    const bounds = { maxWaitMs: FETCH_WAIT_MS, minBytes: 1, maxBytes: FETCH_BYTES * ready.length }
    const answer = await this.#data!.send(fetchApi, FETCH_VERSION, { ...bounds, topics })
    await this.gate()
    for (const { topic, partitions } of answer.responses) {
      for (const { partitionIndex, errorCode, records } of partitions) {
        if (errorCode !== ErrorCode.NONE) throw new Error(`Fetch answers ${errorName(errorCode)}`)
        const holding = this.holdings.get(keyOf(topic, partitionIndex))
        if (holding !== undefined && ready.includes(holding) && records !== null) {
          await this.#process(holding, records)
        }
      }
    }
  }

  async #process(holding: Holding, bytes: Buffer): Promise<void> {
    for (let at = 0; at < bytes.length; at += batch.batchBytes(bytes, at)) {
      const one = bytes.subarray(at, at + batch.batchBytes(bytes, at))
      for (const { offset, value } of await readRecords(one, FETCH_BYTES)) {
        if (offset < holding.position) continue
        const content = contentOf(holding.key, holding.position)
        if (value?.toString() !== content) {
          throw new Error(`at ${holding.position} of ${holding.key} there is ${value}`)
        }
        holding.cell.process(offset)
        holding.position = offset + 1
        this.group.report.count('records processed')
      }
      // The rest of what was fetched is for another time.
      if (this.random.chance(0.1)) return
    }
  }

  /** @param waits whether it stands still while the member is frozen */
  protected async commit(
    wanted: readonly Holding[],
    epoch = this.epoch,
    waits = true,
  ): Promise<void> {
    if (waits) await this.gate()
    // What it has given up meanwhile it leaves alone, unless it speaks for an epoch that is over.
    const held = epoch === this.epoch ? wanted.filter(one => this.#holds(one)) : wanted
    if (held.length === 0) return
    const { memberId, instanceId, group } = this
    const sent = held.map(holding => {
      const { position, cell, claim } = holding
      return { holding, position, commit: cell.commit(position, claim) }
    })
    const [wasCalm, generation] = [group.isCalm, group.generation]
    const topics = byTopic(held).map(([name, list]) => ({
      name,
      partitions: list.map(({ partition, position }) => ({
        ...{ partitionIndex: partition, committedOffset: position },
      })),
    }))
    const { topics: outcomes } = await this.#control!.send(
      offsetCommitApi,
      this.protocol === 'consumer' ? 9 : 8,
      {
        ...{ groupId: group.id, memberId, generationIdOrMemberEpoch: epoch },
        ...{ groupInstanceId: instanceId, topics },
      },
    )
    for (const { name, partitions } of outcomes) {
      for (const { partitionIndex, errorCode } of partitions) {
        const one = sent.find(
          ({ holding: h }) => h.topic === name && h.partition === partitionIndex,
        )!
        if (errorCode === ErrorCode.NONE) {
          one.holding.committed = Math.max(one.holding.committed, one.position)
          one.commit.acknowledge()
        } else {
          one.commit.refuse()
        }
        this.#checkOutcome(errorCode, epoch, generation, wasCalm)
      }
    }
  }

  #checkOutcome(errorCode: number, epoch: number, generation: number, wasCalm: boolean): void {
    const { report, isMixed } = this.group
    const who = `${this.label} in epoch ${epoch}`
    if (errorCode === ErrorCode.NONE) {
      const isOld = this.protocol === 'classic' && !isMixed && epoch < generation
      if (isOld) report.violate(`${who} may commit after generation ${generation} has begun`)
    } else if (!REFUSALS.includes(errorCode)) {
      report.violate(`${who}: a commit is answered ${errorName(errorCode)}`)
    } else if (wasCalm && epoch === this.epoch) {
      report.violate(`${who}: refused ${errorName(errorCode)} though the group is stable`)
    }
  }
}

function byTopic(held: readonly Holding[]): [string, Holding[]][] {
  const topics = new Map<string, Holding[]>()
  for (const holding of held) {
    const list = topics.get(holding.topic)
    if (list === undefined) topics.set(holding.topic, [holding])
    else list.push(holding)
  }
  return [...topics]
}
