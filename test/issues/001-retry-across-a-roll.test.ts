import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { BrokerNode } from '../../src/broker.ts'
import { Client } from '../../src/client/client.ts'
import { errorName } from '../../src/protocol/error-codes.ts'
import { produceApi } from '../../src/protocol/messages/00-produce.ts'
import { initProducerIdApi } from '../../src/protocol/messages/22-init-producer-id.ts'
import { encodeBatch } from '../../src/protocol/records.ts'

/** Three of these fill a segment of 1 MiB: the fourth makes a new one. */
const VALUE_BYTES = 330_000
const BATCHES = 5

const test = suite('issue 1: retries of batches in flight when a segment was rolled, after a crash')

/**
 * An idempotent producer may have five batches in flight. If a roll came between them and the broker then crashed before
 * any was acknowledged, it sends all five again: each is a duplicate, at the offset it has.
 */
test('each of five batches sent again after a crash is known, whichever segment it is in', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'odradek-issue-'))
  const code = { listeners: 'PLAINTEXT://127.0.0.1:0', dataDir }
  const first = await BrokerNode.start({ code })
  await first.registry.create('rolling', 1, { 'segment.bytes': '1048576' })
  const batches = await producerBatches(first)
  const offsets = await sendAll(first, batches)
  await first.kill()
  const second = await BrokerNode.start({ code })
  try {
    assert.equal(await sendAll(second, batches), offsets)
  } finally {
    await second.close()
    rmSync(dataDir, { recursive: true })
  }
})

async function producerBatches(node: BrokerNode): Promise<Buffer[]> {
  await using client = await Client.connect(node.endpoint('PLAINTEXT'))
  const request = { transactionalId: null, transactionTimeoutMs: 0 }
  const { producerId } = await client.send(initProducerIdApi, 4, request)
  const sequences = Array.from({ length: BATCHES }, (_, i) => i)
  return Promise.all(
    sequences.map(baseSequence => {
      const record = { timestamp: Date.now(), value: Buffer.alloc(VALUE_BYTES, baseSequence) }
      return encodeBatch([record], { producerId, producerEpoch: 0, baseSequence })
    }),
  )
}

/** Base offsets, or the names of errors. */
async function sendAll(node: BrokerNode, batches: readonly Buffer[]): Promise<(number | string)[]> {
  await using client = await Client.connect(node.endpoint('PLAINTEXT'))
  const answers = await Promise.all(
    batches.map(records => {
      const topicData = [{ name: 'rolling', partitionData: [{ index: 0, records }] }]
      return client.send(produceApi, 9, { acks: -1, topicData })
    }),
  )
  return answers.map(({ responses }) => {
    const { errorCode, baseOffset } = responses[0]!.partitionResponses[0]!
    return errorCode === 0 ? baseOffset : errorName(errorCode)
  })
}

test.run()
