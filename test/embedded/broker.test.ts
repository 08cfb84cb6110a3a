import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Broker, BrokerError, DataDirError, type ReadRecord } from '../../src/index.ts'

const test = suite('an embedded broker')
const dirs: string[] = []

function newDir(): string {
  const dir = mkdtempSync(join(tmpdir(), 'odradek-embedded-'))
  dirs.push(dir)
  return dir
}

test.after(() => {
  for (const dir of dirs) rmSync(dir, { recursive: true })
})

async function readAll(broker: Broker, topic: string): Promise<ReadRecord[]> {
  const records: ReadRecord[] = []
  for await (const record of broker.read(topic, { until: 'end' })) records.push(record)
  return records
}

const errorOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => null,
    error => error,
  )

test('appends and reads: keys, values, headers, nulls, timestamps', async () => {
  await using broker = await Broker.start({ dataDir: newDir() })
  const appended = await broker.append('orders', [
    { key: 'k', value: 'v', headers: { a: 'b', none: null }, timestamp: 1_000 },
    { key: null, value: new Uint8Array([0, 255]) },
    {},
  ])
  assert.equal(appended, [
    { partition: 0, offset: 0 },
    { partition: 0, offset: 1 },
    { partition: 0, offset: 2 },
  ])
  const [first, second, third] = await readAll(broker, 'orders')
  assert.equal(
    { ...first, key: String(first!.key), value: String(first!.value), headers: null },
    {
      topic: 'orders',
      partition: 0,
      offset: 0,
      timestamp: 1_000,
      key: 'k',
      value: 'v',
      headers: null,
    },
  )
  assert.is(String(first!.headers.a), 'b')
  assert.is(first!.headers.none, null)
  assert.equal([...second!.value!], [0, 255])
  assert.is(third!.value, null)
})

test('a record with a key goes where Java clients put it', async () => {
  await using broker = await Broker.start({ dataDir: newDir(), numPartitions: 10 })
  const [appended] = await broker.append('keys', [{ key: 'a', value: '' }])
  // Kafka's murmur2 of "a" is -1563381124, which Utils.toPositive makes 584102524.
  assert.is(appended!.partition, 584_102_524 % 10)
})

test('what was appended is there after a restart', async () => {
  const dataDir = newDir()
  const first = await Broker.start({ dataDir })
  await first.append('kept', [{ value: 'x' }])
  const { clusterId } = first
  await first.close()
  await using second = await Broker.start({ dataDir })
  assert.is(second.clusterId, clusterId)
  assert.equal(
    (await readAll(second, 'kept')).map(r => String(r.value)),
    ['x'],
  )
})

test('reading goes on as records come, and ends with the signal, without an error', async () => {
  await using broker = await Broker.start({ dataDir: newDir() })
  await broker.append('live', [{ value: '0' }])
  const stop = new AbortController()
  const seen: string[] = []
  for await (const record of broker.read('live', { signal: stop.signal })) {
    seen.push(String(record.value))
    if (seen.length === 3) stop.abort()
    else await broker.append('live', [{ value: String(seen.length) }])
  }
  assert.equal(seen, ['0', '1', '2'])
})

test('reading ends when the broker is closed', async () => {
  const broker = await Broker.start({ dataDir: newDir() })
  await broker.append('closing', [{ value: 'x' }])
  const reading = (async () => {
    let count = 0
    for await (const _ of broker.read('closing')) count++
    return count
  })()
  await broker.close()
  assert.ok((await reading) <= 1)
})

test('close is idempotent, also side by side', async () => {
  const broker = await Broker.start({ dataDir: newDir() })
  await Promise.all([broker.close(), broker.close()])
  await broker.close()
  await broker[Symbol.asyncDispose]()
})

test('a signal closes the broker; one aborted before keeps it from starting', async () => {
  const dataDir = newDir()
  const stop = new AbortController()
  const broker = await Broker.start({ dataDir, signal: stop.signal })
  stop.abort()
  await broker.close()
  const error = await errorOf(Broker.start({ dataDir, signal: stop.signal }))
  assert.is((error as Error).name, 'AbortError')
  await using again = await Broker.start({ dataDir })
  assert.ok(again.bootstrapServers)
})

test('several brokers live in one process; two on one folder do not', async () => {
  const dataDir = newDir()
  await using one = await Broker.start({ dataDir })
  await using two = await Broker.start({ dataDir: newDir() })
  assert.is.not(one.bootstrapServers, two.bootstrapServers)
  await Promise.all([one, two].map((b, i) => b.append('same', [{ value: String(i) }])))
  assert.is(String((await readAll(one, 'same'))[0]!.value), '0')
  assert.is(String((await readAll(two, 'same'))[0]!.value), '1')
  const error = await errorOf(Broker.start({ dataDir }))
  assert.instance(error, DataDirError)
  assert.match((error as Error).message, /in use by another broker in this process/)
})

test('errors carry the Kafka code: unknown topic, offset out of range, wrong partition', async () => {
  await using broker = await Broker.start({ dataDir: newDir(), autoCreateTopicsEnable: false })
  const unknown = await errorOf(broker.append('nowhere', [{ value: 'x' }]))
  assert.instance(unknown, BrokerError)
  assert.is((unknown as BrokerError).errorCode, 3)
  assert.is(((await errorOf(readAll(broker, 'nowhere'))) as BrokerError).errorCode, 3)
})

test('what is no record, and what comes after the end, is said as such', async () => {
  await using broker = await Broker.start({ dataDir: newDir() })
  const wrong: [unknown, RegExp][] = [
    [{ value: 'a' }, /^TypeError: records must be an array/],
    [
      [{ value: 'a' }, { value: 5 }],
      /^TypeError: records\[1\]\.value must be a string, bytes or null/,
    ],
    [[{ headers: { h: {} } }], /^TypeError: records\[0\]\.headers\.h must be a string/],
    [['text'], /^TypeError: records\[0\] must be an object/],
  ]
  for (const [records, message] of wrong) {
    assert.match(String(await errorOf(broker.append('wrong', records as never))), message)
  }
  assert.throws(() => broker.subscribe({ group: 'g' } as never), /topics must be an array of names/)
  await broker.close()
  assert.match(String(await errorOf(broker.append('wrong', [{}]))), /The broker is closed\./)
})

test('an offset that does not exist is an error, not silence', async () => {
  await using broker = await Broker.start({ dataDir: newDir() })
  await broker.append('short', [{ value: 'x' }])
  const reading = broker.read('short', { from: 5 }).next()
  assert.is(((await errorOf(reading)) as BrokerError).errorCode, 1)
  const partition = await errorOf(broker.append('short', [{ value: 'x', partition: 1 }]))
  assert.is((partition as BrokerError).errorCode, 3)
})

test.run()
