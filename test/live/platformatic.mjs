// A @platformatic/kafka producer and admin against the broker named in the first argument; the second is the folder the
// package is installed in. Runs on the newest Node. Prints what was acknowledged as one line of JSON.
import { createRequire } from 'node:module'
import { join } from 'node:path'

const [, , broker, folder] = process.argv
const { Admin, Producer, ProduceAcks, stringSerializers } = createRequire(join(folder, 'x.js'))(
  '@platformatic/kafka',
)
const bootstrapBrokers = [broker]
const admin = new Admin({ clientId: 'live', bootstrapBrokers })
await admin.createTopics({ topics: ['platformatic'], partitions: 1, replicas: 1 })
const acknowledged = []
for (const [compression, idempotent] of [
  ['none', false],
  ['none', true],
  ['gzip', false],
  ['snappy', false],
  ['lz4', false],
  ['zstd', true],
]) {
  const producer = new Producer({
    clientId: 'live',
    bootstrapBrokers,
    serializers: stringSerializers,
    idempotent,
  })
  const messages = [0, 1, 2].map(i => ({
    topic: 'platformatic',
    key: `${i}`,
    value: `${compression} ${idempotent} ${i}`,
    headers: { n: `${i}` },
    partition: 0,
  }))
  const { offsets } = await producer.send({ messages, compression, acks: ProduceAcks.ALL })
  acknowledged.push(Number(offsets[0].offset))
  await producer.close()
}
const topics = await admin.listTopics()
await admin.deleteTopics({ topics: ['platformatic-gone'] }).catch(() => {})
await admin.close()
console.log(JSON.stringify({ acknowledged, topics }))
