/** KafkaJS as program.ts asks, with its defaults but for idempotence, which wants one request at a time and no end of retries. */
import kafkajs from 'kafkajs'

const [role, bootstrap, requestMs, topic, ...rest] = process.argv.slice(2)
const { NOTHING } = kafkajs.logLevel
const kafka = new kafkajs.Kafka({
  brokers: bootstrap!.split(','),
  logLevel: NOTHING,
  ...(requestMs !== '0' && { requestTimeout: Number(requestMs) }),
})
let isOver = false
const ended = new Promise<void>(resolve => process.stdin.resume().once('end', resolve))
ended.then(() => {
  isOver = true
})

interface At {
  readonly partition: number
  readonly offset: number
}

const say = (value: string, { partition, offset }: At, latency: number): void => {
  const now = performance.now()
  console.log(`${value} ${partition} ${offset} ${now.toFixed(1)} ${latency.toFixed(1)}`)
}
const fail = (error: unknown): void => console.log(`error ${String(error).replaceAll('\n', ' ')}`)

/** Sends of one partition that overtake each other are not put right again: each partition has one at a time, of all that is due. */
async function producePartition(
  producer: kafkajs.Producer,
  partition: number,
  partitions: number,
  rate: number,
): Promise<void> {
  const start = performance.now()
  const dueAt = (n: number): number => start + (n * 1_000) / rate
  for (let next = partition; !isOver; await new Promise(resolve => setTimeout(resolve, 5))) {
    const due: number[] = []
    for (; dueAt(next) <= performance.now(); next += partitions) due.push(next)
    if (due.length === 0) continue
    const messages = due.map(n => ({ value: `kafkajs-${n}`, partition }))
    try {
      const [{ baseOffset } = {}] = await producer.send({ topic: topic!, acks: -1, messages })
      const at = (i: number): At => ({ partition, offset: Number(baseOffset) + i })
      due.forEach((n, i) => void say(messages[i]!.value, at(i), performance.now() - dueAt(n)))
    } catch (error) {
      fail(error)
    }
  }
}

async function produce(partitions: number, rate: number): Promise<void> {
  // Made by a client it gives up after five times, where its documentation says that an idempotent one does not.
  const retry = { retries: Number.MAX_SAFE_INTEGER }
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1, retry })
  await producer.connect()
  const each = Array.from({ length: partitions }, (_, partition) =>
    producePartition(producer, partition, partitions, rate),
  )
  await Promise.all(each)
  await producer.disconnect()
}

async function consume(groupId: string): Promise<void> {
  const consumer = kafka.consumer({ groupId })
  // One that starts again by itself is not the application's business.
  consumer.on(consumer.events.CRASH, ({ payload }) => {
    if (!payload.restart) fail(payload.error)
  })
  await consumer.connect()
  await consumer.subscribe({ topics: [topic!], fromBeginning: true })
  await consumer.run({
    eachMessage: async ({ partition, message }) =>
      say(message.value!.toString(), { partition, offset: Number(message.offset) }, 0),
  })
  await ended
  await consumer.disconnect()
  // One that was about to start again does so all the same.
  process.exit()
}

await (role === 'produce' ? produce(Number(rest[0]), Number(rest[1])) : consume(rest[0]!))
