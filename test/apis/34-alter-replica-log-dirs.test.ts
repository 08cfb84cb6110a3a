import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { alterReplicaLogDirsApi } from '../../src/protocol/messages/34-alter-replica-log-dirs.ts'
import { errorsBy, versionsOf, Wire } from './wire.ts'

const test = suite('AlterReplicaLogDirs')
let wire: Wire

test.before(async () => {
  wire = await Wire.start()
  await wire.createTopic('here', 2)
})
test.after(() => wire.close())

const asked = (path: string, ...partitions: number[]) => ({
  path,
  topics: [{ name: 'here', partitions }],
})

async function move(version: number, ...dirs: ReturnType<typeof asked>[]) {
  const { results } = await wire.send(alterReplicaLogDirsApi, version, { dirs })
  assert.equal(
    results.map(({ topicName }) => topicName),
    ['here'],
  )
  return errorsBy(results[0]!.partitions, p => p.partitionIndex)
}

test('replicas are in the one folder already, and there is no other', async () => {
  const { dataDir } = wire.node
  for (const version of versionsOf(alterReplicaLogDirsApi)) {
    assert.equal(await move(version, asked(dataDir, 0, 5)), {
      0: 'NONE',
      5: 'UNKNOWN_TOPIC_OR_PARTITION',
    })
    assert.equal(await move(version, asked('/elsewhere', 0, 5)), {
      0: 'LOG_DIR_NOT_FOUND',
      5: 'LOG_DIR_NOT_FOUND',
    })
  }
})

test('what is named twice is answered once, for the folder that is named last', async () => {
  const { dataDir } = wire.node
  assert.equal(await move(2, asked('/elsewhere', 0), asked(dataDir, 0, 0)), { 0: 'NONE' })
})

test('a partition that is offline is not moved', async () => {
  wire.node.registry.partition('here', 1)!.goOffline('for the test')
  assert.equal(await move(2, asked(wire.node.dataDir, 1)), { 1: 'KAFKA_STORAGE_ERROR' })
})

test.run()
