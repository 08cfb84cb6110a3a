import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ErrorCode } from '../../src/protocol/error-codes.ts'
import { ZERO_UUID } from '../../src/protocol/fields.ts'
import type { FetchRequest } from '../../src/protocol/messages/01-fetch.ts'
import { type FetchPlan, FetchSessions } from '../../src/topics/fetch-sessions.ts'

const BY_NAME = 12
const BY_ID = 13
const EVICTION_MS = 120_000
const PARTITIONS_MAX = 100_000
const TOPIC_ID = Buffer.alloc(16, 9).toString('base64url')
const test = suite('fetch sessions')

interface Asked {
  readonly sessionId?: number
  readonly sessionEpoch?: number
  readonly partitions?: readonly number[]
  readonly forgotten?: readonly number[]
  readonly offset?: number
  readonly topicId?: string
}

function request(asked: Asked): FetchRequest {
  const { sessionId = 0, sessionEpoch = 0, partitions = [], offset = 0 } = asked
  const topicId = asked.topicId ?? ZERO_UUID
  const topic = asked.topicId === undefined ? 'orders' : ''
  const one = (partition: number) => ({
    partition,
    currentLeaderEpoch: -1,
    fetchOffset: offset,
    lastFetchedEpoch: -1,
    logStartOffset: -1,
    partitionMaxBytes: 1_000,
    replicaDirectoryId: ZERO_UUID,
    highWatermark: Number.MAX_SAFE_INTEGER,
  })
  return {
    clusterId: null,
    replicaId: -1,
    replicaState: { replicaId: -1, replicaEpoch: -1 },
    maxWaitMs: 0,
    minBytes: 1,
    maxBytes: 1_000_000,
    isolationLevel: 0,
    sessionId,
    sessionEpoch,
    topics: [{ topic, topicId, partitions: partitions.map(one) }],
    forgottenTopicsData: [{ topic, topicId, partitions: [...(asked.forgotten ?? [])] }],
    rackId: '',
  }
}

/** Nobody else wants the event loop. */
const PACE = { isDue: false, rest: () => Promise.resolve() }

const planOf = (sessions: FetchSessions, asked: FetchRequest, version: number, now: number) =>
  sessions.plan(asked, version, now, PACE)

const opened = async (sessions: FetchSessions, now = 0, partitions = [0, 1, 2]): Promise<number> =>
  (await planOf(sessions, request({ partitions }), BY_NAME, now)).sessionId

const indexes = (plan: FetchPlan): number[] => plan.targets.map(target => target.index)

test('epoch 0 opens a session, epoch -1 does without', async () => {
  const sessions = new FetchSessions(10)
  const full = await planOf(sessions, request({ partitions: [4, 5] }), BY_NAME, 0)
  assert.ok(full.sessionId > 0)
  assert.not.ok(full.isIncremental)
  assert.equal(indexes(full), [4, 5])
  const without = await planOf(sessions, request({ sessionEpoch: -1, partitions: [4] }), BY_NAME, 0)
  assert.is(without.sessionId, 0)
  assert.is(sessions.size, 1)
})

test('later requests say only what changes: added, changed and forgotten partitions', async () => {
  const sessions = new FetchSessions(10)
  const sessionId = await opened(sessions)
  const ask = (sessionEpoch: number, more: Asked): Promise<FetchPlan> =>
    planOf(sessions, request({ sessionId, sessionEpoch, ...more }), BY_NAME, 0)
  assert.equal(indexes(await ask(1, {})), [0, 1, 2])
  assert.equal(indexes(await ask(2, { forgotten: [1], partitions: [7] })), [0, 2, 7])
  const changed = await ask(3, { partitions: [2], offset: 55 })
  assert.ok(changed.isIncremental)
  assert.equal(
    changed.targets.map(t => [t.index, t.fetchOffset]),
    [
      [0, 0],
      [2, 55],
      [7, 0],
    ],
  )
})

test('who had data comes last the next time', async () => {
  const sessions = new FetchSessions(10)
  const sessionId = await opened(sessions)
  const plan = await planOf(sessions, request({ sessionId, sessionEpoch: 1 }), BY_NAME, 0)
  plan.served(plan.targets[0]!)
  const next = await planOf(sessions, request({ sessionId, sessionEpoch: 2 }), BY_NAME, 0)
  assert.equal(indexes(next), [1, 2, 0])
})

test('an unknown session and a wrong epoch are errors, and do not move the session', async () => {
  const sessions = new FetchSessions(10)
  const sessionId = await opened(sessions)
  const errorOf = async (asked: Asked, version = BY_NAME): Promise<number> =>
    (await planOf(sessions, request(asked), version, 0)).errorCode
  const unknown = await errorOf({ sessionId: sessionId === 1 ? 2 : 1, sessionEpoch: 1 })
  assert.is(unknown, ErrorCode.FETCH_SESSION_ID_NOT_FOUND)
  assert.is(await errorOf({ sessionId, sessionEpoch: 2 }), ErrorCode.INVALID_FETCH_SESSION_EPOCH)
  assert.is(await errorOf({ sessionId, sessionEpoch: 1 }), ErrorCode.NONE)
  assert.is(await errorOf({ sessionId, sessionEpoch: 1 }), ErrorCode.INVALID_FETCH_SESSION_EPOCH)
  assert.is(await errorOf({ sessionId, sessionEpoch: 2 }), ErrorCode.NONE)
})

test('a session stays with names or with ids', async () => {
  const sessions = new FetchSessions(10)
  const byName = await opened(sessions)
  const later = request({ sessionId: byName, sessionEpoch: 1 })
  assert.is(
    (await planOf(sessions, later, BY_ID, 0)).errorCode,
    ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR,
  )
  const byId = await planOf(sessions, request({ partitions: [3], topicId: TOPIC_ID }), BY_ID, 0)
  const next = request({ sessionId: byId.sessionId, sessionEpoch: 1, topicId: TOPIC_ID })
  assert.equal(indexes(await planOf(sessions, next, BY_ID, 0)), [3])
  const forget = { sessionId: byId.sessionId, sessionEpoch: 2, topicId: TOPIC_ID, forgotten: [3] }
  assert.equal(indexes(await planOf(sessions, request(forget), BY_ID, 0)), [])
})

test('epochs 0 and -1 end the session that they name', async () => {
  const sessions = new FetchSessions(10)
  const first = await opened(sessions)
  const second = await planOf(sessions, request({ sessionId: first, partitions: [0] }), BY_NAME, 0)
  assert.is.not(second.sessionId, first)
  assert.is(sessions.size, 1)
  await planOf(sessions, request({ sessionId: second.sessionId, sessionEpoch: -1 }), BY_NAME, 0)
  assert.is(sessions.size, 0)
})

test('a full cache gives no session, but answers', async () => {
  const sessions = new FetchSessions(2)
  await opened(sessions)
  await opened(sessions)
  const third = await planOf(sessions, request({ partitions: [0] }), BY_NAME, EVICTION_MS - 1)
  assert.is(third.errorCode, ErrorCode.NONE)
  assert.is(third.sessionId, 0)
  assert.equal(indexes(third), [0])
  assert.is(sessions.size, 2)
})

test('a session idle for two minutes makes room for a new one, a used one does not', async () => {
  const sessions = new FetchSessions(2)
  const used = await opened(sessions, 0)
  const idle = await opened(sessions, 0)
  await planOf(sessions, request({ sessionId: used, sessionEpoch: 1 }), BY_NAME, 5)
  assert.ok((await opened(sessions, EVICTION_MS)) > 0)
  assert.is(sessions.size, 2)
  const ask = async (sessionId: number, sessionEpoch: number): Promise<number> =>
    (await planOf(sessions, request({ sessionId, sessionEpoch }), BY_NAME, EVICTION_MS)).errorCode
  assert.is(await ask(idle, 1), ErrorCode.FETCH_SESSION_ID_NOT_FOUND)
  assert.is(await ask(used, 2), ErrorCode.NONE)
})

test('a cache of size 0 and a request without partitions make no session', async () => {
  assert.is(await opened(new FetchSessions(0)), 0)
  assert.is(await opened(new FetchSessions(10), 0, []), 0)
})

test('more partitions than a fetch may have are refused, in a session it ends', async () => {
  const sessions = new FetchSessions(1)
  const partitions = Array.from({ length: PARTITIONS_MAX }, (_, i) => i)
  const tooMany = request({ partitions: [...partitions, PARTITIONS_MAX] })
  assert.is((await planOf(sessions, tooMany, BY_NAME, 0)).errorCode, ErrorCode.INVALID_REQUEST)
  const { sessionId, targets } = await planOf(sessions, request({ partitions }), BY_NAME, 0)
  assert.is(targets.length, PARTITIONS_MAX)
  const more = request({ sessionId, sessionEpoch: 1, partitions: [PARTITIONS_MAX + 1] })
  const refused = await planOf(sessions, more, BY_NAME, 0)
  assert.is(refused.errorCode, ErrorCode.FETCH_SESSION_ID_NOT_FOUND, 'asked anew, from the start')
  assert.is(sessions.size, 0)
})

test('all sessions together remember a bounded number of partitions', async () => {
  const sessions = new FetchSessions(10, 5)
  const first = await opened(sessions, 0, [0, 1, 2])
  assert.is(await opened(sessions, 1, [0, 1, 2]), 0, 'no room: answered without a session')
  assert.is.not(await opened(sessions, 2, [0, 1]), 0)
  const grown = request({ sessionId: first, sessionEpoch: 1, partitions: [7] })
  const refused = await planOf(sessions, grown, BY_NAME, 3)
  assert.is(refused.errorCode, ErrorCode.FETCH_SESSION_ID_NOT_FOUND)
  assert.is.not(await opened(sessions, 4, [0, 1, 2]), 0, 'what it had is free again')
})

test.run()
