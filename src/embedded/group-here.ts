import type { BrokerContext } from '../broker-context.ts'
import { BrokerError } from '../errors.ts'
import type { HeartbeatResponse } from '../groups/consumer/consumer-group.ts'
import { type CommittedOffset, NO_EXPIRY } from '../groups/offsets.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import type { Consumed, GroupAccess, GroupMember, Heartbeat, PartitionAccess } from './access.ts'

/** The newest OffsetCommit and ConsumerGroupHeartbeat: what embedded members speak. */
export const COMMIT_VERSION = 10
export const HEARTBEAT_VERSION = 1
/** What embedded members call themselves. */
export const MEMBER_CLIENT = 'odradek-embedded'

/** A group that this broker coordinates. */
export class GroupHere implements GroupAccess {
  readonly #broker: BrokerContext
  readonly #id: string

  constructor(broker: BrokerContext, id: string) {
    this.#broker = broker
    this.#id = id
  }

  heartbeat(request: Heartbeat): Promise<HeartbeatResponse> {
    return this.#broker.groups.consumerHeartbeat(
      { ...request, groupId: this.#id },
      { clientId: MEMBER_CLIENT, clientHost: '/embedded', version: HEARTBEAT_VERSION },
    )
  }

  async committed({ topic, topicId, index }: PartitionAccess): Promise<number | undefined> {
    const { groups } = this.#broker
    const found = groups.entry(this.#id)
    if (found === undefined) return undefined
    await found.shard.settled(found.entry)
    await groups.confirm(found.shard)
    return found.entry.offsets.get(topic, index, topicId)?.offset
  }

  async commit(member: GroupMember, offsets: readonly Consumed[]): Promise<void> {
    const shard = await this.#broker.groups.shardFor(this.#id)
    const entry = shard.find(this.#id)
    if (entry === undefined)
      throw new BrokerError(ErrorCode.GROUP_ID_NOT_FOUND, `No group ${this.#id}.`)
    shard.run(entry, () => {
      const { memberId, instanceId, epoch } = member
      const check = entry.group.validateCommit(memberId, instanceId, epoch, COMMIT_VERSION)
      const commitTimestamp = Date.now()
      const records = offsets.map(({ partition, offset }) => {
        const { topic, topicId, index } = partition
        check?.(topicId, index)
        const leaderEpoch = partition.epochAt(offset - 1)
        const times = { commitTimestamp, expireTimestamp: NO_EXPIRY }
        const value: CommittedOffset = { offset, leaderEpoch, metadata: '', topicId, ...times }
        return entry.offsets.record(topic, index, value)
      })
      shard.commit(entry, records)
    })
    await shard.settled(entry)
  }
}
