import { readFileSync } from 'node:fs'
import { Client } from '../../src/client/client.ts'
import { produceApi } from '../../src/protocol/messages/00-produce.ts'
import { createTopicsApi } from '../../src/protocol/messages/19-create-topics.ts'
import { encodeBatch } from '../../src/protocol/records.ts'
import { BrokerCluster } from '../../test/lib/broker-cluster.ts'
import { KafkaCluster } from '../../test/lib/kafka-cluster.ts'
import type { ProcessCluster } from '../../test/lib/process-cluster.ts'

/** Of /proc: one CPU tick in seconds, one page in bytes. */
const TICK = 1 / 100
const PAGE = 4096
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
export function cpuSeconds({ pids }: Measured): number {
  return pids.reduce((sum, pid) => {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return sum + (Number(fields[11]) + Number(fields[12])) * TICK
  }, 0)
}

/** Resident memory of the largest broker, in MB. */
export function residentMb({ cluster }: Measured): number {
  const pages = brokersOf(cluster).map(pid =>
    Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1]),
  )
  return (Math.max(...pages) * PAGE) / 1e6
}

/** A topic with three replicas, all in sync. @returns the port of each partition's leader */
export async function makeTopic(
  { cluster }: Measured,
  name: string,
  numPartitions: number,
): Promise<number[]> {
  await using client = await Client.connect({ host: '127.0.0.1', port: cluster.members[0]!.port })
  const topic = { name, numPartitions, replicationFactor: 3 }
  const { topics } = await client.send(createTopicsApi, 5, { topics: [topic], timeoutMs: 60_000 })
  const { errorCode, errorMessage } = topics[0]!
  if (errorCode !== 0) throw new Error(`create ${name}: ${errorMessage}`)
  const ports = (await cluster.untilWhole(name)).map(p => cluster.member(p.leaderId).port)
  for (const [index, port] of ports.entries()) await untilLed(name, index, port)
  return ports
}

/** Both know a topic before all of its leaders lead. */
async function untilLed(topic: string, index: number, port: number): Promise<void> {
  await using client = await Client.connect({ host: '127.0.0.1', port })
  const records = await encodeBatch([{ timestamp: Date.now(), value: Buffer.from('first') }])
  const deadline = Date.now() + LEADERS_MS_MAX
  for (;;) {
    const topicData = [{ name: topic, partitionData: [{ index, records }] }]
    const answer = await client.send(produceApi, 8, { acks: -1, timeoutMs: 30_000, topicData })
    const code = answer.responses[0]!.partitionResponses[0]!.errorCode
    if (code === 0) return
    if (Date.now() > deadline) throw new Error(`${topic}-${index} has no leader: ${code}`)
    await new Promise(resolve => setTimeout(resolve, 100))
  }
}
