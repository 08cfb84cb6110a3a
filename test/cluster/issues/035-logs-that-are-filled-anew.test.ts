import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { BrokerCluster } from '../../lib/broker-cluster.ts'
import { kafkaOf, makeTopicOn, readAll } from '../../lib/cluster-ledger.ts'
import { flip } from '../../lib/flip.ts'
import { until } from '../../lib/until.ts'

const test = suite('a log that was damaged and is filled anew')
const TOPIC = 'rotten'
const [FIRST, SECOND] = [1, 2]
/** Behind the header of the first batch. */
const IN_THE_FIRST_RECORD = 75
const OPTIONS = ['odradek.scrub.interval.ms=300', 'leader.imbalance.check.interval.seconds=1']

/**
 * Its file had been opened before, and was read on under the same name: consumers got the damaged one, and whoever looks for damage
 * put one sound log aside after the other (found by test/jepsen, seed 6007).
 */
test('it is what is read from then on', async () => {
  await using cluster = await BrokerCluster.start(3, OPTIONS)
  await makeTopicOn(cluster, TOPIC, [FIRST, SECOND])
  const producer = kafkaOf(cluster).producer()
  await producer.connect()
  const values = Array.from({ length: 20 }, (_, i) => `value ${i}`)
  for (const value of values) await producer.send({ topic: TOPIC, messages: [{ value }] })
  await producer.disconnect()
  assert.equal(await readAll(cluster, TOPIC, values.length), values)

  const { dir } = cluster.member(FIRST)
  const aside = () => readdirSync(dir).filter(name => name.endsWith('-stray')).length
  flip(join(dir, `${TOPIC}-0`, '00000000000000000000.log'), IN_THE_FIRST_RECORD)
  await until(() => aside() > 0, 20_000)
  await cluster.until(TOPIC, ([p]) => p!.leaderId === FIRST && p!.isrNodes.length === 2)
  assert.equal(await readAll(cluster, TOPIC, values.length, 'later'), values)
  // It has been looked at again by then.
  const rounds = () => cluster.broker(FIRST).output.split('is filled anew').length - 1
  const seen = rounds()
  await new Promise(resolve => setTimeout(resolve, 2_500))
  assert.equal([rounds(), aside()], [seen, 1])
})

test.run()
