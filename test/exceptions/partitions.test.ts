import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { errorName } from '../../src/protocol/error-codes.ts'
import { produceApi } from '../../src/protocol/messages/00-produce.ts'
import { encodeBatch } from '../../src/protocol/records.ts'
import type { Partition } from '../../src/topics/partition.ts'
import { fetchOne } from '../apis/fetching.ts'
import { Wire } from '../apis/wire.ts'
import { LogLines, planted } from './planted.ts'

const test = suite('an exception in the main thread about one partition costs that partition')
let wire: Wire
let log: LogLines

test.before.each(async () => {
  wire = await Wire.start({ partitionWorkers: 1 })
  await wire.createTopic('broken')
  await wire.createTopic('other')
  log = new LogLines(wire.node)
})
test.after.each(() => wire.close())

const partitionOf = (topic: string): Partition => wire.node.registry.partition(topic, 0)!

const batch = () => encodeBatch([{ timestamp: Date.now(), value: Buffer.from('value') }])

async function produce(topic: string): Promise<string> {
  const topicData = [{ name: topic, partitionData: [{ index: 0, records: await batch() }] }]
  const { responses } = await wire.send(produceApi, 9, { acks: -1, topicData })
  return errorName(responses[0]!.partitionResponses[0]!.errorCode)
}

/** It is offline, others go on, and the next start brings it back. */
async function costsThePartition(records: number): Promise<void> {
  assert.is(partitionOf('broken').offline, 'planted')
  assert.is(await produce('broken'), 'KAFKA_STORAGE_ERROR')
  assert.is((await fetchOne(wire, 'broken', 0)).error, 'KAFKA_STORAGE_ERROR')
  assert.is(await produce('other'), 'NONE')
  log.expectOne(/^bug: partition is offline/)
  wire = await wire.restart()
  assert.is(await produce('broken'), 'NONE')
  assert.is(partitionOf('broken').logEndOffset, records + 1)
}

test('when an append is complete: it is acknowledged, for it is durable', async () => {
  assert.is(await produce('broken'), 'NONE')
  partitionOf('broken').onCompletion = planted
  assert.is(await produce('broken'), 'NONE')
  await costsThePartition(2)
})

test('when what its worker says of it is taken over', async () => {
  for (const topic of ['broken', 'other']) {
    assert.is(await produce(topic), 'NONE')
    await wire.node.registry.setConfigs(wire.node.registry.topic(topic)!, () => ({
      'segment.ms': '1',
      'retention.ms': '1',
    }))
  }
  partitionOf('broken').update = planted
  const before = Date.now()
  while (Date.now() < before + 3) {}
  await wire.node.registry.rounds.applyRetention()
  assert.is(partitionOf('other').logStartOffset, 1)
  await costsThePartition(1)
})

test('in its worker: the stack is in the log', async () => {
  assert.is(await produce('broken'), 'NONE')
  const { handle, worker } = partitionOf('broken')
  const { stack } = new TypeError('planted')
  worker.onOffline({ event: 'offline', handle, reason: 'planted', stack: stack! })
  await costsThePartition(1)
})

test('whoever waits for an append costs itself: its outcome is unknown to it', async () => {
  const records = await batch()
  const told: string[] = []
  const bad = { onAppended: planted, onWorkerLost: () => told.push('unknown') }
  const done = new Promise<void>(resolve => {
    const good = { onAppended: () => resolve(), onWorkerLost: planted }
    partitionOf('broken').append(records, bad, 0)
    partitionOf('broken').append(records, good, 0)
  })
  await done
  assert.equal(told, ['unknown'])
  log.expectOne(/^bug: who waited for an append could not be told/)
  assert.is(await produce('broken'), 'NONE')
})

test('whoever listens to a partition costs itself', async () => {
  let heard = 0
  partitionOf('broken').listen(planted)
  partitionOf('broken').listen(() => heard++)
  for (let i = 0; i < 3; i++) assert.is(await produce('broken'), 'NONE')
  assert.is(heard, 3)
  log.expectOne(/^bug: a listener of appends failed/)
})

test('whoever is told of deleted topics: the topic is deleted', async () => {
  const { registry } = wire.node
  registry.whenDeleted(planted)
  await registry.delete(registry.topic('broken')!)
  log.expectOne(/^bug: a listener of deletions failed/)
  await wire.createTopic('broken')
  assert.is(await produce('broken'), 'NONE')
})

test.run()
