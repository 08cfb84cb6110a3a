import { setTimeout as sleep } from 'node:timers/promises'
import { ErrorCode, errorName } from '../../../src/protocol/error-codes.ts'
import {
  type ConsumerGroupHeartbeatResponse,
  consumerGroupHeartbeatApi,
} from '../../../src/protocol/messages/68-consumer-group-heartbeat.ts'
import { HEARTBEAT_MS, REBALANCE_MS, SESSION_MS, StormMember, type Subscribed } from './member.ts'
import { keyOf } from './producer.ts'

const HEARTBEAT_VERSION = 1
const LEAVES = -1
/** How often a static member tries to take over from one that may have died. */
const RESTARTS = Math.ceil((SESSION_MS + 500) / HEARTBEAT_MS)
const LEAVES_FOR_A_WHILE = -2

interface Wanted {
  readonly places: ReadonlyMap<string, { topic: string; partition: number }>
  /** When it was told so. */
  readonly at: number
}

/** A consumer of KIP-848: one heartbeat at a time, which goes on while it gives up what it is told to. */
export class ConsumerStormMember extends StormMember {
  readonly protocol = 'consumer'
  /** Null when it has what it has been told to have. */
  #wanted: Wanted | null = null
  #isGivingUp = false
  #revokingSince = Number.POSITIVE_INFINITY
  /** The next heartbeat says what it subscribes to, what it owns. */
  #saysSubscription = true
  #saysOwned = true
  #soon = (): void => {}
  #refusals = 0

  protected get heldUntil(): number {
    return Math.min(this.goodAt + SESSION_MS, this.#revokingSince + REBALANCE_MS)
  }

  get isSettled(): boolean {
    const isQuiet = this.#wanted === null && !this.#saysOwned && !this.#saysSubscription
    return this.epoch > 0 && isQuiet && !this.isFrozen
  }

  resubscribe(subscribed: Subscribed): void {
    this.subscribed = subscribed
    this.#saysSubscription = true
    this.#soon()
  }

  protected async stay(): Promise<void> {
    this.memberId = crypto.randomUUID()
    this.epoch = 0
    while (!this.isGone) {
      await this.#beat()
      if (this.#saysOwned && this.epoch > 0) continue
      await new Promise<void>(resolve => {
        const timer = setTimeout(resolve, HEARTBEAT_MS)
        this.#soon = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  }

  async #beat(): Promise<void> {
    await this.gate()
    const isJoining = this.epoch === 0
    if (isJoining) this.arrives()
    const [saysSubscription, saysOwned] = [this.#saysSubscription || isJoining, this.#saysOwned]
    this.#saysSubscription = false
    this.#saysOwned = false
    const { names, pattern } = this.subscribed
    const { answer, sentAt, receivedAt } = await this.ask(
      consumerGroupHeartbeatApi,
      HEARTBEAT_VERSION,
      {
        ...{ groupId: this.group.id, memberId: this.memberId, instanceId: this.instanceId },
        memberEpoch: this.epoch,
        rebalanceTimeoutMs: isJoining ? REBALANCE_MS : -1,
        subscribedTopicNames: saysSubscription ? [...(pattern === '' ? names : [])] : null,
        subscribedTopicRegex: saysSubscription ? pattern : null,
        topicPartitions: saysOwned || isJoining ? this.#owned() : null,
      },
    )
    if (answer.errorCode === ErrorCode.NONE) {
      // What it had to give up, it has.
      if (saysOwned) this.#revokingSince = Number.POSITIVE_INFINITY
      this.#told(answer, sentAt, receivedAt)
      return
    }
    this.#saysSubscription = true
    this.#saysOwned = true
    await this.#failed(answer.errorCode, isJoining, receivedAt)
  }

  #owned(): { topicId: string; partitions: number[] }[] {
    const byTopic = new Map<string, number[]>()
    for (const { topic, partition } of this.holdings.values()) {
      byTopic.set(topic, [...(byTopic.get(topic) ?? []), partition])
    }
    const { topicIds } = this.group
    return [...byTopic].map(([topic, partitions]) => ({
      topicId: topicIds.get(topic)!,
      partitions,
    }))
  }

  #told(answer: ConsumerGroupHeartbeatResponse, sentAt: number, receivedAt: number): void {
    const { memberEpoch, assignment } = answer
    if (memberEpoch < this.epoch) throw new Error(`epoch ${this.epoch} goes back to ${memberEpoch}`)
    if (memberEpoch !== this.epoch || assignment !== null) {
      const count = assignment?.topicPartitions.reduce((sum, t) => sum + t.partitions.length, 0)
      this.trace(`epoch ${memberEpoch}, assigned ${count ?? 'the same'}`)
    }
    this.epoch = memberEpoch
    this.goodAt = sentAt
    this.group.saw('consumer', memberEpoch)
    if (assignment === null) return
    const places = new Map<string, { topic: string; partition: number }>()
    for (const { topicId, partitions } of assignment.topicPartitions) {
      const topic = [...this.group.topicIds].find(([, id]) => id === topicId)?.[0]
      if (topic === undefined) throw new Error(`it is given topic ${topicId}, which is not there`)
      for (const partition of partitions) places.set(keyOf(topic, partition), { topic, partition })
    }
    this.#wanted = { places, at: receivedAt }
    this.#reconcile(sentAt)
  }

  /** Gives up first; what is new it takes when it has. */
  #reconcile(sentAt: number): void {
    if (this.#isGivingUp || this.#wanted === null) return
    const { places, at } = this.#wanted
    const given = [...this.holdings.values()].filter(({ key }) => !places.has(key))
    if (given.length > 0) {
      this.#isGivingUp = true
      this.#revokingSince = Math.min(this.#revokingSince, sentAt)
      this.trace(`gives up ${given.map(({ key }) => key).join(' ')}`)
      this.giveUp(given).then(
        () => {
          this.#isGivingUp = false
          this.#reconcile(sentAt)
        },
        error => this.endWith(error),
      )
      return
    }
    const before = this.holdings.size
    for (const { topic, partition } of places.values()) this.acquire(topic, partition, at)
    this.trace(`owns ${places.size}, ${this.holdings.size - before} of them new`)
    this.#wanted = null
    this.#saysOwned = true
    this.#soon()
  }

  async #failed(errorCode: number, isJoining: boolean, at: number): Promise<void> {
    const what = `ConsumerGroupHeartbeat answers ${errorName(errorCode)}`
    switch (errorCode) {
      case ErrorCode.UNRELEASED_INSTANCE_ID:
        if (!isJoining || this.instanceId === null) throw new Error(what)
        this.wasRefused()
        // Clients give up at once; here they are started again until their predecessor's session should be over.
        this.#refusals++
        if (this.#refusals > RESTARTS) this.die()
        await sleep(HEARTBEAT_MS)
        return
      case ErrorCode.FENCED_MEMBER_EPOCH:
      case ErrorCode.UNKNOWN_MEMBER_ID:
      case ErrorCode.GROUP_ID_NOT_FOUND:
        if (isJoining) throw new Error(what)
        this.lose(what, at)
        this.#wanted = null
        this.#revokingSince = Number.POSITIVE_INFINITY
        this.epoch = 0
        return
      case ErrorCode.FENCED_INSTANCE_ID:
        this.lose(what, at)
        this.die()
        return
      default:
        throw new Error(what)
    }
  }

  protected async sayGoodbye(): Promise<void> {
    const { memberId, instanceId } = this
    if (this.epoch <= 0) return
    const isBack = instanceId !== null && this.random.chance(0.7)
    const memberEpoch = isBack ? LEAVES_FOR_A_WHILE : LEAVES
    const { answer } = await this.ask(consumerGroupHeartbeatApi, HEARTBEAT_VERSION, {
      ...{ groupId: this.group.id, memberId, instanceId, memberEpoch },
    })
    const left: number[] = [
      ErrorCode.NONE,
      ErrorCode.UNKNOWN_MEMBER_ID,
      ErrorCode.FENCED_INSTANCE_ID,
      ErrorCode.GROUP_ID_NOT_FOUND,
    ]
    if (!left.includes(answer.errorCode)) {
      const what = `leaving answers ${errorName(answer.errorCode)}`
      this.group.report.violate(`${this.label}: ${what}`)
    }
  }
}
