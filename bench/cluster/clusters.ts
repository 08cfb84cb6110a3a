import { Client } from '../../src/client/client.ts'
import { encodeBatch } from '../../src/protocol/records.ts'
import { BrokerCluster } from '../../test/lib/broker-cluster.ts'
import { cpuSecondsOf } from '../../test/lib/child.ts'
import { KafkaCluster } from '../../test/lib/kafka-cluster.ts'
import type { ProcessCluster } from '../../test/lib/process-cluster.ts'
import { produceOne } from '../../test/lib/produce-one.ts'
import { residentMb as residentMbOf } from '../beside/target.ts'
import { createTopic } from '../macro/load.ts'

const LEADERS_MS_MAX = 60_000

/** Three brokers that are measured, and all that belongs to them. */
export interface Measured {
  readonly cluster: ProcessCluster
  /** Of brokers, and of etcd. */
  readonly pids: readonly number[]
}

const brokersOf = (cluster: ProcessCluster): number[] =>
  cluster.members.map(({ broker }) => broker!.child.pid!)

/** As they are by default: flushed on each replica before an answer. */
export async function startOurs(): Promise<Measured> {
  const cluster = await BrokerCluster.start(3)
  return { cluster, pids: [...brokersOf(cluster), cluster.etcd.pid] }
}

/** As it is by default: not flushed. */
export async function startKafka(): Promise<Measured> {
  const cluster = await KafkaCluster.start()
  return { cluster, pids: brokersOf(cluster) }
}

/** CPU seconds of all processes so far. */
export const cpuSeconds = ({ pids }: Measured): number =>
  pids.reduce((sum, pid) => sum + cpuSecondsOf(pid), 0)

/** Resident memory of the largest broker, in MB. */
export const residentMb = ({ cluster }: Measured): number =>
  Math.max(...brokersOf(cluster).map(pid => residentMbOf({ pid })))

/** A topic with three replicas, all in sync. @returns the port of each partition's leader */
export async function makeTopic(
  { cluster }: Measured,
  name: string,
  numPartitions: number,
): Promise<number[]> {
  await using client = await Client.connect({ host: '127.0.0.1', port: cluster.members[0]!.port })
  await createTopic(client, name, numPartitions, {}, 3)
  const ports = (await cluster.untilWhole(name)).map(p => cluster.member(p.leaderId).port)
  for (const [index, port] of ports.entries()) await untilLed(name, index, port)
  return ports
}

/** Both know a topic before all of its leaders lead. */
export async function untilLed(topic: string, index: number, port: number): Promise<void> {
  await using client = await Client.connect({ host: '127.0.0.1', port })
  const records = await encodeBatch([{ timestamp: Date.now(), value: Buffer.from('first') }])
  const deadline = Date.now() + LEADERS_MS_MAX
  for (;;) {
    try {
      return await produceOne(client, topic, index, records)
    } catch (error) {
      if (Date.now() > deadline) throw error
    }
    await new Promise(resolve => setTimeout(resolve, 100))
  }
}
