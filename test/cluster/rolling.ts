/**
 * A rolling restart under four clients: `npm run test:rolling -- [--rounds 1] [--kafka]`. Three brokers, or nodes of Apache
 * Kafka, are stopped one after the other, started again and waited for while a producer and a group of each client work.
 */
import { parseArgs } from 'node:util'
import { BrokerCluster } from '../lib/broker-cluster.ts'
import { KafkaCluster } from '../lib/kafka-cluster.ts'
import { Fleet } from './clients/fleet.ts'
import { CLIENTS } from './clients/program.ts'
import { latencyOf, report } from './clients/report.ts'
import { rollOnce } from './clients/runs.ts'

/** Records of each client by which its latency before is known. */
const BEFORE = 1_000

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '1' },
    kafka: { type: 'boolean', default: false },
  },
})

await using cluster = await (values.kafka ? KafkaCluster.start() : BrokerCluster.start(3))
await using fleet = await Fleet.start(cluster, CLIENTS, 6)
/** How many records each program has got. */
const counts = () =>
  fleet.pairs.map(({ producer, consumer }) => ({
    acknowledged: producer.entries.length,
    read: consumer.entries.length,
  }))
// Not what comes while programs start.
const started = counts()
await fleet.more(BEFORE)
const warm = counts()
const start = performance.now()
for (let round = 0; round < Number(values.rounds); round++) {
  await rollOnce(cluster, fleet)
  console.log(`round ${round} over after ${Math.round((performance.now() - start) / 1_000)} s`)
}
const columns = fleet.pairs.map(({ name, producer: { entries }, consumer }, i) => {
  const { acknowledged, read } = warm[i]!
  const during = entries.slice(acknowledged)
  return [
    name,
    {
      'p99 before': latencyOf(entries.slice(started[i]!.acknowledged, acknowledged), 99),
      'p99 while it lasts': latencyOf(during, 99),
      longest: latencyOf(during, 100),
      'no read for': Math.round(consumer.gapSince(read)),
    },
  ] as const
})
console.log('time to an acknowledgement, and the longest time without a read, in ms')
console.table(Object.fromEntries(columns))
process.exitCode = report(await fleet.judge()) ? 0 : 1
