import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { HostedReplica } from '../../src/cluster/hosted-replica.ts'
import { Throttle } from '../../src/cluster/throttle.ts'

const test = suite('the throttle of replication')

/** A throttle of broker 1 and what it goes by. */
function made(side: 'leader' | 'follower' = 'leader') {
  const given = { now: 0, rate: 1_000 as number | null }
  const configView = () => {
    const rate =
      given.rate === null ? {} : { [`${side}.replication.throttled.rate`]: `${given.rate}` }
    return { dynamicBroker: {}, dynamicDefault: rate, static: {} }
  }
  const throttle = new Throttle({ me: 1, side, configView, now: () => given.now })
  return { given, throttle }
}

const replica = (lists: { leader?: readonly string[]; follower?: readonly string[] }) =>
  ({
    partition: {
      index: 3,
      config: {
        leaderReplicationThrottledReplicas: lists.leader ?? [],
        followerReplicationThrottledReplicas: lists.follower ?? [],
      },
    },
    machine: { record: { isr: [1] } },
  }) as unknown as HostedReplica

test('what has passed drains at the rate, and nothing passes until then', () => {
  const { given, throttle } = made()
  assert.is(throttle.waitMs, 0)
  throttle.passed(5_000)
  assert.is(throttle.waitMs, 5_000)
  given.now = 4_000
  assert.is(throttle.waitMs, 1_000)
  given.now = 5_000
  assert.is(throttle.waitMs, 0)
  given.now = 100_000
  throttle.passed(1_000)
  assert.is(throttle.waitMs, 1_000, 'what was not used is not saved up')
})

test('a rate that is changed or taken away counts at once', () => {
  const { given, throttle } = made()
  throttle.passed(5_000)
  given.rate = 5_000
  assert.is(throttle.waitMs, 1_000)
  given.rate = 0
  assert.is(throttle.waitMs, Number.POSITIVE_INFINITY)
  given.rate = null
  assert.is(throttle.waitMs, 0)
})

test('it is for the replicas that the topic names, on its own side', () => {
  const { throttle } = made()
  assert.ok(throttle.isFor(replica({ leader: ['3:1', '4:2'] }), 2))
  assert.ok(throttle.isFor(replica({ leader: ['*'] }), 2))
  assert.not(throttle.isFor(replica({ leader: ['3:2', '4:1'] }), 2))
  assert.not(throttle.isFor(replica({ follower: ['3:1'] }), 2))
  assert.ok(made('follower').throttle.isFor(replica({ follower: ['3:1'] }), 2))
})

test('never for one that is in sync, nor without a rate', () => {
  const { given, throttle } = made()
  assert.not(throttle.isFor(replica({ leader: ['*'] }), 1))
  given.rate = null
  assert.not(throttle.isFor(replica({ leader: ['*'] }), 2))
})

test.run()
