import { randomInt } from 'node:crypto'
import { ErrorCode } from '../protocol/error-codes.ts'
import { ZERO_UUID } from '../protocol/fields.ts'
import type { FetchRequest } from '../protocol/messages/01-fetch.ts'

const SESSIONLESS = -1
const FINAL_EPOCH = -1
const INITIAL_EPOCH = 0
/** Partitions that one fetch may ask for, and one session may remember. */
export const FETCH_PARTITIONS_MAX = 100_000
/** Partitions that all sessions together may remember: about 500 bytes each. */
const REMEMBERED_PARTITIONS_MAX = 200_000
/** A session untouched for this long may make room for a new one, in ms: Kafka's min.incremental.fetch.session.eviction.ms. */
const EVICTION_MS_MIN = 120_000
const INT32_MAX = 0x7fffffff

/** One partition that a fetch asks for. */
export interface FetchTarget {
  readonly topic: string
  readonly topicId: string
  readonly index: number
  fetchOffset: number
  maxBytes: number
  currentLeaderEpoch: number
  lastFetchedEpoch: number
  /** What the session's client was told last; -1 before. */
  sentHighWatermark: number
  sentLogStartOffset: number
  sentError: boolean
}

class FetchSession {
  readonly id: number
  readonly usesTopicIds: boolean
  epoch = 1
  lastUsed: number
  /** In the order in which they are served; one that had data moves to the end. */
  readonly targets: Map<string, FetchTarget>

  constructor(id: number, usesTopicIds: boolean, now: number, targets: Map<string, FetchTarget>) {
    this.targets = targets
    this.id = id
    this.usesTopicIds = usesTopicIds
    this.lastUsed = now
  }
}

/** How a fetch lets others have their turn while it goes through many partitions. */
export interface FetchPace {
  readonly isDue: boolean
  rest(): Promise<void>
}

/** What a fetch request amounts to once its session is looked up. */
export interface FetchPlan {
  readonly errorCode: ErrorCode
  /** 0: no session. */
  readonly sessionId: number
  readonly targets: readonly FetchTarget[]
  /** Whether only partitions with news are answered. */
  readonly isIncremental: boolean
  /** Called for a target that returned records: others come first next time. */
  readonly served: (target: FetchTarget) => void
}

const none = (): void => {}

function failed(errorCode: ErrorCode): FetchPlan {
  return { errorCode, sessionId: 0, targets: [], isIncremental: false, served: none }
}

/** The incremental fetch sessions of the broker (KIP-227): a bounded cache, from which a new session may evict an idle one. */
export class FetchSessions {
  readonly #sessions = new Map<number, FetchSession>()
  readonly #sessionsMax: number
  readonly #rememberedMax: number
  /** Partitions that the sessions remember. */
  #remembered = 0

  constructor(sessionsMax: number, rememberedMax = REMEMBERED_PARTITIONS_MAX) {
    this.#sessionsMax = sessionsMax
    this.#rememberedMax = rememberedMax
  }

  get size(): number {
    return this.#sessions.size
  }

  /** `now`: ms of the monotonic clock. */
  async plan(
    request: FetchRequest,
    version: number,
    now: number,
    pace: FetchPace,
  ): Promise<FetchPlan> {
    const { sessionId, sessionEpoch } = request
    const usesTopicIds = version >= 13
    if (sessionEpoch === FINAL_EPOCH || sessionEpoch === INITIAL_EPOCH) {
      this.#delete(sessionId)
      const targets = new Map<string, FetchTarget>()
      if (!(await apply(targets, request, pace))) return failed(ErrorCode.INVALID_REQUEST)
      const session = sessionEpoch === SESSIONLESS ? null : this.#create(targets, usesTopicIds, now)
      return {
        errorCode: ErrorCode.NONE,
        sessionId: session?.id ?? 0,
        targets: [...targets.values()],
        isIncremental: false,
        served: session === null ? none : target => moveToEnd(session, target),
      }
    }
    const session = this.#sessions.get(sessionId)
    if (session === undefined) return failed(ErrorCode.FETCH_SESSION_ID_NOT_FOUND)
    if (session.usesTopicIds !== usesTopicIds) return failed(ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR)
    if (session.epoch !== sessionEpoch) return failed(ErrorCode.INVALID_FETCH_SESSION_EPOCH)
    session.epoch = session.epoch === INT32_MAX ? 1 : session.epoch + 1
    session.lastUsed = now
    if (!(await this.#change(session, request, pace))) {
      return failed(ErrorCode.FETCH_SESSION_ID_NOT_FOUND)
    }
    return {
      errorCode: ErrorCode.NONE,
      sessionId,
      targets: [...session.targets.values()],
      isIncremental: true,
      served: target => moveToEnd(session, target),
    }
  }

  /** @returns false if the session has become too large: it is gone, and its client asks for everything anew */
  async #change(session: FetchSession, request: FetchRequest, pace: FetchPace): Promise<boolean> {
    const before = session.targets.size
    const fits = await apply(session.targets, request, pace)
    if (this.#sessions.get(session.id) !== session) return false
    this.#remembered += session.targets.size - before
    if (fits && this.#remembered <= this.#rememberedMax) return true
    this.#delete(session.id)
    return false
  }

  #delete(id: number): void {
    const session = this.#sessions.get(id)
    if (session === undefined) return
    this.#remembered -= session.targets.size
    this.#sessions.delete(id)
  }

  /** Null if there is no room: then the client asks for everything each time (KIP-227). */
  #create(
    targets: Map<string, FetchTarget>,
    usesTopicIds: boolean,
    now: number,
  ): FetchSession | null {
    if (targets.size === 0 || !this.#makeRoom(targets.size, now)) return null
    let id = randomInt(1, INT32_MAX)
    while (this.#sessions.has(id)) id = randomInt(1, INT32_MAX)
    const session = new FetchSession(id, usesTopicIds, now, targets)
    this.#sessions.set(id, session)
    this.#remembered += targets.size
    return session
  }

  #hasRoom(targets: number): boolean {
    return (
      this.#sessions.size < this.#sessionsMax && this.#remembered + targets <= this.#rememberedMax
    )
  }

  #makeRoom(targets: number, now: number): boolean {
    for (const session of this.#sessions.values()) {
      if (this.#hasRoom(targets)) return true
      if (now - session.lastUsed >= EVICTION_MS_MIN) this.#delete(session.id)
    }
    return this.#hasRoom(targets)
  }
}

const keyOf = (topic: string, topicId: string, index: number): string =>
  topicId === ZERO_UUID ? `${topic} ${index}` : `${topicId} ${index}`

/**
 * Takes the partitions that a request adds, changes and forgets into the targets.
 * @returns false if they become too many
 */
async function apply(
  targets: Map<string, FetchTarget>,
  request: FetchRequest,
  pace: FetchPace,
): Promise<boolean> {
  for (const { topic, topicId, partitions } of request.topics) {
    for (const p of partitions) {
      if (pace.isDue) await pace.rest()
      const key = keyOf(topic, topicId, p.partition)
      const known = targets.get(key)
      if (known === undefined && targets.size >= FETCH_PARTITIONS_MAX) return false
      const target: FetchTarget = known ?? {
        topic,
        topicId,
        index: p.partition,
        fetchOffset: 0,
        maxBytes: 0,
        currentLeaderEpoch: -1,
        lastFetchedEpoch: -1,
        sentHighWatermark: -1,
        sentLogStartOffset: -1,
        sentError: false,
      }
      target.fetchOffset = p.fetchOffset
      target.maxBytes = p.partitionMaxBytes
      target.currentLeaderEpoch = p.currentLeaderEpoch
      target.lastFetchedEpoch = p.lastFetchedEpoch
      targets.set(key, target)
    }
  }
  for (const { topic, topicId, partitions } of request.forgottenTopicsData) {
    for (const index of partitions) {
      if (pace.isDue) await pace.rest()
      targets.delete(keyOf(topic, topicId, index))
    }
  }
  return true
}

function moveToEnd(session: FetchSession, target: FetchTarget): void {
  const key = keyOf(target.topic, target.topicId, target.index)
  if (session.targets.get(key) !== target) return
  session.targets.delete(key)
  session.targets.set(key, target)
}
