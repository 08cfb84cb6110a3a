import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { BrokerCluster } from '../lib/broker-cluster.ts'
import { kafkaOf, makeTopicOn, readAll } from '../lib/cluster-ledger.ts'

const test = suite('a bit has flipped in the leader epoch of a batch, which no checksum covers')
/** In the first batch: partitionLeaderEpoch, its second byte, and its last one. */
const [HIGH, LOW] = [13, 15]
/** Of a record in the first batch: that is found when somebody reads it. */
const IN_THE_FIRST_RECORD = 75
const TOPIC = 'epochs'
const VALUES = Array.from({ length: 5 }, (_, i) => `value ${i}`)

async function write(cluster: BrokerCluster): Promise<void> {
  const producer = kafkaOf(cluster).producer()
  await producer.connect()
  for (const value of VALUES) await producer.send({ topic: TOPIC, messages: [{ value }] })
  await producer.disconnect()
}

const killAll = (cluster: BrokerCluster): Promise<unknown> =>
  Promise.all(cluster.members.map(({ broker }) => broker!.kill()))

/** While all are dead: which of them is back first leads. They have been killed before, so that no journal has the batches any more. */
async function damageAmid(cluster: BrokerCluster, id: number, bytes: number[]): Promise<void> {
  await killAll(cluster)
  await Promise.all(cluster.members.map(member => cluster.startBroker(member.id)))
  await cluster.untilWhole(TOPIC)
  await killAll(cluster)
  const path = join(cluster.member(id).dir, `${TOPIC}-0`, '00000000000000000000.log')
  const log = readFileSync(path)
  for (const at of bytes) log[at]! ^= 1
  writeFileSync(path, log)
  for (const first of [id, ...[1, 2, 3].filter(other => other !== id)]) {
    await cluster.startBroker(first)
  }
}

/**
 * The broker that was back first led by a log that said to begin in epoch 65536: the others dropped all that they had, and when it
 * found its damage, nobody had the records any more (found by test/jepsen, seed 8000).
 */
for (const [id, flipped] of [
  [1, [HIGH]],
  [1, [HIGH, IN_THE_FIRST_RECORD]],
  [3, [HIGH]],
  [1, [LOW, IN_THE_FIRST_RECORD]],
] as const) {
  test(`broker ${id} is filled anew, and nothing is lost (bytes ${flipped.join(', ')})`, async () => {
    await using cluster = await BrokerCluster.start(3)
    await makeTopicOn(cluster, TOPIC, [1, 2, 3])
    await write(cluster)
    await damageAmid(cluster, id, [...flipped])
    await cluster.untilWhole(TOPIC)
    assert.equal(await readAll(cluster, TOPIC, VALUES.length), VALUES)
    assert.match(cluster.broker(id).output, /is filled anew by its leader/)
  })
}

test.run()
