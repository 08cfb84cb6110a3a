import kafkajs from 'kafkajs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { GroupBroker } from './groups/broker.ts'
import { GroupTools } from './groups/transcript.ts'
import { kafkaTool, lines } from './tools.ts'

const CONSUMER = 'org.apache.kafka.tools.consumer.ConsoleConsumer'
const values = Array.from({ length: 12 }, (_, i) => `value ${i}`)

const test = suite('kafka-console-consumer in a group')
const prefix = `console-${Date.now().toString(36)}-`
let broker: GroupBroker
let tools: GroupTools

test.before(async () => {
  broker = await GroupBroker.start()
  tools = new GroupTools({ address: broker.address, prefix, values: {} })
  const logLevel = kafkajs.logLevel.NOTHING
  const producer = new kafkajs.Kafka({ brokers: [broker.address], logLevel }).producer()
  await producer.connect()
  await producer.send({ topic: `${prefix}topic`, messages: values.map(value => ({ value })) })
  await producer.disconnect()
})
test.after(async () => {
  tools.close()
  await broker.close()
})

for (const protocol of ['classic', 'consumer']) {
  test(`it goes on where it has stopped, ${protocol}`, async () => {
    const consume = async (count: number) => {
      const { stdout } = await kafkaTool(CONSUMER, [
        ...['--bootstrap-server', broker.address, '--topic', `${prefix}topic`],
        ...['--group', `${prefix}${protocol}`, '--from-beginning'],
        ...['--command-property', `group.protocol=${protocol}`],
        ...['--max-messages', String(count), '--timeout-ms', '30000'],
      ])
      return lines(stdout)
    }
    assert.equal(await consume(5), values.slice(0, 5))
    assert.equal(await consume(7), values.slice(5))
    const [, , row] = await tools.run(`kafka-consumer-groups --describe --group @${protocol}`)
    assert.is(row, `@${protocol} @topic 0 12 12 0 - - -`)
    const deleted = await tools.run(`kafka-consumer-groups --delete --group @${protocol}`)
    assert.match(deleted[0]!, /was successful/)
  })
}

test.run()
