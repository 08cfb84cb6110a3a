import { ClassicGroup } from '../../src/groups/classic/classic-group.ts'
import type {
  ClientInfo,
  GroupContext,
  GroupSettings,
  JoinRequest,
  JoinResponse,
  SyncResponse,
} from '../../src/groups/group.ts'
import { GroupMemory } from '../../src/groups/memory.ts'
import { encodeRecord, type GroupRecord } from '../../src/groups/records.ts'

export const SETTINGS: GroupSettings = {
  sessionTimeoutMsMin: 100,
  sessionTimeoutMsMax: 60_000,
  initialRebalanceDelayMs: 0,
  sizeMax: 100,
  consumerSessionTimeoutMs: 45_000,
  consumerHeartbeatIntervalMs: 5_000,
  consumerSizeMax: 100,
  consumerAssignors: ['uniform', 'range'],
  consumerMigrationPolicy: 'bidirectional',
  consumerRegexRefreshIntervalMs: 600_000,
}

export const SESSION_MS = 1_000
export const REBALANCE_MS = 2_000

/** A classic group with a clock of its own and a log in memory. */
export class ClassicDriver {
  time = 0
  settings: GroupSettings = SETTINGS
  readonly records: GroupRecord[] = []
  memory = new GroupMemory(Number.POSITIVE_INFINITY, () => {})
  recordBytesMax = Number.POSITIVE_INFINITY
  group: ClassicGroup
  #uuids = 0

  constructor(settings: Partial<GroupSettings> = {}) {
    this.settings = { ...SETTINGS, ...settings }
    this.group = new ClassicGroup(this.context())
  }

  context(): GroupContext {
    const driver = this
    return {
      groupId: 'g',
      get settings() {
        return driver.settings
      },
      topics: {
        revision: 0,
        byName: () => undefined,
        byId: () => undefined,
        names: () => [],
      },
      now: () => driver.time,
      wallClock: () => 1_000_000 + driver.time,
      write: records => driver.records.push(...records),
      fits: record => recordBytes(record) <= driver.recordBytesMax,
      get recordBytesMax() {
        return driver.recordBytesMax
      },
      hasRoomFor: bytes => driver.memory.hasRoomFor(bytes),
      newUuid: () => `uuid${++driver.#uuids}`,
      resolvePattern: () => {},
      log: { debug: () => {}, info: () => {} },
    }
  }

  /** Lets time pass, stopping at every deadline on the way. */
  pass(ms: number): void {
    const end = this.time + ms
    while (this.group.deadline <= end) {
      this.time = Math.max(this.time, this.group.deadline)
      this.group.onTime(this.time)
    }
    this.time = end
  }

  join(over: Partial<JoinRequest> & { version?: number } = {}): Parked<JoinResponse> {
    const { version = 9, ...request } = over
    const parked = new Parked<JoinResponse>()
    this.group.join({ ...JOIN, ...request }, client(version), parked.reply)
    return parked
  }

  /** Joins as a client does that is told to come again with an id. */
  joinNew(over: Partial<JoinRequest> & { version?: number } = {}): Parked<JoinResponse> {
    const first = this.join(over)
    return this.join({ ...over, memberId: first.value.memberId })
  }

  sync(
    memberId: string,
    generationId: number,
    assignments: Record<string, string> = {},
    groupInstanceId: string | null = null,
  ): Parked<SyncResponse> {
    const parked = new Parked<SyncResponse>()
    this.group.sync(
      {
        memberId,
        groupInstanceId,
        generationId,
        protocolType: 'consumer',
        protocolName: null,
        assignments: Object.entries(assignments).map(([id, text]) => ({
          memberId: id,
          assignment: Buffer.from(text),
        })),
      },
      client(5),
      parked.reply,
    )
    return parked
  }

  /** The group as it would be after a restart: out of what it has written. */
  replayed(): ClassicGroup {
    const group = new ClassicGroup(this.context())
    for (const record of this.records) {
      if (record.kind === 'groupMetadata' && record.value !== null) group.replay(record.value)
    }
    return group
  }
}

export const JOIN: JoinRequest = {
  memberId: '',
  groupInstanceId: null,
  protocolType: 'consumer',
  protocols: [{ name: 'range', metadata: Buffer.from('m') }],
  sessionTimeoutMs: SESSION_MS,
  rebalanceTimeoutMs: REBALANCE_MS,
  reason: null,
}

const client = (version: number): ClientInfo => ({
  clientId: 'client',
  clientHost: '/127.0.0.1',
  version,
})

export function recordBytes(record: GroupRecord): number {
  const { key, value } = encodeRecord(record)
  return key.length + (value?.length ?? 0)
}

/** An answer that may come later; it comes once. */
export class Parked<R> {
  #value: R | null = null
  readonly reply = (value: R): void => {
    if (this.#value !== null) throw new Error('answered twice')
    this.#value = value
  }

  get isWaiting(): boolean {
    return this.#value === null
  }

  get value(): R {
    if (this.#value === null) throw new Error('not answered yet')
    return this.#value
  }
}
