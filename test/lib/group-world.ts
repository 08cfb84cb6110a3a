import { ClassicGroup } from '../../src/groups/classic/classic-group.ts'
import { ConsumerGroup, type HeartbeatResponse } from '../../src/groups/consumer/consumer-group.ts'
import { matchTopics } from '../../src/groups/consumer/pattern.ts'
import type { ConsumerRecord } from '../../src/groups/consumer/store.ts'
import type {
  ClientInfo,
  GroupContext,
  GroupSettings,
  JoinRequest,
  JoinResponse,
  SyncRequest,
  SyncResponse,
  TopicInfo,
} from '../../src/groups/group.ts'
import { GroupMemory } from '../../src/groups/memory.ts'
import { decodeRecord, encodeRecord, type GroupRecord } from '../../src/groups/records.ts'
import type { ConsumerGroupHeartbeatRequest } from '../../src/protocol/messages/68-consumer-group-heartbeat.ts'

export const CLIENT: ClientInfo = { clientId: 'client', clientHost: '/127.0.0.1', version: 1 }
export const SESSION_MS = 45_000

type Request = ConsumerGroupHeartbeatRequest

/** The surroundings of one group of the consumer protocol, made by hand: its log is an array, its clock a number. */
export class GroupWorld {
  readonly settings: { -readonly [K in keyof GroupSettings]: GroupSettings[K] } = {
    sessionTimeoutMsMin: 6_000,
    sessionTimeoutMsMax: 1_800_000,
    initialRebalanceDelayMs: 3_000,
    sizeMax: 1_000,
    consumerSessionTimeoutMs: SESSION_MS,
    consumerHeartbeatIntervalMs: 5_000,
    consumerSizeMax: 1_000,
    consumerAssignors: ['uniform', 'range'],
    consumerMigrationPolicy: 'bidirectional',
    consumerRegexRefreshIntervalMs: 600_000,
  }
  readonly context: GroupContext
  readonly log: GroupRecord[] = []
  /** Records of each write. */
  readonly writes: GroupRecord[][] = []
  /** Patterns that were asked for and are not answered yet. */
  readonly asked: string[] = []
  readonly topics = new Map<string, TopicInfo>()
  memory = new GroupMemory(Number.POSITIVE_INFINITY, () => {})
  recordBytesMax = 1024 * 1024
  now = 1_000
  group: ConsumerGroup
  /** What the group has become by a downgrade. */
  classic: ClassicGroup | null = null
  #revision = 1
  #ids = 0

  constructor() {
    const world = this
    this.context = {
      groupId: 'group',
      settings: this.settings,
      topics: {
        get revision() {
          return world.#revision
        },
        byName: name => world.topics.get(name),
        byId: id => [...world.topics.values()].find(topic => topic.id === id),
        names: () => world.topics.keys(),
      },
      now: () => world.now,
      wallClock: () => 1_700_000_000_000 + world.now,
      write: records => world.#write(records),
      fits: record => (encodeRecord(record).value?.length ?? 0) <= world.recordBytesMax,
      get recordBytesMax() {
        return world.recordBytesMax
      },
      hasRoomFor: bytes => world.memory.hasRoomFor(bytes),
      newUuid: () => this.id('m'),
      resolvePattern: pattern => void this.asked.push(pattern),
      log: { debug: () => {}, info: () => {} },
    }
    this.group = new ConsumerGroup(this.context)
  }

  #write(records: readonly GroupRecord[]): void {
    const stored = records.map(record => {
      const { key, value } = encodeRecord(record)
      return decodeRecord(key, value)!
    })
    this.log.push(...stored)
    this.writes.push(stored)
  }

  /** 22 characters, as ids have on the wire. */
  id(prefix: string): string {
    return `${prefix}${String(++this.#ids).padStart(20, '0')}A`
  }

  topic(name: string, partitions = 1): string {
    const id = this.topics.get(name)?.id ?? this.id('t')
    this.topics.set(name, { name, id, partitions })
    this.#revision++
    return id
  }

  deleteTopic(name: string): void {
    this.topics.delete(name)
    this.#revision++
  }

  nameOf(topicId: string): string | undefined {
    return this.context.topics.byId(topicId)?.name
  }

  // Calls, each followed by what the coordinator does after every one.

  heartbeat(
    request: Partial<Request>,
    client: ClientInfo = CLIENT,
    group = this.group,
  ): HeartbeatResponse {
    const full: Request = {
      groupId: 'group',
      memberId: '',
      memberEpoch: 0,
      instanceId: null,
      rackId: null,
      rebalanceTimeoutMs: -1,
      subscribedTopicNames: null,
      subscribedTopicRegex: null,
      serverAssignor: null,
      topicPartitions: null,
      ...request,
    }
    return this.after(() => group.heartbeat(full, client))
  }

  /** A member that joins. */
  enter(memberId: string, names: string[] | null, more: Partial<Request> = {}): HeartbeatResponse {
    return this.heartbeat({
      memberId,
      memberEpoch: 0,
      rebalanceTimeoutMs: 30_000,
      subscribedTopicNames: names,
      topicPartitions: [],
      ...more,
    })
  }

  join(
    request: Partial<JoinRequest>,
    client: ClientInfo = { ...CLIENT, version: 9 },
  ): JoinResponse {
    let response: JoinResponse | undefined
    const full: JoinRequest = {
      memberId: '',
      groupInstanceId: null,
      protocolType: 'consumer',
      protocols: [],
      sessionTimeoutMs: 10_000,
      rebalanceTimeoutMs: 30_000,
      reason: null,
      ...request,
    }
    this.after(() =>
      this.group.join(full, client, answer => {
        response = answer
      }),
    )
    return response!
  }

  sync(request: Partial<SyncRequest>): SyncResponse {
    let response: SyncResponse | undefined
    const full: SyncRequest = {
      memberId: '',
      groupInstanceId: null,
      generationId: 0,
      protocolType: 'consumer',
      protocolName: null,
      assignments: [],
      ...request,
    }
    this.after(() =>
      this.group.sync(full, CLIENT, answer => {
        response = answer
      }),
    )
    return response!
  }

  leave(memberId: string, instanceId: string | null = null): number {
    return this.after(() => this.group.leave(memberId, instanceId, null))
  }

  after<T>(action: () => T): T {
    try {
      return action()
    } finally {
      const state = this.group.downgrade()
      if (state !== null) this.classic = ClassicGroup.takingOver(state, this.context)
    }
  }

  /** Time passes; what is due happens in steps. */
  pass(ms: number): void {
    const end = this.now + ms
    while (this.group.deadline <= end) {
      this.now = Math.max(this.now, this.group.deadline)
      this.after(() => this.group.onTime(this.now))
      if (this.classic !== null) break
    }
    this.now = end
  }

  /** Answers what was asked about patterns. */
  resolve(): void {
    for (const pattern of this.asked.splice(0)) {
      this.after(() => this.group.resolved(pattern, matchTopics(pattern, [...this.topics.keys()])))
    }
  }

  // The log.

  /** The group as a restart finds it. */
  reloaded(records: readonly GroupRecord[] = this.log): ConsumerGroup {
    let group = new ConsumerGroup(this.context)
    for (const record of records) {
      if (record.kind === 'groupEpoch' && record.value === null) {
        group = new ConsumerGroup(this.context)
      } else if (isConsumerRecord(record)) group.replay(record)
    }
    group.loaded()
    return group
  }

  /** Begins a new log with what is true now. */
  compact(): void {
    const snapshot = this.group.snapshot()
    this.log.length = 0
    this.#write(snapshot)
  }

  restart(): void {
    this.group = this.reloaded()
  }

  kinds(write = this.writes.length - 1): string[] {
    return (this.writes[write] ?? []).map(r => (r.value === null ? `-${r.kind}` : r.kind))
  }
}

const isConsumerRecord = (record: GroupRecord): record is ConsumerRecord =>
  record.kind !== 'offsetCommit' && record.kind !== 'groupMetadata'

/** All that a group knows and would write of itself, in an order that does not depend on how it came about. */
export function stateOf(group: ConsumerGroup): string[] {
  const sorted = (value: unknown): unknown => {
    if (Buffer.isBuffer(value)) return value.toString('hex')
    if (Array.isArray(value)) return value.map(sorted).sort(byJson)
    if (typeof value !== 'object' || value === null) return value
    const entries = Object.entries(value).map(([key, v]) => [key, sorted(v)])
    return Object.fromEntries(entries.sort(byJson))
  }
  const records = (group.snapshot() as ConsumerRecord[]).filter(isNews).map(zipped)
  const { members, ...shown } = group.describe()
  return [...records, ...members, shown].map(one => JSON.stringify(sorted(one))).sort()
}

const byJson = (a: unknown, b: unknown): number => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)

/** A group that has never been bumped has no record of its epochs. */
function isNews(record: ConsumerRecord): boolean {
  return record.kind !== 'currentMember' || record.value!.memberEpoch !== 0
}

/** Partitions with their epochs, so that sorting does not part them. */
function zipped(record: ConsumerRecord): unknown {
  if (record.kind !== 'currentMember' || record.value === null) return record
  const zip = (topics: typeof record.value.assignedPartitions) =>
    topics.flatMap(t => t.partitions.map((p, i) => `${t.topicId} ${p} ${t.assignmentEpochs?.[i]}`))
  const { assignedPartitions, partitionsPendingRevocation } = record.value
  return {
    ...record,
    value: {
      ...record.value,
      assignedPartitions: zip(assignedPartitions),
      partitionsPendingRevocation: zip(partitionsPendingRevocation),
    },
  }
}
