import { BrokerError } from '../../src/errors.ts'
import { ErrorCode } from '../../src/protocol/error-codes.ts'
import { encodeSubscription, parsedAssignment } from './consumer-protocol.ts'
import type { GroupWorld } from './group-world.ts'

/** What happens to a request on its way. */
export type Fate = 'arrives' | 'is lost' | 'answer is lost'

export interface Subscribed {
  names: string[]
  /** Empty: none. */
  pattern: string
}

/** `topicId:partition` */
export type Owned = Set<string>

export interface SimMember {
  readonly kind: 'consumer' | 'classic'
  memberId: string
  readonly instanceId: string | null
  subscribed: Subscribed
  /** What it consumes at this moment. */
  owned: Owned
  isAlive: boolean
  lastBeatAt: number
  /** It is where the group told it to be. */
  readonly isSettled: boolean
  /** One step of its life. @param lag steps that it takes to give up a partition, if it learns of that now */
  beat(fate: Fate, lag: number): void
  /** It finds out that the group does not know it any more. */
  lose(): void
  leave(forAWhile: boolean): void
}

const listed = (owned: Owned) => {
  const byTopic = new Map<string, number[]>()
  for (const one of owned) {
    const at = one.lastIndexOf(':')
    const topicId = one.slice(0, at)
    byTopic.set(topicId, [...(byTopic.get(topicId) ?? []), Number(one.slice(at + 1))])
  }
  return [...byTopic].map(([topicId, partitions]) => ({ topicId, partitions }))
}

function ownedOf(topics: readonly { topicId: string; partitions: readonly number[] }[]): Owned {
  return new Set(topics.flatMap(t => t.partitions.map(p => `${t.topicId}:${p}`)))
}

const isWithin = (a: Owned, b: Owned): boolean => [...a].every(one => b.has(one))
const REBALANCE_MS = 120_000

/** A consumer of KIP-848 as Java's is: one heartbeat at a time, and it says what it owns when that has changed. */
export class SimConsumer implements SimMember {
  readonly kind = 'consumer'
  readonly #world: GroupWorld
  memberId: string
  readonly instanceId: string | null
  subscribed: Subscribed
  readonly assignor: string | null
  owned: Owned = new Set()
  isAlive = true
  lastBeatAt: number
  epoch = 0
  #wanted: Owned | null = null
  #lag = 0
  /** It does not know what of its last request has arrived: the next one says everything. */
  #isUnsure = true
  #sent = ''

  constructor(
    world: GroupWorld,
    subscribed: Subscribed,
    instanceId: string | null = null,
    assignor: string | null = null,
  ) {
    this.#world = world
    this.memberId = world.id('c')
    this.subscribed = subscribed
    this.instanceId = instanceId
    this.assignor = assignor
    this.lastBeatAt = world.now
  }

  get isSettled(): boolean {
    return this.epoch > 0 && this.#wanted === null && !this.#isUnsure
  }

  resubscribe(subscribed: Subscribed): void {
    this.subscribed = subscribed
    this.#isUnsure = true
  }

  #progress(): void {
    if (this.#wanted === null || this.#lag-- > 0) return
    this.owned = this.#wanted
    this.#wanted = null
  }

  beat(fate: Fate, lag: number): void {
    this.#progress()
    this.lastBeatAt = this.#world.now
    const { memberId, instanceId, epoch, subscribed } = this
    const isFull = this.#isUnsure || epoch === 0
    const topicPartitions = listed(this.owned)
    const says = JSON.stringify(topicPartitions)
    const request = {
      ...{ memberId, instanceId, memberEpoch: epoch },
      rebalanceTimeoutMs: isFull ? REBALANCE_MS : -1,
      subscribedTopicNames: isFull ? subscribed.names : null,
      subscribedTopicRegex: isFull ? subscribed.pattern : null,
      serverAssignor: isFull ? this.assignor : null,
      topicPartitions: isFull || says !== this.#sent ? topicPartitions : null,
    }
    this.#isUnsure = true
    if (fate === 'is lost') return
    try {
      const response = this.#world.heartbeat(request)
      if (fate === 'answer is lost') return
      if (response.memberEpoch < this.epoch) throw new Error(`epoch of ${memberId} went back`)
      this.epoch = response.memberEpoch
      this.#sent = says
      this.#isUnsure = false
      if (response.assignment === null) return
      const wanted = ownedOf(response.assignment.topicPartitions)
      const isNothingToRevoke = isWithin(this.owned, wanted)
      this.#wanted = wanted
      this.#lag = isNothingToRevoke ? 0 : lag
      if (isWithin(wanted, this.owned) && isNothingToRevoke) this.#wanted = null
      else if (isNothingToRevoke) this.#progress()
    } catch (error) {
      if (!(error instanceof BrokerError) || fate === 'answer is lost') {
        if (error instanceof BrokerError) return
        throw error
      }
      const lost: number[] = [ErrorCode.FENCED_MEMBER_EPOCH, ErrorCode.UNKNOWN_MEMBER_ID]
      if (error.errorCode === ErrorCode.UNRELEASED_INSTANCE_ID) return
      if (!lost.includes(error.errorCode)) throw error
      this.lose()
    }
  }

  lose(): void {
    this.owned = new Set()
    this.#wanted = null
    this.epoch = 0
  }

  leave(forAWhile: boolean): void {
    this.isAlive = false
    this.owned = new Set()
    const { memberId, instanceId, epoch } = this
    if (epoch === 0) return
    this.#world.heartbeat({ memberId, instanceId, memberEpoch: forAWhile ? -2 : -1 })
  }
}

/** A consumer of the classic protocol, cooperative (KIP-429) or eager. */
export class SimClassic implements SimMember {
  readonly kind = 'classic'
  readonly #world: GroupWorld
  readonly isEager: boolean
  memberId = ''
  readonly instanceId: string | null
  subscribed: Subscribed
  owned: Owned = new Set()
  isAlive = true
  lastBeatAt: number
  #generation = -1
  #next: 'join' | 'sync' | 'heartbeat' = 'join'
  #lag = 0

  constructor(
    world: GroupWorld,
    subscribed: Subscribed,
    instanceId: string | null = null,
    isEager = false,
  ) {
    this.#world = world
    this.subscribed = subscribed
    this.instanceId = instanceId
    this.isEager = isEager
    this.lastBeatAt = world.now
  }

  get isSettled(): boolean {
    return this.#next === 'heartbeat'
  }

  resubscribe(subscribed: Subscribed): void {
    this.subscribed = subscribed
    this.#next = 'join'
  }

  beat(fate: Fate, lag: number): void {
    this.lastBeatAt = this.#world.now
    if (this.#next === 'heartbeat') this.#heartbeat(fate, lag)
    else if (this.#next === 'sync') this.#sync(fate)
    else if (this.#lag > 0) this.#lag--
    else this.#join(fate)
  }

  #join(fate: Fate): void {
    if (this.isEager) this.owned = new Set()
    if (fate === 'is lost') return
    const names = this.isEager ? ['range', 'cooperative-sticky'] : ['cooperative-sticky', 'range']
    const owned = listed(this.owned).flatMap(({ topicId, partitions }) => {
      const topic = this.#world.nameOf(topicId)
      return topic === undefined ? [] : [{ topic, partitions }]
    })
    const metadata = encodeSubscription(this.subscribed.names, owned)
    const response = this.#world.join({
      memberId: this.memberId,
      groupInstanceId: this.instanceId,
      protocols: names.map(name => ({ name, metadata })),
      sessionTimeoutMs: 45_000,
      rebalanceTimeoutMs: REBALANCE_MS,
    })
    if (fate === 'answer is lost') return
    if (response.errorCode === ErrorCode.MEMBER_ID_REQUIRED) {
      this.memberId = response.memberId
    } else if (response.errorCode === ErrorCode.NONE) {
      this.memberId = response.memberId
      this.#generation = response.generationId!
      this.#next = 'sync'
    } else {
      this.#failed(response.errorCode)
    }
  }

  #sync(fate: Fate): void {
    if (fate === 'is lost') return
    const response = this.#world.sync({
      memberId: this.memberId,
      groupInstanceId: this.instanceId,
      generationId: this.#generation,
    })
    if (fate === 'answer is lost') {
      this.#next = 'join'
    } else if (response.errorCode === ErrorCode.NONE) {
      const { byName } = this.#world.context.topics
      const given = parsedAssignment(response.assignment!)
      const next = new Set(
        given.flatMap(({ topic, partitions }) => {
          const id = byName(topic)?.id
          return id === undefined ? [] : partitions.map(p => `${id}:${p}`)
        }),
      )
      // Who has given something up joins again to say so.
      this.#next = isWithin(this.owned, next) ? 'heartbeat' : 'join'
      this.owned = next
    } else {
      this.#failed(response.errorCode)
    }
  }

  #heartbeat(fate: Fate, lag: number): void {
    if (fate === 'is lost') return
    const { memberId, instanceId } = this
    const errorCode = this.#world.after(() =>
      this.#world.group.heartbeat(memberId, instanceId, this.#generation),
    )
    if (fate === 'answer is lost' || errorCode === ErrorCode.NONE) return
    this.#lag = lag
    this.#failed(errorCode)
  }

  #failed(errorCode: number): void {
    this.#next = 'join'
    if (errorCode === ErrorCode.REBALANCE_IN_PROGRESS) return
    const lost: number[] = [
      ErrorCode.UNKNOWN_MEMBER_ID,
      ErrorCode.ILLEGAL_GENERATION,
      ErrorCode.FENCED_INSTANCE_ID,
    ]
    if (!lost.includes(errorCode)) throw new Error(`classic member got ${errorCode}`)
    this.owned = new Set()
    if (errorCode !== ErrorCode.ILLEGAL_GENERATION) this.memberId = ''
  }

  lose(): void {
    this.owned = new Set()
    this.memberId = ''
    this.#next = 'join'
  }

  leave(): void {
    this.isAlive = false
    this.owned = new Set()
    if (this.memberId !== '') this.#world.leave(this.memberId, this.instanceId)
  }
}
