import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { BrokerCluster } from '../../lib/broker-cluster.ts'
import { kafkaOf, makeTopicOn, readAll } from '../../lib/cluster-ledger.ts'
import { flip } from '../../lib/flip.ts'

const test = suite('a bit has flipped in the leader epoch of a batch, which no checksum covers')
const VALUES = Array.from({ length: 5 }, (_, i) => `value ${i}`)
/** In the first batch: two bytes of partitionLeaderEpoch, and one of a record, which is found when somebody reads it. */
const [HIGH, LOW, RECORD] = [13, 15, 75]
/** The first is back before the others, and leads. */
const FLIPPED = [
  { topic: 'of-a-leader', id: 1, bytes: [HIGH] },
  { topic: 'of-a-follower', id: 3, bytes: [HIGH] },
  { topic: 'and-in-a-record', id: 1, bytes: [HIGH, RECORD] },
  { topic: 'hardly-another', id: 1, bytes: [LOW, RECORD] },
]

const startAll = async (cluster: BrokerCluster): Promise<void> => {
  for (const { id } of cluster.members) await cluster.startBroker(id)
  for (const { topic } of FLIPPED) await cluster.untilWhole(topic)
}

const killAll = (cluster: BrokerCluster): Promise<unknown> =>
  Promise.all(cluster.members.map(({ broker }) => broker!.kill()))

/**
 * The broker that was back first led by a log that said to begin in epoch 65536: the others dropped all that they had, and when it
 * found its damage, nobody had the records any more (found by test/jepsen, seed 8000).
 */
test('its log is filled anew, and nothing is lost', async () => {
  await using cluster = await BrokerCluster.start(3)
  const producer = kafkaOf(cluster).producer()
  await producer.connect()
  for (const { topic } of FLIPPED) {
    await makeTopicOn(cluster, topic, [1, 2, 3])
    for (const value of VALUES) await producer.send({ topic, messages: [{ value }] })
  }
  await producer.disconnect()
  // Once before, so that no journal has the batches any more.
  await killAll(cluster)
  await startAll(cluster)
  await killAll(cluster)
  for (const { topic, id, bytes } of FLIPPED) {
    const path = join(cluster.member(id).dir, `${topic}-0`, '00000000000000000000.log')
    flip(path, ...bytes)
  }
  await startAll(cluster)
  for (const { topic, id } of FLIPPED) {
    assert.equal(await readAll(cluster, topic, VALUES.length), VALUES, topic)
    const anew = new RegExp(`"partition":"${topic}-0","msg":"a damaged log is filled anew`)
    assert.match(cluster.broker(id).output, anew)
  }
})

test.run()
