import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { BatchFacts } from '../../src/replication/follower-effects.ts'
import type { LogFacts } from '../../src/replication/log-facts.ts'
import type { PartitionState } from '../../src/replication/partition-state.ts'
import { PartitionReplica, type ReplicaEffect } from '../../src/replication/replica.ts'
import { KnownBrokers, partition } from '../lib/brokers.ts'

const test = suite('a partition on a broker')
type Effect = ReplicaEffect<string, BatchFacts>

const LOG: LogFacts = {
  start: 0,
  end: 20,
  hw: 12,
  hwEpoch: 4,
  epochs: [{ epoch: 4, startOffset: 0 }],
}

class Driver {
  readonly effects: Effect[] = []
  readonly replica: PartitionReplica<string, BatchFacts>
  #revision = 100

  constructor() {
    this.replica = new PartitionReplica({
      me: 1,
      incarnation: 'i1',
      key: 'p/t/0',
      brokers: new KnownBrokers(1, 2, 3),
      lagTimeMs: 30_000,
      hasGaps: () => false,
      out: this.effects,
    })
  }

  record(over: Partial<PartitionState>, now = 0): Effect[] {
    this.effects.splice(0)
    this.replica.recordChanged(partition({ ...over, revision: ++this.#revision }), now)
    return this.effects
  }

  get kinds(): string[] {
    return this.effects.map(({ kind }) => kind)
  }
}

test('it leads when the worker has taken the epoch over, not before', () => {
  const driver = new Driver()
  assert.equal(driver.record({}), [{ kind: 'role', role: 'leader', epoch: 5 }])
  assert.is(driver.replica.leader, null)
  driver.replica.opened(5, LOG, 0)
  assert.is(driver.replica.leader?.epoch, 5)
})

test('it does not lead what an earlier life of this broker was elected for', () => {
  const driver = new Driver()
  assert.equal(driver.record({ by: 'before' }), [{ kind: 'role', role: 'follower', epoch: 5 }])
  driver.replica.opened(5, LOG, 0)
  assert.is(driver.replica.leader, null)
  assert.equal(driver.record({ by: 'i1', epoch: 6 }), [{ kind: 'role', role: 'leader', epoch: 6 }])
})

test('an answer of the worker for an epoch that has passed starts nothing', () => {
  const driver = new Driver()
  driver.record({})
  driver.record({ leader: 2, by: 'i2', epoch: 6 })
  driver.replica.opened(5, LOG, 0)
  assert.equal([driver.replica.leader, driver.replica.follower], [null, null])
  driver.replica.opened(6, LOG, 0)
  assert.is(driver.replica.follower?.epoch, 6)
})

test('a role with another epoch ends before the worker is asked', () => {
  const driver = new Driver()
  driver.record({})
  driver.replica.opened(5, LOG, 0)
  driver.record({ epoch: 6 })
  assert.equal(driver.kinds, ['resign', 'role'])
})

test('the high watermark is kept from role to role', () => {
  const driver = new Driver()
  driver.record({ isr: [1], min: 1 })
  driver.replica.opened(5, LOG, 0)
  assert.is(driver.replica.hw, 20)
  driver.record({ leader: 2, by: 'i2', epoch: 6 })
  driver.replica.opened(6, LOG, 0)
  assert.is(driver.replica.follower?.hw, 20)
})

test('a change within the epoch is told to the machine', () => {
  const driver = new Driver()
  driver.record({})
  driver.replica.opened(5, LOG, 0)
  driver.record({ isr: [1, 2] })
  assert.equal(driver.replica.leader?.record.isr, [1, 2])
  assert.equal(driver.kinds, [])
})

test('a broker that is no replica any more stops', () => {
  const driver = new Driver()
  driver.record({})
  driver.replica.opened(5, LOG, 0)
  driver.record({ replicas: [2, 3], isr: [2, 3], leader: 2, by: 'i2', epoch: 6 })
  assert.equal(driver.kinds, ['resign', 'stop'])
})

test('a damaged log is refilled when nobody counts on it, in an epoch in which it reported nothing', () => {
  const driver = new Driver()
  driver.record({ leader: 2, by: 'i2' })
  driver.replica.opened(5, LOG, 0)
  driver.effects.splice(0)
  driver.replica.damaged('checksum', 0)
  assert.equal(driver.kinds, ['failed', 'lose'])
  assert.equal(driver.record({ leader: 2, by: 'i2', isr: [2, 3] }), [], 'out, but the same epoch')
  driver.record({ leader: 2, by: 'i2', isr: [2, 3], epoch: 6 }, 2_000)
  assert.equal(driver.kinds, ['refill'])
  driver.replica.tick(9_000)
  assert.equal(driver.kinds, ['refill'])
  driver.effects.splice(0)
  driver.replica.refilled(9_000)
  assert.equal(driver.effects, [{ kind: 'role', role: 'follower', epoch: 6 }])
})

test('the last one that has the records is not struck off, however damaged', () => {
  const driver = new Driver()
  driver.record({ isr: [], elr: [1], leader: -1, by: '' })
  driver.replica.damaged('checksum', 0)
  driver.replica.tick(9_000)
  assert.equal(driver.kinds, ['role', 'failed'])
})

test.run()
