import { Kafka, logLevel } from 'kafkajs'

const TOPIC = 'local-cluster-check'

export interface Written {
  readonly inSync: readonly number[]
  readonly ms: number
}

/** One record with acks=all to a topic of its own, which is deleted. @throws Error of KafkaJS, when it has tried for long */
export async function writeOne(brokers: readonly string[]): Promise<Written> {
  const kafka = new Kafka({ brokers: [...brokers], logLevel: logLevel.NOTHING })
  const admin = kafka.admin()
  const producer = kafka.producer()
  await Promise.all([admin.connect(), producer.connect()])
  try {
    const topic = `${TOPIC}-${Date.now()}`
    await admin.createTopics({ topics: [{ topic, numPartitions: 1 }] })
    const began = performance.now()
    await producer.send({ topic, acks: -1, messages: [{ value: 'written by npm run cluster' }] })
    const ms = performance.now() - began
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
    await admin.deleteTopics({ topics: [topic] })
    return { inSync: topics[0]!.partitions[0]!.isr.sort((a, b) => a - b), ms }
  } finally {
    await Promise.all([admin.disconnect(), producer.disconnect()])
  }
}
