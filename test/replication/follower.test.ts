import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ErrorCode } from '../../src/protocol/error-codes.ts'
import { FollowerReplica, RETRY_MS } from '../../src/replication/follower.ts'
import type {
  BatchFacts,
  FetchAnswer,
  FollowerEffect,
} from '../../src/replication/follower-effects.ts'
import type { LogFacts } from '../../src/replication/log-facts.ts'
import type { PartitionState } from '../../src/replication/partition-state.ts'
import { partition } from '../lib/brokers.ts'

const test = suite('a replica that follows')
type Effect = FollowerEffect<BatchFacts>
type Answer = FetchAnswer<BatchFacts>

/** Ends at 20; epoch 2 from 0, 4 from 10; committed up to 12, known in epoch 4. */
const LOG: LogFacts = {
  start: 0,
  end: 20,
  hw: 12,
  hwEpoch: 4,
  epochs: [
    { epoch: 2, startOffset: 0 },
    { epoch: 4, startOffset: 10 },
  ],
}

class Driver {
  readonly effects: Effect[] = []
  readonly follower: FollowerReplica<BatchFacts>

  constructor(record: Partial<PartitionState> = {}, log: Partial<LogFacts> = {}, hasGaps = false) {
    this.follower = new FollowerReplica({
      me: 2,
      record: partition(record),
      log: { ...LOG, ...log },
      hasGaps: () => hasGaps,
      now: 0,
      out: this.effects,
    })
  }

  take(): Effect[] {
    return this.effects.splice(0)
  }

  /** Answers the fetch that is under way. */
  answer(answer: Answer, now = 0): Effect[] {
    const fetch = this.effects.find(({ kind }) => kind === 'fetch') as { id: number } | undefined
    this.effects.splice(0)
    this.follower.fetched(fetch?.id ?? 0, answer, now)
    return this.effects
  }
}

const batch = (baseOffset: number, lastOffset: number, epoch = 5, isWhole = true): BatchFacts => ({
  baseOffset,
  lastOffset,
  epoch,
  isWhole,
})
const records = (batches: BatchFacts[], hw = 12, logStart = 0): Answer => ({
  hw,
  logStart,
  batches,
})
const kinds = (effects: readonly Effect[]): string[] => effects.map(({ kind }) => kind)

test('it fetches from its flushed end, says of which epoch that is, and of which leader', () => {
  assert.equal(new Driver().take(), [
    { kind: 'fetch', id: 1, leader: 1, epoch: 5, offset: 20, lastEpoch: 4, logStart: 0 },
  ])
})

test('the next fetch leaves when all of the answer is flushed', () => {
  const driver = new Driver()
  driver.answer(records([batch(20, 21), batch(22, 25)]))
  assert.equal(kinds(driver.take()), ['append'])
  driver.follower.flushed(22, 0)
  driver.follower.tick(0)
  assert.equal(driver.take(), [])
  driver.follower.flushed(26, 0)
  const [fetch] = driver.take()
  assert.equal(fetch, { ...fetch, kind: 'fetch', offset: 26, lastEpoch: 5 } as Effect)
})

test('the high watermark is never above what is flushed here', () => {
  const driver = new Driver()
  driver.answer(records([batch(20, 29)], 25))
  assert.is(driver.follower.hw, 20)
  driver.follower.flushed(30, 0)
  assert.is(driver.follower.hw, 25)
})

test('the log start follows the leader, up to the high watermark', () => {
  const driver = new Driver()
  const effects = driver.answer(records([], 12, 15))
  assert.equal(effects[0], { kind: 'moveStart', offset: 12 })
})

test('it cuts what the leader has not: to the end of the epoch there, or here if that is less', () => {
  const there = new Driver().answer({ diverging: { epoch: 4, endOffset: 15 } })
  assert.equal(there, [{ kind: 'truncate', epoch: 5, offset: 15 }])
  const here = new Driver({}, { hw: 3 }).answer({ diverging: { epoch: 3, endOffset: 18 } })
  assert.equal(here, [{ kind: 'truncate', epoch: 5, offset: 10 }])
})

test('it fetches again after a cut, of the epoch that is last then', () => {
  const driver = new Driver({}, { hw: 3 })
  driver.answer({ diverging: { epoch: 3, endOffset: 18 } })
  driver.take()
  driver.follower.tick(10_000)
  assert.equal(driver.take(), [], 'not before the cut is on disk')
  driver.follower.reopened({ ...LOG, hw: 3, end: 10, epochs: [LOG.epochs[0]!] }, 0)
  const [fetch] = driver.take()
  assert.equal(fetch, { ...fetch, kind: 'fetch', offset: 10, lastEpoch: 2 } as Effect)
})

test('it never cuts below its high watermark, unless that was taken back by an unclean election since', () => {
  const diverging: Answer = { diverging: { epoch: 4, endOffset: 11 } }
  const loyal = new Driver()
  assert.equal(kinds(loyal.answer(diverging)), ['fail'])
  assert.is(loyal.follower.phase, 'failed')
  assert.equal(kinds(new Driver({ unclean: 4 }).answer(diverging)), ['fail'])
  assert.equal(kinds(new Driver({ unclean: 5 }).answer(diverging)), ['truncate'])
})

test('a high watermark learnt in nobody knows which epoch is at least of the epoch of its last record', () => {
  const diverging: Answer = { diverging: { epoch: 4, endOffset: 11 } }
  const facts = { hwEpoch: -1 }
  assert.equal(kinds(new Driver({ unclean: 4 }, facts).answer(diverging)), ['fail'])
  assert.equal(kinds(new Driver({ unclean: 5 }, facts).answer(diverging)), ['truncate'])
})

test('a log that ends before the leader begins is begun anew, only if nobody counts on it', () => {
  const gone: Answer = { error: ErrorCode.OFFSET_OUT_OF_RANGE, logStart: 50 }
  const outside = new Driver({ isr: [1, 3] })
  assert.equal(outside.answer(gone), [{ kind: 'startAt', epoch: 5, offset: 50 }])
  assert.equal(new Driver().answer(gone), [])
  assert.equal(new Driver({ isr: [1], elr: [2] }).answer(gone), [])
})

test('a log of which the leader has nothing to compare with is begun anew, only if nobody counts on it', () => {
  const outside = new Driver({ isr: [1, 3] })
  assert.equal(outside.answer(records([batch(20, 21)], 25, 20)), [
    { kind: 'startAt', epoch: 5, offset: 20 },
  ])
  assert.is(outside.follower.hw, 12)
  assert.equal(kinds(new Driver().answer(records([batch(20, 21)], 25, 20)))[0], 'append')
})

test('damage, a gap, or epochs that fall are not appended, and asked for again', () => {
  for (const bad of [batch(20, 22, 5, false), batch(21, 22), batch(19, 22), batch(20, 22, 3)]) {
    const driver = new Driver()
    driver.answer(records([bad]))
    assert.equal(driver.take(), [])
    driver.follower.tick(RETRY_MS - 1)
    assert.equal(driver.take(), [])
    driver.follower.tick(RETRY_MS)
    assert.equal(kinds(driver.take()), ['fetch'])
  }
  const compacted = new Driver({}, {}, true)
  assert.equal(kinds(compacted.answer(records([batch(24, 30)]))), ['append'])
})

test('after a cut connection it fetches again; an answer that comes late is no answer', () => {
  const driver = new Driver()
  driver.take()
  driver.follower.disconnected(1, 0)
  driver.follower.fetched(1, records([batch(20, 21)]), 50)
  assert.equal(driver.take(), [])
  driver.follower.tick(1_000)
  assert.equal(kinds(driver.take()), ['fetch'])
})

test('without a leader it waits for the record', () => {
  const driver = new Driver({ leader: -1, by: '' })
  assert.equal(driver.take(), [])
})

test('after a refused append it goes on from what the log is', () => {
  const driver = new Driver()
  driver.answer(records([batch(20, 29)]))
  driver.take()
  driver.follower.appendFailed(LOG, 0)
  driver.follower.tick(RETRY_MS)
  const [fetch] = driver.take()
  assert.equal(fetch, { ...fetch, kind: 'fetch', offset: 20, lastEpoch: 4 } as Effect)
})

test.run()
