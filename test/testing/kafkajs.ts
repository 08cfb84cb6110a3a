import kafkajs, { type Kafka } from 'kafkajs'

/** A foreign client of the broker that tries again soon. */
export function clientOf(
  broker: { readonly bootstrapServers: string },
  requestTimeout = 5_000,
): Kafka {
  return new kafkajs.Kafka({
    clientId: 'kafkajs',
    brokers: broker.bootstrapServers.split(','),
    logLevel: kafkajs.logLevel.NOTHING,
    requestTimeout,
    retry: { initialRetryTime: 20, retries: 8 },
  })
}

/** Of a consumer that notices a rebalance soon, and does not wait long in its last fetch when it is stopped. */
export const QUICK = { heartbeatInterval: 100, maxWaitTimeInMs: 100 }

/** Runs a producer that makes no topics. */
export async function produce(
  kafka: Kafka,
  topic: string,
  values: readonly string[],
): Promise<void> {
  const producer = kafka.producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner })
  await producer.connect()
  try {
    await producer.send({ topic, messages: values.map(value => ({ value })) })
  } finally {
    await producer.disconnect()
  }
}
