import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ErrorCode } from '../../src/protocol/error-codes.ts'
import { FOLLOWED_MS_MAX, LeaderReplica } from '../../src/replication/leader.ts'
import type {
  FetchVerdict,
  LeaderEffect,
  ReplicaFetch,
} from '../../src/replication/leader-effects.ts'
import type { PartitionState } from '../../src/replication/partition-state.ts'
import type { Entry } from '../../src/replication/types.ts'
import { KnownBrokers, partition } from '../lib/brokers.ts'

const test = suite('the leader of a partition')
const LAG_MS = 30_000
type Effect = LeaderEffect<string>

class Driver {
  now = 0
  readonly brokers = new KnownBrokers(1, 2, 3)
  readonly effects: Effect[] = []
  readonly leader: LeaderReplica<string>

  constructor(record: PartitionState = partition(), log: { end?: number; hw?: number } = {}) {
    this.leader = new LeaderReplica({
      me: 1,
      key: 'p/t/0',
      record,
      log: {
        start: 0,
        end: 10,
        hw: 10,
        hwEpoch: 4,
        ...log,
        epochs: [
          { epoch: 2, startOffset: 0 },
          { epoch: 5, startOffset: log.end ?? 10 },
        ],
      },
      brokers: this.brokers,
      lagTimeMs: LAG_MS,
      now: 0,
      out: this.effects,
    })
  }

  fetch(from: number, offset: number, over: Partial<ReplicaFetch> = {}): FetchVerdict {
    const lastEpoch = offset > 10 ? 5 : 2
    const facts = { session: from, brokerEpoch: from * 10, epoch: 5, lastEpoch, logStart: 0 }
    return this.leader.fetch({ from, offset, ...facts, ...over }, this.now)
  }

  record(over: Partial<PartitionState>): void {
    const revision = this.leader.record.revision + 1
    this.leader.recordChanged({ ...this.leader.record, revision, ...over }, 'i1', this.now)
  }

  take<K extends Effect['kind']>(kind: K): Extract<Effect, { kind: K }>[] {
    const found = this.effects.filter(e => e.kind === kind) as Extract<Effect, { kind: K }>[]
    this.effects.splice(0)
    return found
  }

  settled(): [string, number][] {
    return this.take('settle').flatMap(({ slots, error }) =>
      slots.map((slot): [string, number] => [slot, error]),
    )
  }

  proposedIsr(): unknown {
    const [effect] = this.take('propose')
    return (effect?.change.value as { isr?: unknown } | undefined)?.isr ?? null
  }
}

const error = (verdict: FetchVerdict): number => ('error' in verdict ? verdict.error : 0)

test('what is appended is committed when all of the ISR have flushed it', () => {
  const driver = new Driver()
  const { leader } = driver
  leader.appended(12, 0)
  leader.wait(12, 'a', 1000)
  driver.fetch(2, 12)
  assert.is(leader.hw, 10)
  assert.equal(driver.settled(), [])
  driver.fetch(3, 11)
  assert.is(leader.hw, 11)
  assert.equal(driver.settled(), [])
  driver.fetch(3, 12)
  assert.is(leader.hw, 12)
  assert.equal(driver.settled(), [['a', ErrorCode.NONE]])
})

test('what has an offset is fetched at once, and committed when the leader has flushed it, too', () => {
  const driver = new Driver()
  const { leader } = driver
  leader.placed(12, 0)
  assert.equal(driver.take('readable'), [{ kind: 'readable', end: 12 }])
  assert.equal(driver.fetch(2, 10), { hw: 10, logStart: 0, end: 12 })
  leader.wait(12, 'a', 1000)
  // Both have flushed it before their leader has.
  assert.equal(driver.fetch(2, 12), { hw: 10, logStart: 0, end: 12 })
  assert.equal(driver.fetch(3, 12), { hw: 10, logStart: 0, end: 12 })
  assert.equal(driver.settled(), [])
  leader.appended(11, 0)
  assert.is(leader.hw, 11)
  leader.appended(12, 0)
  assert.is(leader.hw, 12)
  assert.equal(driver.settled(), [['a', ErrorCode.NONE]])
})

test('who could not read what was only placed is told when it is flushed', () => {
  const driver = new Driver()
  driver.leader.placed(14, 0)
  driver.take('readable')
  driver.leader.appended(12, 0)
  assert.equal(driver.take('readable'), [{ kind: 'readable', end: 12 }])
})

test('a replica that has all there was before something was placed has the lag time for that', () => {
  const driver = new Driver()
  driver.fetch(2, 10)
  driver.fetch(3, 10)
  driver.now = 2 * LAG_MS
  driver.leader.placed(12, driver.now)
  driver.now += LAG_MS
  driver.leader.tick(driver.now)
  assert.is(driver.proposedIsr(), null)
  driver.now++
  driver.leader.tick(driver.now)
  assert.equal(driver.proposedIsr(), [1])
})

test('a member that has not fetched in this epoch holds the high watermark', () => {
  const driver = new Driver(partition(), { end: 10, hw: 4 })
  driver.fetch(2, 10)
  assert.is(driver.leader.hw, 4)
  driver.fetch(3, 10)
  assert.is(driver.leader.hw, 10)
})

test('nothing is committed while the ISR is below the minimum', () => {
  const driver = new Driver(partition({ isr: [1], elr: [2, 3] }))
  driver.leader.appended(12, 0)
  assert.is(driver.leader.appendError, ErrorCode.NOT_ENOUGH_REPLICAS)
  driver.fetch(2, 12)
  assert.is(driver.leader.hw, 10)
  assert.equal(driver.proposedIsr(), [1, 2])
  driver.record({ isr: [1, 2], elr: [] })
  assert.is(driver.leader.hw, 12)
})

test('a fetch in another epoch, by no replica or by an earlier life counts for nothing', () => {
  const driver = new Driver()
  driver.leader.appended(12, 0)
  driver.fetch(3, 12)
  assert.is(error(driver.fetch(2, 12, { epoch: 4 })), ErrorCode.FENCED_LEADER_EPOCH)
  assert.is(error(driver.fetch(2, 12, { epoch: 6 })), ErrorCode.UNKNOWN_LEADER_EPOCH)
  assert.is(error(driver.fetch(9, 12)), ErrorCode.NOT_LEADER_OR_FOLLOWER)
  assert.is(error(driver.fetch(2, 12, { brokerEpoch: 19 })), ErrorCode.STALE_BROKER_EPOCH)
  assert.is(driver.leader.hw, 10)
})

test('a replica with records that are not here is told where it parts, and not counted', () => {
  const driver = new Driver(partition(), { end: 10, hw: 4 })
  driver.fetch(3, 10)
  const verdict = driver.fetch(2, 12, { lastEpoch: 4 })
  assert.equal(verdict, { diverging: { epoch: 2, endOffset: 10 } })
  assert.is(driver.leader.hw, 4)
  assert.equal(driver.fetch(2, 10, { lastEpoch: 3 }), { diverging: { epoch: 2, endOffset: 10 } })
})

test('a fetch of what is deleted is out of range', () => {
  const driver = new Driver()
  driver.leader.startMoved(5)
  const verdict = driver.fetch(2, 3)
  assert.equal(verdict, { error: ErrorCode.OFFSET_OUT_OF_RANGE, logStart: 5 })
})

test('a replica joins when it has what is committed and what was here at the election', () => {
  const driver = new Driver(partition({ isr: [1, 2] }), { end: 10, hw: 4 })
  driver.fetch(3, 9)
  assert.is(driver.proposedIsr(), null)
  driver.fetch(3, 10)
  assert.equal(driver.proposedIsr(), [1, 2, 3])
})

test('a proposed member counts like a committed one', () => {
  const driver = new Driver(partition({ isr: [1, 2] }))
  driver.fetch(3, 10)
  assert.equal(driver.leader.maximalIsr, [1, 2, 3])
  driver.leader.appended(12, LAG_MS * 2)
  driver.now = LAG_MS * 2
  driver.fetch(2, 12)
  assert.is(driver.leader.hw, 10)
  driver.fetch(3, 12)
  assert.is(driver.leader.hw, 12)
})

test('a replica about to join holds the high watermark, for its lag time', () => {
  const driver = new Driver(partition({ isr: [1, 2] }), { end: 12 })
  driver.fetch(3, 11)
  driver.fetch(2, 12, { lastEpoch: 5 })
  driver.leader.appended(13, 0)
  driver.fetch(2, 13)
  assert.is(driver.leader.hw, 13, 'behind and never caught up: not waited for')
  driver.fetch(3, 13)
  assert.equal(driver.proposedIsr(), [1, 2, 3])
})

test('who has not caught up for the lag time leaves the ISR', () => {
  const driver = new Driver()
  driver.leader.appended(12, 1)
  driver.now = LAG_MS
  driver.fetch(2, 12)
  driver.leader.tick(LAG_MS)
  assert.is(driver.proposedIsr(), null)
  driver.leader.tick(LAG_MS + 1)
  assert.equal(driver.proposedIsr(), [1, 2])
  assert.is(driver.leader.hw, 10, 'it counts until the record says so')
  driver.record({ isr: [1, 2] })
  assert.is(driver.leader.hw, 12)
})

test('who fetches where the log ended at its fetch before was caught up then', () => {
  const driver = new Driver()
  for (let at = 1; at < 100; at++) {
    driver.now = at * 1000
    driver.fetch(2, 9 + at)
    driver.fetch(3, 9 + at)
    driver.leader.appended(10 + at, driver.now)
    driver.leader.tick(driver.now)
  }
  assert.is(driver.proposedIsr(), null)
})

test('an outcome that is not known is asked for with the same transaction, and nothing else is planned', () => {
  const driver = new Driver(partition({ isr: [1, 2] }))
  driver.fetch(3, 10)
  const [sent] = driver.take('propose')
  driver.leader.answered(sent!.id, { outcome: 'unknown' }, 0)
  driver.leader.tick(LAG_MS + 1)
  const [again, ...others] = driver.take('propose')
  assert.equal(again, sent)
  assert.equal(others, [])
  assert.equal(driver.leader.maximalIsr, [1, 2, 3])
  driver.record({ isr: [1, 2, 3] })
  driver.leader.tick(LAG_MS * 2)
  assert.equal(driver.leader.record.isr, [1, 2, 3])
})

test('refused for another change that went along, a proposal without outcome is still pending', () => {
  const driver = new Driver(partition({ isr: [1, 2] }))
  driver.fetch(3, 10)
  const [sent] = driver.take('propose')
  const entry = (key: string, revision: number, created: number): Entry => ({
    key,
    value: {},
    revision,
    created,
  })
  driver.leader.answered(sent!.id, { outcome: 'unknown' }, 0)
  const holds = [entry('p/t/0', 100, 1), entry('unfenced/3', 31, 31)]
  driver.leader.answered(sent!.id, { outcome: 'refused', revision: 200, now: holds }, 0)
  assert.equal(driver.leader.maximalIsr, [1, 2, 3])
  driver.leader.answered(sent!.id, { outcome: 'refused', revision: 200, now: [holds[0]!] }, 0)
  assert.equal(driver.leader.maximalIsr, [1, 2], 'its registration is gone: it never applies')
})

test('a duplicate waits for the end of its original', () => {
  const driver = new Driver()
  driver.leader.appended(14, 0)
  driver.leader.wait(14, 'later', 1000)
  driver.leader.wait(12, 'duplicate', 1000)
  driver.fetch(2, 14)
  driver.fetch(3, 12)
  assert.equal(driver.settled(), [['duplicate', ErrorCode.NONE]])
  driver.leader.wait(11, 'committed already', 1000)
  assert.equal(driver.settled(), [['committed already', ErrorCode.NONE]])
})

test('who waits too long is told whether replicas are missing', () => {
  const driver = new Driver()
  driver.leader.appended(14, 0)
  driver.leader.wait(14, 'a', 1000)
  driver.leader.wait(14, 'b', 2000)
  driver.leader.tick(1000)
  assert.equal(driver.settled(), [['a', ErrorCode.REQUEST_TIMED_OUT]])
  driver.record({ isr: [1], elr: [2, 3] })
  driver.leader.tick(2000)
  assert.equal(driver.settled(), [['b', ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND]])
})

test('a leader whose record has another epoch, leader or incarnation resigns, and says that records may be there', () => {
  for (const change of [{ epoch: 6 }, { epoch: 6, leader: 2 }, { by: 'other' }]) {
    const driver = new Driver()
    driver.leader.appended(14, 0)
    driver.leader.wait(14, 'a', 1000)
    driver.effects.splice(0)
    driver.record(change)
    assert.equal(
      driver.effects.map(({ kind }) => kind),
      ['settle', 'resign'],
    )
    assert.equal(driver.settled(), [['a', ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND]])
    assert.is(error(driver.fetch(2, 14)), ErrorCode.NOT_LEADER_OR_FOLLOWER)
    assert.not(driver.leader.mayServe(0))
  }
})

test('an older record changes nothing', () => {
  const driver = new Driver()
  driver.record({ revision: 99, leader: 2, epoch: 4 })
  assert.is(driver.leader.appendError, ErrorCode.NONE)
})

test('while the lease may be over, reads are served only if all who could lead followed a moment ago', () => {
  const driver = new Driver(partition({ isr: [1, 2] }))
  driver.leader.lease(false)
  assert.not(driver.leader.mayServe(0))
  driver.fetch(2, 10)
  assert.not(driver.leader.mayServe(0), 'it may have been sent long ago')
  driver.leader.fetchAnswered(2, 2, 100)
  driver.now = 110
  driver.fetch(2, 10)
  assert.ok(driver.leader.mayServe(100 + FOLLOWED_MS_MAX))
  assert.not(driver.leader.mayServe(101 + FOLLOWED_MS_MAX))
  driver.leader.lease(true)
  assert.ok(driver.leader.mayServe(99_999))
})

test('while the lease may be over, a leader that nobody can replace serves', () => {
  const alone = new Driver(partition({ isr: [1], min: 1 }))
  alone.leader.lease(false)
  assert.ok(alone.leader.mayServe(0))
  const eligible = new Driver(partition({ isr: [1], elr: [2] }))
  eligible.leader.lease(false)
  assert.not(eligible.leader.mayServe(0))
})

test('leadership is confirmed by fetches that follow an answer given after the question', () => {
  const driver = new Driver(partition({ isr: [1, 2] }))
  driver.leader.confirm(7)
  assert.equal(driver.take('answerNow'), [{ kind: 'answerNow', replicas: [2] }])
  driver.fetch(2, 10)
  assert.equal(driver.take('confirmed'), [], 'that one was on its way before')
  driver.leader.fetchAnswered(2, 2, 0)
  driver.fetch(2, 10, { session: 99 })
  assert.equal(driver.take('confirmed'), [], 'another connection')
  driver.fetch(2, 10)
  assert.equal(driver.take('confirmed'), [{ kind: 'confirmed', tickets: [7], error: 0 }])
})

test('leadership is not confirmed by a leader that resigns, nor below the minimum without a lease', () => {
  const driver = new Driver()
  driver.leader.confirm(1)
  driver.record({ isr: [1], elr: [2, 3] })
  driver.leader.confirm(2)
  assert.equal(
    driver.take('confirmed').map(({ tickets, error: code }) => [...tickets, code]),
    [
      [1, 0],
      [2, 0],
    ],
  )
  driver.leader.lease(false)
  driver.leader.confirm(3)
  const { NOT_LEADER_OR_FOLLOWER } = ErrorCode
  assert.equal(driver.take('confirmed')[0]!.error, NOT_LEADER_OR_FOLLOWER)
})

test('a replica that had all there was has the lag time from when there is more, however long it was quiet', () => {
  const driver = new Driver()
  driver.fetch(2, 10)
  driver.fetch(3, 10)
  driver.now = 100 * LAG_MS
  driver.leader.appended(12, driver.now)
  driver.leader.tick(driver.now + LAG_MS)
  assert.equal(driver.take('propose'), [])
  driver.leader.tick(driver.now + LAG_MS + 1)
  assert.is(driver.take('propose').length, 1)
})

test('while the lease may be over followers are asked to speak up, again and again', () => {
  const driver = new Driver()
  driver.leader.lease(false)
  assert.equal(driver.take('answerNow'), [{ kind: 'answerNow', replicas: [2, 3] }])
  driver.leader.tick(500)
  assert.equal(driver.take('answerNow'), [{ kind: 'answerNow', replicas: [2, 3] }])
  driver.leader.lease(true)
  driver.leader.tick(1_000)
  assert.equal(driver.take('answerNow'), [])
})

test('a consumer may read where all in sync is that it asks for, at the one first that has most', () => {
  const driver = new Driver()
  assert.equal(driver.leader.readersAt(10), [])
  driver.fetch(2, 10)
  driver.fetch(3, 10, { logStart: 4 })
  driver.leader.appended(12, 0)
  driver.fetch(3, 12, { logStart: 4 })
  assert.equal(driver.leader.readersAt(10), [3, 2])
  assert.equal(driver.leader.readersAt(12), [3])
  assert.equal(driver.leader.readersAt(3), [2], 'records that it has no more')
  driver.record({ isr: [1, 2] })
  assert.equal(driver.leader.readersAt(10), [2], 'not in sync')
})

test.run()
