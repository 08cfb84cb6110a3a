import type { Kafka } from 'kafkajs'

/**
 * Makes topics and waits until every partition answers: KafkaJS writes to all partitions again if one of them is not
 * there yet, and the tests count records.
 */
export async function createTopics(
  kafka: Kafka,
  partitions: Readonly<Record<string, number>>,
): Promise<void> {
  const admin = kafka.admin()
  await admin.connect()
  const topics = Object.entries(partitions)
  await admin.createTopics({
    topics: topics.map(([topic, numPartitions]) => ({ topic, numPartitions })),
    waitForLeaders: true,
  })
  for (const [topic] of topics) await admin.fetchTopicOffsets(topic)
  await admin.disconnect()
}
