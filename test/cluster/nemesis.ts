/**
 * Random faults on three brokers and their etcd while producers of KafkaJS write with acks=all:
 * `node --import tsx test/cluster/nemesis.ts [--seconds 60] [--seed N]`. At the end all is healed, and everything acknowledged has
 * to be there, once and in order.
 */
import { BrokerCluster } from '../lib/broker-cluster.ts'
import { judge, Ledger, makeTopic, readAll, rest } from '../lib/cluster-ledger.ts'
import { Random } from '../lib/random.ts'

const option = (name: string, fallback: string): string => {
  const at = process.argv.indexOf(`--${name}`)
  return at === -1 ? fallback : process.argv[at + 1]!
}
const seconds = Number(option('seconds', '60'))
const seed = Number(option('seed', String(Date.now() % 1e9)))
const random = new Random(seed)
const TOPICS = ['a', 'b', 'c']
console.log(`seed ${seed}`)

const cluster = await BrokerCluster.start(3)
for (const topic of TOPICS) await makeTopic(cluster, topic)
const ledgers = await Promise.all(TOPICS.map(topic => Ledger.start(cluster, topic)))

/** Breaks something; heals it when what it returns is called. */
const FAULTS: Record<string, () => Promise<() => Promise<unknown>>> = {
  kill: async () => {
    const { id } = random.pick(cluster.members)
    await cluster.broker(id).kill()
    return () => cluster.startBroker(id)
  },
  stop: async () => {
    const { id } = random.pick(cluster.members)
    await cluster.broker(id).stop()
    return () => cluster.startBroker(id)
  },
  pause: async () => {
    const { child } = cluster.broker(random.pick(cluster.members).id)
    child.kill('SIGSTOP')
    return async () => child.kill('SIGCONT')
  },
  'kill two': async () => {
    const [one, two] = [...cluster.members].sort(() => random.next() - 0.5)
    await Promise.all([cluster.broker(one!.id).kill(), cluster.broker(two!.id).kill()])
    return async () => {
      await cluster.startBroker(two!.id)
      await cluster.startBroker(one!.id)
    }
  },
  'kill all': async () => {
    await Promise.all(cluster.members.map(({ id }) => cluster.broker(id).kill()))
    return () => Promise.all(cluster.members.map(({ id }) => cluster.startBroker(id)))
  },
  'kill etcd': async () => {
    await cluster.etcd.kill()
    return () => cluster.etcd.start()
  },
  'pause etcd': async () => {
    await cluster.etcd.pause()
    return async () => cluster.etcd.resume()
  },
}

const until = Date.now() + seconds * 1_000
const counts: Record<string, number> = {}
while (Date.now() < until) {
  const name = random.pick(Object.keys(FAULTS))
  counts[name] = (counts[name] ?? 0) + 1
  const heal = await FAULTS[name]!()
  await rest(random.pick([200, 1_500, 8_000]))
  await heal()
  await rest(random.pick([0, 500, 4_000]))
}
for (const topic of TOPICS) await cluster.untilWhole(topic)
for (const ledger of ledgers) await ledger.more(3)
for (const ledger of ledgers) await ledger.stop()
let isWrong = false
for (const [i, topic] of TOPICS.entries()) {
  const { acknowledged, errors } = ledgers[i]!
  const verdict = judge(acknowledged, await readAll(cluster, topic, acknowledged.length))
  const isRight = verdict.lost.length === 0 && verdict.doubled === 0 && verdict.isInOrder
  isWrong ||= !isRight
  console.log(
    `${topic}: ${acknowledged.length} acknowledged, ${errors.length} errors seen, ${isRight ? 'all there' : JSON.stringify(verdict)}`,
  )
}
for (const { id } of cluster.members) {
  const bad = cluster.broker(id).output.match(/.*(bug:|cannot follow).*/g) ?? []
  for (const line of bad) console.log(`broker ${id}: ${line}`)
  isWrong ||= bad.length > 0
}
console.log(JSON.stringify(counts))
await cluster[Symbol.asyncDispose]()
process.exitCode = isWrong ? 1 : 0
