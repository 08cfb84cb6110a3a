/**
 * A rolling restart under four clients: `npm run test:rolling -- [--rounds 1] [--kafka]`. Three brokers, or nodes of Apache
 * Kafka, are stopped one after the other, started again and waited for while a producer and a group of each client work.
 */
import { parseArgs } from 'node:util'
import { BrokerCluster } from '../lib/broker-cluster.ts'
import { KafkaCluster } from '../lib/kafka-cluster.ts'
import { Fleet } from './clients/fleet.ts'
import { CLIENTS } from './clients/program.ts'
import { p99Of, report } from './clients/report.ts'
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
const producers = fleet.pairs.map(({ producer }) => producer)
// Not what comes while programs start.
const started = producers.map(({ entries }) => entries.length)
await fleet.more(BEFORE)
const warm = producers.map(({ entries }) => entries.length)
const start = performance.now()
for (let round = 0; round < Number(values.rounds); round++) {
  await rollOnce(cluster, fleet)
  console.log(`round ${round} over after ${Math.round((performance.now() - start) / 1_000)} s`)
}
const columns = producers.map(({ name, entries }, i) => {
  const before = p99Of(entries.slice(started[i], warm[i]))
  const during = entries.slice(warm[i])
  const longest = Math.round(Math.max(...during.map(({ latency }) => latency)))
  return [name, { 'p99 before': before, 'p99 while it lasts': p99Of(during), longest }] as const
})
console.log('time to an acknowledgement, in ms')
console.table(Object.fromEntries(columns))
process.exitCode = report(await fleet.judge()) ? 0 : 1
