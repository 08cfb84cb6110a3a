import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { BrokerNode } from '../../src/broker.ts'
import { examine } from '../../src/doctor/examine.ts'
import { MemoryMetadata } from '../../src/metadata/memory.ts'
import { realFileSystem } from '../../src/storage/fs.ts'

const test = suite("the folder of a cluster's broker")
const dataDir = mkdtempSync(join(tmpdir(), 'odradek-issue-024-'))
const metadata = new MemoryMetadata()

test.after(() => rmSync(dataDir, { recursive: true }))

const start = (of: MemoryMetadata): Promise<BrokerNode> => {
  const code = {
    ...{ dataDir, 'node.id': 1, listeners: 'PLAINTEXT://127.0.0.1:0' },
    'offsets.topic.replication.factor': 1,
  }
  return BrokerNode.start({ metadata: of.connect(), code })
}

test.before(async () => {
  const broker = await start(metadata)
  await broker.registry.create('t', 2, { 'cleanup.policy': 'compact' })
  await broker.close()
})

/** An empty prefix made a new cluster of the same id, which put all partitions of the folder aside. */
test('with a prefix at which there is no cluster it is refused, and stays as it is', async () => {
  const before = readdirSync(dataDir).sort()
  assert.ok(before.includes('t-0'))
  const refusal = await start(new MemoryMetadata()).then(
    () => null,
    (error: Error) => error,
  )
  assert.match(String(refusal), /is of a broker of a cluster.* there is no cluster/)
  assert.equal(readdirSync(dataDir).sort(), before)
  const again = await start(metadata)
  assert.is(again.registry.topic('t')?.partitions.length, 2)
  await again.close()
})

/** All its partitions were called damaged, for the folder's own metadata knows no topic. */
test('doctor looks at its partitions, and finds nothing wrong', async () => {
  const { findings, topics, partitions } = await examine(realFileSystem, dataDir)
  assert.equal([topics, partitions], [1, 2])
  assert.equal(
    findings.all.filter(({ verdict }) => verdict !== 'note'),
    [],
  )
})

test.run()
