/**
 * What Kafka's tools say of three brokers: node --import tsx test/cluster/tools/main.ts [--kafka]
 *
 * With --kafka the steps of kafka.txt are run on three nodes of Apache Kafka 4.3.1 and their output is written there anew: look at
 * the difference. Without it they are run on ours, and what differs from kafka.txt and not on purpose is printed.
 */
import { parseArgs } from 'node:util'
import { BrokerCluster } from '../../lib/broker-cluster.ts'
import { KafkaCluster } from '../../lib/kafka-cluster.ts'
import { formatTranscript } from '../../live/groups/transcript.ts'
import { Steps } from './steps.ts'
import { isSame, kafkaTranscript, OnPurpose, recordKafka } from './transcripts.ts'

const { values } = parseArgs({ options: { kafka: { type: 'boolean', default: false } } })
if (values.kafka) {
  await using cluster = await KafkaCluster.start()
  await recordKafka(cluster)
} else {
  await using cluster = await BrokerCluster.start(3)
  const steps = new Steps(cluster)
  const onPurpose = new OnPurpose()
  for (const { title, entries } of kafkaTranscript()) {
    const others = []
    for (const { command, output } of entries) {
      const ours = await steps.run(command)
      const isExpected = isSame(ours, output) || onPurpose.has(command, ours)
      if (!isExpected) others.push({ command, output: ours })
    }
    if (others.length > 0) console.log(formatTranscript([{ title, entries: others }]))
  }
  steps.close()
}
