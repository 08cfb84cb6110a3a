/**
 * What clients see of a leader that goes:
 *
 *   node --import tsx test/cluster/failover.ts [--cycles 5] [--how kill|pause] [--client NAME] [--request-ms N] [--kafka]
 *
 * A producer and a group of each client (java, librdkafka, franz-go, kafkajs; or of one), or the same beside three nodes of
 * Apache Kafka. With --request-ms clients wait so long for an answer, instead of as long as they do by default: what matters
 * where a leader stands still. Prints the longest times without an acknowledgement and without a record read in each cycle, and compares at
 * the end what was acknowledged and read with what is there.
 */
import { parseArgs } from 'node:util'
import { BrokerCluster } from '../lib/broker-cluster.ts'
import { KafkaCluster } from '../lib/kafka-cluster.ts'
import { Fleet } from './clients/fleet.ts'
import { CLIENTS, type ClientName } from './clients/program.ts'
import { medianAndMax, report } from './clients/report.ts'
import { failOver, type Gaps, type How } from './clients/runs.ts'

const { values } = parseArgs({
  options: {
    cycles: { type: 'string', default: '5' },
    how: { type: 'string', default: 'kill' },
    client: { type: 'string', multiple: true, default: [...CLIENTS] },
    'request-ms': { type: 'string', default: '0' },
    kafka: { type: 'boolean', default: false },
  },
})

await using cluster = await (values.kafka ? KafkaCluster.start() : BrokerCluster.start(3))
await using fleet = await Fleet.start(
  cluster,
  values.client as ClientName[],
  1,
  Number(values['request-ms']),
)
const gaps = new Map<ClientName, Gaps[]>(fleet.pairs.map(({ name }) => [name, []]))
for (let cycle = 0; cycle < Number(values.cycles); cycle++) {
  const told: string[] = []
  for (const [{ name }, seen] of await failOver(cluster, fleet, values.how as How)) {
    gaps.get(name)!.push(seen)
    told.push(`${name} ${Math.round(seen.acknowledgements)}, ${Math.round(seen.reads)}`)
  }
  console.log(`cycle ${cycle}: without an acknowledgement, a read for ms: ${told.join('; ')}`)
}
await fleet.untilWhole()
console.log('median and maximum of the cycles, in ms')
const columns = (all: readonly Gaps[]) => ({
  'no acknowledgement': medianAndMax(all.map(seen => seen.acknowledgements)),
  'no read': medianAndMax(all.map(seen => seen.reads)),
  'no read under the new leader': medianAndMax(all.map(seen => seen.goesOn)),
})
console.table(Object.fromEntries([...gaps].map(([name, all]) => [name, columns(all)])))
process.exitCode = report(await fleet.judge()) ? 0 : 1
