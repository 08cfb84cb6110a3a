import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { startTestCluster } from '../../src/testing/index.ts'
import { SegmentView } from '../../src/topics/segment-view.ts'

const timeout = 20_000
const RECORDS = 40

const test = suite('replicas that keep up')

/** Since their fetches had sessions they were not: each record was read from its file again for each replica. */
test('they are answered out of memory', async () => {
  await using cluster = await startTestCluster()
  await cluster.broker(1).seed({ t: { partitions: 1 } })
  await cluster.waitForIsr('t', 0, { timeout })
  await cluster.moveLeader('t', 0, 1)
  const leader = cluster.broker(1).node.registry.partition('t', 0)!
  const append = () => cluster.broker(1).append('t', [{ value: 'a', partition: 0 }])
  // All follow, and have asked.
  await append()
  const { read } = SegmentView.prototype
  const reads: string[] = []
  SegmentView.prototype.read = function (...args) {
    reads.push(this.path)
    return read.apply(this, args)
  }
  try {
    for (let i = 0; i < RECORDS; i++) await append()
  } finally {
    SegmentView.prototype.read = read
  }
  assert.is(leader.highWatermark, RECORDS + 1)
  assert.equal(reads, [])
})

test.run()
