import { statSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { describeLogDirsApi } from '../../src/protocol/messages/35-describe-log-dirs.ts'
import { expectError, versionsOf, Wire } from './wire.ts'

const test = suite('DescribeLogDirs')
let wire: Wire

test.before(async () => {
  wire = await Wire.start()
  await wire.createTopic('one', 2)
  await wire.createTopic('two')
  await wire.produce('one', 10)
})
test.after(() => wire.close())

type Asked = { topic: string; partitions: number[] }[] | null

async function describe(topics: Asked, version = 5) {
  const answer = await wire.send(describeLogDirsApi, version, { topics })
  expectError(answer, 'NONE')
  assert.is(answer.results.length, 1)
  return answer.results[0]!
}

/** Partition numbers by topic. */
async function shown(topics: Asked) {
  const { topics: found } = await describe(topics)
  return found.map(({ name, partitions }) => [name, ...partitions.map(p => p.partitionIndex)])
}

test('every version tells the folder and the bytes of each log', async () => {
  const bytes = statSync(join(wire.node.dataDir, 'one-0', '00000000000000000000.log')).size
  assert.ok(bytes > 100)
  for (const version of versionsOf(describeLogDirsApi)) {
    const result = await describe([{ topic: 'one', partitions: [0, 1] }], version)
    expectError(result, 'NONE')
    assert.is(result.logDir, wire.node.dataDir)
    assert.not(result.isCordoned)
    const sizes = result.topics[0]!.partitions.map(p => [p.partitionSize, p.offsetLag])
    assert.equal(sizes, [
      [bytes, 0],
      [0, 0],
    ])
    if (version < 4) assert.is(result.totalBytes, -1)
    else assert.ok(result.totalBytes > result.usableBytes && result.usableBytes > 0)
  }
})

test('null means all topics, an empty list none', async () => {
  assert.equal(await shown(null), [
    ['one', 0, 1],
    ['two', 0],
  ])
  assert.equal(await shown([]), [])
})

test('what does not exist is left out, what is asked twice shown once', async () => {
  const asked = [
    { topic: 'nope', partitions: [0] },
    { topic: 'a b', partitions: [0] },
    { topic: 'two', partitions: [] },
    { topic: 'one', partitions: [1, 9, -1, 1] },
    { topic: 'one', partitions: [0, 1] },
  ]
  assert.equal(await shown(asked), [['one', 1, 0]])
})

test('an offline log is still listed', async () => {
  const offline = await wire.createTopic('offline')
  offline.partitions[0]!.goOffline('for the test')
  assert.equal(await shown([{ topic: 'offline', partitions: [0] }]), [['offline', 0]])
})

test('a volume that cannot be asked is a storage error of the folder', async () => {
  const lone = await Wire.start()
  const { dataDir } = lone.node
  try {
    Object.defineProperty(lone.node, 'dataDir', { value: join(dataDir, 'gone') })
    const { results } = await lone.send(describeLogDirsApi, 5, { topics: null })
    expectError(results[0]!, 'KAFKA_STORAGE_ERROR')
  } finally {
    await lone.close()
  }
})

test.run()
