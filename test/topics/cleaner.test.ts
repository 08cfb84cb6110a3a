import { randomBytes } from 'node:crypto'
import { readdirSync, statSync, utimesSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { listOffsetsApi } from '../../src/protocol/messages/02-list-offsets.ts'
import { deleteRecordsApi } from '../../src/protocol/messages/21-delete-records.ts'
import * as batch from '../../src/protocol/record-batch.ts'
import { encodeBatch, readRecords } from '../../src/protocol/records.ts'
import { fetchOne } from '../apis/fetching.ts'
import { Wire } from '../apis/wire.ts'

const test = suite('topics that are compacted')
let wire: Wire

const COMPACTED = {
  'cleanup.policy': 'compact',
  'segment.bytes': '1048576',
  'min.cleanable.dirty.ratio': '0.01',
}

test.before(async () => {
  // It cleans when a test says so: every 15 s it would also amid one.
  wire = await Wire.start({ logCleanerEnable: false })
})
test.after(() => wire.close())

/** Rounds of one record for each of the keys, in batches of their own; more than a segment a few rounds. */
async function write(topic: string, rounds: number, keys = 20, codec = 0): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < keys; i++) {
      const value = randomBytes(20_000)
      const key = Buffer.from(`key ${i}`)
      await wire.append(topic, [{ timestamp: 1_000 + round, key, value }], { codec })
    }
  }
}

/** All records, by walking from the first offset to the end. */
async function readAll(topic: string) {
  const found: { offset: number; key: string; value: string | null; timestamp: number }[] = []
  const { logEndOffset, logStartOffset } = wire.node.registry.partition(topic, 0)!
  for (let next = logStartOffset; next < logEndOffset; ) {
    const { records, errorCode } = await fetchOne(wire, topic, next)
    assert.is(errorCode, 0)
    assert.ok(records.length > 0, `there is something from ${next} on`)
    for (let at = 0; at < records.length; ) {
      const bytes = records.subarray(at, at + batch.batchBytes(records, at))
      at += bytes.length
      next = batch.lastOffset(bytes) + 1
      for (const { offset, key, value, timestamp } of await readRecords(bytes, 1e8)) {
        found.push({
          offset,
          key: String(key),
          value: value?.toString('base64') ?? null,
          timestamp,
        })
      }
    }
  }
  return found
}

const newestOf = (records: Awaited<ReturnType<typeof readAll>>) =>
  [...new Map(records.map(record => [record.key, record])).values()].sort(
    (a, b) => a.offset - b.offset,
  )

for (const codec of [0, 1, 2, 3, 4]) {
  test(`of every key the newest record stays, with its offset and timestamp (codec ${codec})`, async () => {
    const topic = `codec-${codec}`
    await wire.createTopic(topic, 1, COMPACTED)
    await write(topic, 8, 20, codec === 0 ? 0 : codec)
    if (codec !== 0) await write(topic, 8, 20, 0)
    const before = await readAll(topic)
    await wire.node.cleaner.clean()
    const after = await readAll(topic)
    assert.ok(after.length < before.length / 2, `${before.length} became ${after.length}`)
    assert.equal(newestOf(after), newestOf(before))
    const byOffset = new Map(before.map(record => [record.offset, record]))
    for (const record of after) assert.equal(record, byOffset.get(record.offset))
  })
}

test('it is the same after a restart, and a second compaction finds nothing to do', async () => {
  const before = await readAll('codec-0')
  wire = await wire.restart()
  assert.equal(await readAll('codec-0'), before)
  const files = filesOf('codec-0')
  await wire.node.cleaner.clean()
  assert.equal(filesOf('codec-0'), files)
})

const filesOf = (topic: string): string[] =>
  readdirSync(join(wire.node.dataDir, `${topic}-0`)).sort()

test('searches by time and by offset go on as if nothing had happened', async () => {
  const records = await readAll('codec-0')
  const ask = async (timestamp: number) => {
    const topics = [{ name: 'codec-0', partitions: [{ partitionIndex: 0, timestamp }] }]
    const { topics: found } = await wire.send(listOffsetsApi, 7, { topics })
    return found[0]!.partitions[0]!.offset
  }
  const { timestamp } = records[0]!
  assert.is(await ask(timestamp), records.find(one => one.timestamp >= timestamp)!.offset)
  assert.is(await ask(-2), 0, 'the log begins where it did')
  assert.is(
    (await fetchOne(wire, 'codec-0', 1)).errorCode,
    0,
    'an offset that is gone is not out of range',
  )
})

test('records without timestamps are as old as they were, for retention', async () => {
  await wire.createTopic('old', 1, COMPACTED)
  await write('old', 8)
  const log = (name: string) => join(wire.node.dataDir, 'old-0', name)
  const logs = () => filesOf('old').filter(name => name.endsWith('.log'))
  const [first] = logs()
  utimesSync(log(first!), 1_000, 1_000)
  const before = statSync(log(first!))
  await wire.node.cleaner.clean()
  const after = statSync(log(first!))
  assert.ok(after.size < before.size)
  assert.is(after.mtimeMs, 1_000_000)
})

test('records without a key go, as in Kafka; a topic that is not compacted keeps everything', async () => {
  await wire.createTopic('plain', 1, { ...COMPACTED, 'cleanup.policy': 'delete' })
  await write('plain', 8)
  await wire.node.cleaner.clean()
  assert.is((await readAll('plain')).length, 160)
})

test('readers that are amid a segment when it is swapped read on', async () => {
  await wire.createTopic('swapped', 1, COMPACTED)
  await write('swapped', 12)
  const partition = wire.node.registry.partition('swapped', 0)!
  const small = { maxBytes: 1, partitionMaxBytes: 1 }
  let isOver = false
  const reading = (async () => {
    const seen: number[] = []
    while (!isOver) {
      for (let next = 0; next < partition.logEndOffset; ) {
        const { records, errorCode } = await fetchOne(wire, 'swapped', next, small)
        assert.is(errorCode, 0)
        assert.is(batch.computeCrc(records), batch.storedCrc(records))
        assert.ok(batch.lastOffset(records) >= next)
        next = batch.lastOffset(records) + 1
        seen.push(next)
      }
    }
    return seen
  })()
  await wire.node.cleaner.clean()
  isOver = true
  assert.ok((await reading).length > 0)
  assert.equal(newestOf(await readAll('swapped')).length, 20)
})

test('a topic that is deleted amid its compaction, and made again, starts from nothing', async () => {
  await wire.createTopic('again', 1, COMPACTED)
  await write('again', 12)
  const topic = wire.node.registry.topic('again')!
  const cleaning = wire.node.cleaner.clean()
  await wire.node.registry.delete(topic)
  await wire.createTopic('again', 1, COMPACTED)
  await write('again', 1)
  await cleaning
  assert.is((await readAll('again')).length, 20)
  assert.equal(
    filesOf('again').filter(name => /cleaned|compaction/.test(name)),
    [],
  )
})

test('nothing is compacted from an open transaction on, and the cleaner does not try again and again', async () => {
  await wire.createTopic('open', 1, COMPACTED)
  await write('open', 3)
  const partition = wire.node.registry.partition('open', 0)!
  const record = { timestamp: 1, key: Buffer.from('key 0'), value: Buffer.from('undecided') }
  const producer = { producerId: 7, producerEpoch: 0, baseSequence: 0, transactional: true }
  // Produce takes no transactions yet: it is put into the log as an imported one would be.
  partition.append(await encodeBatch([record], producer), null, 0)
  await write('open', 9)
  const before = await readAll('open')
  await wire.node.cleaner.clean()
  const after = await readAll('open')
  const undecided = before.find(
    ({ value }) => value === Buffer.from('undecided').toString('base64'),
  )!
  const from = (records: typeof before) =>
    records.filter(({ offset }) => offset >= undecided.offset)
  assert.equal(from(after), from(before))
  assert.ok(after.length < before.length, 'what is in front of it was compacted')
})

test('records deleted from the beginning stay deleted', async () => {
  const policies = { 'cleanup.policy': 'compact,delete', 'retention.ms': '-1' }
  await wire.createTopic('cut', 1, { ...COMPACTED, ...policies })
  await write('cut', 12)
  const topics = [{ name: 'cut', partitions: [{ partitionIndex: 0, offset: 150 }] }]
  const [, deleted] = await Promise.all([
    wire.node.cleaner.clean(),
    wire.send(deleteRecordsApi, 2, { topics, timeoutMs: 1_000 }),
  ])
  assert.is(deleted.topics[0]!.partitions[0]!.errorCode, 0)
  await wire.node.cleaner.clean()
  assert.ok((await readAll('cut')).every(({ offset }) => offset >= 150))
  wire = await wire.restart()
  assert.is(wire.node.registry.partition('cut', 0)!.logStartOffset, 150)
  assert.is(newestOf(await readAll('cut')).length, 20)
})

test.run()
