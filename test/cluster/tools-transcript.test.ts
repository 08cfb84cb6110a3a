import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { BrokerCluster } from '../lib/broker-cluster.ts'
import { Steps } from './tools/steps.ts'
import { isSame, kafkaTranscript, OnPurpose } from './tools/transcripts.ts'

const test = suite("Kafka's tools on three brokers, as on three nodes of Kafka 4.3.1")
const onPurpose = new OnPurpose()
let cluster: BrokerCluster
let steps: Steps

test.before(async () => {
  cluster = await BrokerCluster.start(3)
  steps = new Steps(cluster)
})
test.after(async () => {
  steps.close()
  await cluster[Symbol.asyncDispose]()
})

for (const { title, entries } of kafkaTranscript()) {
  test(title, async () => {
    for (const { command, output } of entries) {
      const lines = await steps.run(command)
      if (!isSame(lines, output) && !onPurpose.has(command, lines)) {
        assert.equal(lines, output, command)
      }
    }
  })
}

test('what differs on purpose does differ', () => {
  assert.equal(onPurpose.unseen, [])
})

test.run()
