import { setTimeout as sleep } from 'node:timers/promises'
import { subscribedTopics } from '../../../src/groups/classic/subscription.ts'
import { ErrorCode, errorName } from '../../../src/protocol/error-codes.ts'
import {
  type JoinGroupResponse,
  joinGroupApi,
} from '../../../src/protocol/messages/11-join-group.ts'
import { heartbeatApi } from '../../../src/protocol/messages/12-heartbeat.ts'
import { leaveGroupApi } from '../../../src/protocol/messages/13-leave-group.ts'
import { syncGroupApi } from '../../../src/protocol/messages/14-sync-group.ts'
import {
  encodeAssignment,
  encodeSubscription,
  parsedAssignment,
} from '../../lib/consumer-protocol.ts'
import { HEARTBEAT_MS, REBALANCE_MS, SESSION_MS, StormMember, type Subscribed } from './member.ts'

type Assignor = 'range' | 'roundrobin'
type Share = { topic: string; partitions: number[] }[]

/** A consumer of the classic protocol, eager: it gives up all that it has before it joins again. */
export class ClassicStormMember extends StormMember {
  readonly protocol = 'classic'
  /** Of JoinGroup and SyncGroup: old clients and new ones. */
  readonly #versions = this.random.chance(0.5) ? { join: 5, sync: 3 } : { join: 9, sync: 5 }
  #assignors: readonly Assignor[] = this.random.chance(0.5) ? ['range'] : ['roundrobin', 'range']
  #mustJoin = true

  protected get heldUntil(): number {
    // Whatever begins after it was last told that all is well gives it as long to join again.
    return this.goodAt + Math.min(SESSION_MS, REBALANCE_MS)
  }

  get isSettled(): boolean {
    return !this.#mustJoin && !this.isFrozen
  }

  resubscribe(subscribed: Subscribed): void {
    this.subscribed = subscribed
    if (this.random.chance(0.3)) this.#assignors = [...this.#assignors].reverse()
    this.#mustJoin = true
  }

  protected async stay(): Promise<void> {
    while (!this.isGone) {
      if (this.#mustJoin) await this.#join()
      else await this.#beat()
    }
  }

  async #join(): Promise<void> {
    await this.giveUp([...this.holdings.values()])
    const wanted = this.subscribed
    if (this.memberId === '') this.arrives()
    const { answer } = await this.ask(joinGroupApi, this.#versions.join, {
      ...{ groupId: this.group.id, memberId: this.memberId, groupInstanceId: this.instanceId },
      ...{ sessionTimeoutMs: SESSION_MS, rebalanceTimeoutMs: REBALANCE_MS },
      protocolType: 'consumer',
      protocols: this.#assignors.map(name => ({
        name,
        metadata: encodeSubscription(wanted.names, [], 1),
      })),
    })
    const { errorCode, memberId, generationId } = answer
    this.trace(`join: ${errorName(errorCode)} ${generationId} ${memberId} led by ${answer.leader}`)
    switch (errorCode) {
      case ErrorCode.NONE:
        this.memberId = memberId
        this.epoch = generationId
        this.group.saw(answer.leader === '' ? 'consumer' : 'classic', generationId)
        await this.#sync(answer, wanted)
        return
      case ErrorCode.MEMBER_ID_REQUIRED:
        this.memberId = memberId
        return
      case ErrorCode.REBALANCE_IN_PROGRESS:
        return
      default:
        this.#failed('JoinGroup', errorCode)
    }
  }

  async #sync(joined: JoinGroupResponse, wanted: Subscribed): Promise<void> {
    const isLeader = joined.leader === joined.memberId && !joined.skipAssignment
    const { answer, sentAt, receivedAt } = await this.ask(syncGroupApi, this.#versions.sync, {
      ...{ groupId: this.group.id, memberId: this.memberId, groupInstanceId: this.instanceId },
      generationId: joined.generationId,
      ...{ protocolType: 'consumer', protocolName: joined.protocolName },
      assignments: isLeader ? this.#assign(joined) : [],
    })
    const { errorCode } = answer
    if (errorCode === ErrorCode.NONE) {
      const given = answer.assignment.length === 0 ? [] : parsedAssignment(answer.assignment)
      this.goodAt = sentAt
      this.#mustJoin = wanted !== this.subscribed
      for (const { topic, partitions } of given) {
        for (const partition of partitions) this.acquire(topic, partition, receivedAt)
      }
      this.trace(`sync in ${this.epoch}: ${shown(given)}`)
    } else if (errorCode !== ErrorCode.REBALANCE_IN_PROGRESS) {
      this.#failed('SyncGroup', errorCode)
    }
  }

  #assign({
    members,
    protocolName,
  }: JoinGroupResponse): { memberId: string; assignment: Buffer }[] {
    const shares = new Map<string, Share>(members.map(({ memberId }) => [memberId, []]))
    const wants = members.map(({ memberId, metadata }) => ({
      memberId,
      topics: subscribedTopics([metadata]),
    }))
    const topics = [...this.group.topicIds.keys()].sort()
    topics.forEach((topic, turn) => {
      const takers = wants.filter(({ topics: names }) => names?.has(topic))
      if (takers.length === 0) return
      for (let p = 0; p < this.group.partitions; p++) {
        const range = Math.floor((p * takers.length) / this.group.partitions)
        const at = protocolName === 'range' ? range : (p + turn) % takers.length
        const share = shares.get(takers[at]!.memberId)!
        const mine = share.find(one => one.topic === topic)
        if (mine === undefined) share.push({ topic, partitions: [p] })
        else mine.partitions.push(p)
      }
    })
    return [...shares].map(([memberId, share]) => ({
      memberId,
      assignment: encodeAssignment(share),
    }))
  }

  async #beat(): Promise<void> {
    await sleep(HEARTBEAT_MS)
    if (this.#mustJoin) return
    const { answer, sentAt, receivedAt } = await this.ask(heartbeatApi, 3, {
      ...{ groupId: this.group.id, memberId: this.memberId, groupInstanceId: this.instanceId },
      generationId: this.epoch,
    })
    const { errorCode } = answer
    if (errorCode === ErrorCode.NONE) {
      this.goodAt = sentAt
    } else if (errorCode === ErrorCode.REBALANCE_IN_PROGRESS) {
      this.#mustJoin = true
    } else {
      this.#failed('Heartbeat', errorCode, receivedAt)
    }
  }

  /** @param at when it was told so: then it must have been true */
  #failed(api: string, errorCode: number, at = Number.POSITIVE_INFINITY): void {
    const what = `${api} answers ${errorName(errorCode)}`
    this.#mustJoin = true
    switch (errorCode) {
      case ErrorCode.ILLEGAL_GENERATION:
        // A group that changes its type may leave members behind that have done nothing wrong.
        this.lose(what, this.group.isMixed ? Number.POSITIVE_INFINITY : at)
        return
      case ErrorCode.UNKNOWN_MEMBER_ID:
        this.lose(what, at)
        this.memberId = ''
        return
      case ErrorCode.FENCED_INSTANCE_ID:
        // Another one has its instance id. Clients give up, for good.
        this.lose(what, at)
        this.die()
        return
      default:
        throw new Error(what)
    }
  }

  protected async sayGoodbye(): Promise<void> {
    const { memberId, instanceId: groupInstanceId } = this
    if (memberId === '') return
    // Static members that stop are meant to come back: they just go.
    if (groupInstanceId !== null && this.random.chance(0.5)) return
    const members = [{ memberId, groupInstanceId }]
    const groupId = this.group.id
    const { answer } = await this.ask(leaveGroupApi, 3, { groupId, members })
    const left: number[] = [
      ErrorCode.NONE,
      ErrorCode.UNKNOWN_MEMBER_ID,
      ErrorCode.FENCED_INSTANCE_ID,
    ]
    const codes = [answer.errorCode, ...answer.members.map(member => member.errorCode)]
    const bad = codes.find(code => !left.includes(code))
    if (bad !== undefined) {
      this.group.report.violate(`${this.label}: LeaveGroup answers ${errorName(bad)}`)
    }
  }
}

const shown = (given: Share): string =>
  given.map(({ topic, partitions }) => `${topic}[${partitions.join()}]`).join(' ')
