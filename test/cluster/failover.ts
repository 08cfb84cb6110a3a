/**
 * What a producer of KafkaJS (acks=all, idempotent) sees of a leader that goes: `node --import tsx test/cluster/failover.ts
 * [--cycles 5] [--how kill|pause]`. Prints the gap in acknowledgements of each cycle, and compares at the end what was
 * acknowledged with what is there.
 */
import { Kafka, logLevel } from 'kafkajs'
import { BrokerCluster } from '../lib/broker-cluster.ts'

const option = (name: string, fallback: string): string => {
  const at = process.argv.indexOf(`--${name}`)
  return at === -1 ? fallback : process.argv[at + 1]!
}
const cycles = Number(option('cycles', '5'))
const how = option('how', 'kill')
const topic = 'ledger'

const cluster = await BrokerCluster.start(3)
const kafka = new Kafka({
  brokers: cluster.bootstrap.split(','),
  logLevel: logLevel.WARN,
  retry: { initialRetryTime: 50, maxRetryTime: 200, retries: 200 },
  requestTimeout: 3_000,
})
const admin = kafka.admin()
await admin.connect()
await admin.createTopics({ topics: [{ topic, numPartitions: 1, replicationFactor: 3 }] })
await cluster.untilWhole(topic)
const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
await producer.connect()
const acknowledged: string[] = []
let lastAt = performance.now()
let gap = 0
let isOver = false
let next = 0
const sending = (async () => {
  while (!isOver) {
    const value = String(next++)
    await producer.send({ topic, acks: -1, messages: [{ value, partition: 0 }] })
    acknowledged.push(value)
    gap = Math.max(gap, performance.now() - lastAt)
    lastAt = performance.now()
  }
})()
sending.catch(() => {})
const rest = (ms: number) => new Promise(resolve => setTimeout(resolve, ms))
await rest(1_000)
const gaps: number[] = []
for (let cycle = 0; cycle < cycles; cycle++) {
  const [partition] = await cluster.untilWhole(topic)
  const { leaderId } = partition!
  gap = 0
  lastAt = performance.now()
  const broker = cluster.broker(leaderId)
  if (how === 'kill') await broker.kill()
  else broker.child.kill('SIGSTOP')
  const other = cluster.members.find(({ id }) => id !== leaderId)!.id
  await cluster.until(topic, ([p]) => p!.leaderId !== leaderId && p!.leaderId !== -1, other)
  const before = acknowledged.length
  const deadline = Date.now() + 30_000
  while (acknowledged.length < before + 5 && Date.now() < deadline) await rest(20)
  gaps.push(Math.round(gap))
  console.log(`cycle ${cycle}: leader ${leaderId} gone, gap ${Math.round(gap)} ms`)
  if (how === 'kill') await cluster.startBroker(leaderId)
  else broker.child.kill('SIGCONT')
}
await cluster.untilWhole(topic)
isOver = true
await sending
const consumer = kafka.consumer({ groupId: 'reader' })
await consumer.connect()
await consumer.subscribe({ topics: [topic], fromBeginning: true })
const found: string[] = []
await consumer.run({
  eachMessage: async ({ message }) => void found.push(message.value!.toString()),
})
const deadline = Date.now() + 20_000
while (found.length < acknowledged.length && Date.now() < deadline) await rest(50)
const there = new Set(found)
const lost = acknowledged.filter(value => !there.has(value))
console.log(
  `${acknowledged.length} acknowledged, ${lost.length} lost, ${found.length - there.size} twice; gaps ${gaps.sort((a, b) => a - b)}`,
)
await Promise.all([consumer.disconnect(), producer.disconnect(), admin.disconnect()])
await cluster[Symbol.asyncDispose]()
process.exitCode = lost.length > 0 || found.length > there.size ? 1 : 0
