import type { Client } from '../../client/client.ts'
import { ErrorCode } from '../../protocol/error-codes.ts'
import { offsetCommitApi } from '../../protocol/messages/08-offset-commit.ts'
import { type JoinGroupResponse, joinGroupApi } from '../../protocol/messages/11-join-group.ts'
import { heartbeatApi } from '../../protocol/messages/12-heartbeat.ts'
import { leaveGroupApi } from '../../protocol/messages/13-leave-group.ts'
import { syncGroupApi } from '../../protocol/messages/14-sync-group.ts'
import type { Cluster } from '../base/cluster.ts'
import { CliError, expectNone, isPassing } from '../base/failure.ts'
import { COMMIT_NAMES_VERSION_MAX, type Committed, commitTopics } from '../base/offsets.ts'
import {
  type Assigned,
  assignRanges,
  decodeAssignment,
  decodeSubscription,
  encodeAssignment,
  encodeSubscription,
} from './assign.ts'

/** Kafka's defaults of session.timeout.ms and heartbeat.interval.ms. */
const SESSION_MS = 45_000
const HEARTBEAT_MS = 3_000
/** A coordinator that has not answered for so long is looked for anew. */
const SILENT_MS = SESSION_MS / 3
/** How long the others wait in a rebalance for this member, which may be printing. */
const REBALANCE_MS = 60_000
const PROTOCOL = 'range'
/** From this version of LeaveGroup on, members are a list. */
const SEVERAL_LEAVE_VERSION = 3

/** What a coordinator says to a member whose place in the group is not what it believes. */
const MOVED: readonly number[] = [
  ErrorCode.REBALANCE_IN_PROGRESS,
  ErrorCode.ILLEGAL_GENERATION,
  ErrorCode.UNKNOWN_MEMBER_ID,
]

/** A member of a classic group, which brokers of all versions have, beside consumers of any language. */
export class Member {
  readonly #cluster: Cluster
  readonly #group: string
  #id = ''
  #generation = -1
  #timer: NodeJS.Timeout | undefined
  #joining: Client | undefined
  #hasLeft = false
  #moved = new AbortController()

  constructor(cluster: Cluster, group: string) {
    this.#cluster = cluster
    this.#group = group
  }

  /** Aborted when the group shares its partitions anew: commit, and join again. */
  get moved(): AbortSignal {
    return this.#moved.signal
  }

  /** The partitions of this member until `moved`. Resolves when all members are there. */
  async join(topics: readonly string[]): Promise<Assigned> {
    clearInterval(this.#timer)
    // The answer comes when the last member is there: other requests are not to wait behind it.
    const patientMs = REBALANCE_MS + this.#cluster.timeoutMs
    await using client = await this.#cluster.openCoordinator(this.#group, patientMs)
    this.#joining = client
    for (;;) {
      if (this.#hasLeft) throw new CliError(`group ${this.#group}: it has left`)
      const joined = await this.#join(client, topics)
      const assigned = joined === null ? null : await this.#sync(client, joined)
      if (assigned === null) continue
      this.#moved = new AbortController()
      this.#startBeating()
      return assigned
    }
  }

  async #join(client: Client, topics: readonly string[]): Promise<JoinGroupResponse | null> {
    const answer = await this.#cluster.send(client, joinGroupApi, {
      groupId: this.#group,
      sessionTimeoutMs: SESSION_MS,
      rebalanceTimeoutMs: REBALANCE_MS,
      memberId: this.#id,
      protocolType: 'consumer',
      protocols: [{ name: PROTOCOL, metadata: encodeSubscription(topics) }],
    })
    const { errorCode, memberId, generationId } = answer
    if (errorCode === ErrorCode.UNKNOWN_MEMBER_ID) this.#id = ''
    if (errorCode === ErrorCode.MEMBER_ID_REQUIRED) this.#id = memberId
    if (MOVED.includes(errorCode) || errorCode === ErrorCode.MEMBER_ID_REQUIRED) return null
    if (errorCode === ErrorCode.INCONSISTENT_GROUP_PROTOCOL) {
      throw new CliError(
        `group ${this.#group}: its members do not have the assignor ${PROTOCOL}, the only one that odradek has`,
      )
    }
    expectNone(errorCode, `joining group ${this.#group}`)
    this.#id = memberId
    this.#generation = generationId
    return answer
  }

  async #sync(client: Client, joined: JoinGroupResponse): Promise<Assigned | null> {
    const isLeader = joined.leader === this.#id && !joined.skipAssignment
    const { errorCode, assignment } = await this.#cluster.send(client, syncGroupApi, {
      ...this.#place(),
      protocolType: 'consumer',
      protocolName: joined.protocolName,
      assignments: isLeader ? await this.#assign(joined) : [],
    })
    if (errorCode === ErrorCode.UNKNOWN_MEMBER_ID) this.#id = ''
    if (MOVED.includes(errorCode)) return null
    expectNone(errorCode, `partitions of group ${this.#group}`)
    const assigned = decodeAssignment(assignment)
    if (assigned !== null) return assigned
    throw new CliError(`group ${this.#group}: what its leader has assigned cannot be read`)
  }

  /** As the leader of the group: who gets what. */
  async #assign({ members }: JoinGroupResponse) {
    const subscribers = members.map(({ memberId: id, metadata }) => {
      return { id, topics: decodeSubscription(metadata) }
    })
    const names = [...new Set(subscribers.flatMap(({ topics }) => topics))]
    const { topics } = await this.#cluster.metadata(names)
    const counts = new Map(topics.map(topic => [topic.name!, topic.partitions.length]))
    return [...assignRanges(subscribers, counts)].map(([memberId, assigned]) => {
      return { memberId, assignment: encodeAssignment(assigned) }
    })
  }

  #place() {
    return { groupId: this.#group, memberId: this.#id, generationId: this.#generation }
  }

  #startBeating(): void {
    let heardMs = performance.now()
    const beat = async (): Promise<void> => {
      try {
        const client = await this.#cluster.coordinator(this.#group)
        const { errorCode } = await this.#cluster.send(client, heartbeatApi, this.#place())
        if (errorCode === ErrorCode.NONE) heardMs = performance.now()
        else if (MOVED.includes(errorCode)) this.#leaveTurn(errorCode)
        else expectNone(errorCode, `heartbeat in group ${this.#group}`)
      } catch (error) {
        // Whoever reads finds out, and connects anew. Joining says what else is wrong.
        if (!isPassing(error) || performance.now() - heardMs > SILENT_MS) this.#moved.abort()
      }
    }
    this.#timer = setInterval(() => void beat(), HEARTBEAT_MS)
  }

  #leaveTurn(errorCode: number): void {
    if (errorCode === ErrorCode.UNKNOWN_MEMBER_ID) this.#id = ''
    this.#moved.abort()
  }

  /** @returns whether they are committed: the partitions may have been given to another member */
  async commit(offsets: readonly Committed[]): Promise<boolean> {
    const client = await this.#cluster.coordinator(this.#group)
    const request = {
      groupId: this.#group,
      memberId: this.#id,
      generationIdOrMemberEpoch: this.#generation,
      topics: commitTopics(offsets),
    }
    const answer = await this.#cluster.send(
      client,
      offsetCommitApi,
      request,
      COMMIT_NAMES_VERSION_MAX,
    )
    for (const { name, partitions } of answer.topics) {
      for (const { partitionIndex, errorCode } of partitions) {
        if (MOVED.includes(errorCode)) {
          this.#leaveTurn(errorCode)
          return false
        }
        const what = `offset of group ${this.#group} in ${name} partition ${partitionIndex}`
        expectNone(errorCode, what)
      }
    }
    return true
  }

  /** The others need not wait for the session to end. */
  async leave(): Promise<void> {
    clearInterval(this.#timer)
    this.#hasLeft = true
    await this.#joining?.close()
    if (this.#id === '') return
    const client = await this.#cluster.coordinator(this.#group)
    const { groupId, memberId } = this.#place()
    const isSeveral = client.versionFor(leaveGroupApi) >= SEVERAL_LEAVE_VERSION
    const request = isSeveral ? { groupId, members: [{ memberId }] } : { groupId, memberId }
    const { errorCode } = await this.#cluster.send(client, leaveGroupApi, request)
    if (!MOVED.includes(errorCode)) expectNone(errorCode, `leaving group ${groupId}`)
  }
}
