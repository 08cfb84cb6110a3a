import { BrokerError } from '../../errors.ts'
import type { HeartbeatResponse } from '../../groups/consumer/consumer-group.ts'
import { ErrorCode, errorName } from '../../protocol/error-codes.ts'
import type { DecodedFields, EncodableFields, Fields } from '../../protocol/fields.ts'
import { offsetCommitApi } from '../../protocol/messages/08-offset-commit.ts'
import { offsetFetchApi } from '../../protocol/messages/09-offset-fetch.ts'
import { consumerGroupHeartbeatApi } from '../../protocol/messages/68-consumer-group-heartbeat.ts'
import type { Api } from '../../protocol/schema.ts'
import type { Consumed, GroupAccess, GroupMember, Heartbeat, PartitionAccess } from '../access.ts'
import { COMMIT_VERSION, GroupHere, HEARTBEAT_VERSION } from '../group-here.ts'
import { patiently, WAIT_MS_MAX } from '../patience.ts'
import type { ClusterAccess } from './access.ts'

const OFFSET_FETCH_VERSION = 10
/** Leaving is tried for so many ms: a broker that stops is not held up by a coordinator that cannot be reached. */
const LEAVE_MS_MAX = 2_000

/** A group of a cluster, as one member of it on this broker sees it, wherever its coordinator is and goes. */
export class ClusterGroup implements GroupAccess {
  readonly #access: ClusterAccess
  readonly #id: string
  readonly #here: GroupHere
  /** One commit after the other: an older one that is sent again is not to undo a newer one. */
  #committing: Promise<void> = Promise.resolve()

  constructor(access: ClusterAccess, id: string) {
    this.#access = access
    this.#id = id
    this.#here = new GroupHere(access.broker, id)
  }

  /** A member that stays has its next heartbeat to try again; one that leaves has none. */
  heartbeat(request: Heartbeat): Promise<HeartbeatResponse> {
    const once = () => this.#access.untilEnded(this.#heartbeat(request))
    return request.memberEpoch < 0 ? patiently(once, LEAVE_MS_MAX) : once()
  }

  async #heartbeat(request: Heartbeat): Promise<HeartbeatResponse> {
    const there = await this.#coordinator()
    if (there === null) return this.#here.heartbeat(request)
    const asked = { ...request, groupId: this.#id }
    const answer = await this.#call(there, consumerGroupHeartbeatApi, HEARTBEAT_VERSION, asked)
    this.#check(answer.errorCode as ErrorCode, answer.errorMessage)
    return { ...answer, memberId: request.memberId }
  }

  committed(partition: PartitionAccess): Promise<number | undefined> {
    return this.#access.untilEnded(this.#committed(partition))
  }

  async #committed(partition: PartitionAccess): Promise<number | undefined> {
    const there = await this.#coordinator()
    if (there === null) return this.#here.committed(partition)
    const { topicId, index } = partition
    const topics = [{ topicId, partitionIndexes: [index] }]
    const asked = { groups: [{ groupId: this.#id, topics }], requireStable: true }
    const answer = await this.#call(there, offsetFetchApi, OFFSET_FETCH_VERSION, asked)
    const group = answer.groups[0]!
    this.#check(group.errorCode as ErrorCode)
    const { errorCode, committedOffset } = group.topics[0]!.partitions[0]!
    this.#check(errorCode as ErrorCode)
    return committedOffset === -1 ? undefined : committedOffset
  }

  commit(member: GroupMember, offsets: readonly Consumed[]): Promise<void> {
    const { closed } = this.#access
    const done = this.#committing.then(() =>
      patiently(() => this.#commit(member, offsets), WAIT_MS_MAX, closed),
    )
    // Whoever asked for it learns of its failure; the next one only has to come after it.
    this.#committing = done.catch(() => {})
    return this.#access.untilEnded(done)
  }

  async #commit(member: GroupMember, offsets: readonly Consumed[]): Promise<void> {
    const there = await this.#coordinator()
    if (there === null) return this.#here.commit(member, offsets)
    const { memberId, instanceId, epoch } = member
    const answer = await this.#call(there, offsetCommitApi, COMMIT_VERSION, {
      groupId: this.#id,
      generationIdOrMemberEpoch: epoch,
      memberId,
      groupInstanceId: instanceId,
      topics: offsets.map(({ partition, offset }) => {
        const { topicId, index } = partition
        const committed = { committedOffset: offset, committedMetadata: '' }
        const committedLeaderEpoch = partition.epochAt(offset - 1)
        const partitions = [{ partitionIndex: index, ...committed, committedLeaderEpoch }]
        return { topicId, partitions }
      }),
    })
    for (const { partitions } of answer.topics) {
      for (const { errorCode } of partitions) this.#check(errorCode as ErrorCode)
    }
  }

  /** Null: it is coordinated here. @throws BrokerError COORDINATOR_NOT_AVAILABLE */
  async #coordinator(): Promise<number | null> {
    const { groups, nodeId } = this.#access.broker
    const coordinator = await groups.coordinatorOf(this.#id)
    return coordinator === nodeId ? null : coordinator
  }

  #call<Q extends Fields, R extends Fields>(
    peer: number,
    api: Api<Q, R>,
    version: number,
    request: EncodableFields<Q>,
  ): Promise<DecodedFields<R>> {
    return this.#access.peers.of(peer).calls.send(api, version, request)
  }

  #check(code: ErrorCode, why: string | null = null): void {
    if (code === ErrorCode.NONE) return
    throw new BrokerError(code, why ?? `Group ${this.#id}: ${errorName(code)}.`)
  }
}
