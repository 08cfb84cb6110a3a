import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  type AppendRecord,
  Broker,
  BrokerError,
  DataDirError,
  type ReadRecord,
  type StartOptions,
} from '../../src/index.ts'
import { type ErrorName, errorName } from '../../src/protocol/error-codes.ts'
import { startTestBroker } from '../../src/testing/index.ts'

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
    [[Buffer.from('x')], /^TypeError: records\[0\] must be an object/],
    // biome-ignore lint/suspicious/noSparseArray: that is what is refused
    [[{}, , {}], /^TypeError: records\[1\] must be an object/],
    [new Array(2), /^TypeError: records\[0\] must be an object/],
    [[{ headers: 'text' }], /^TypeError: records\[0\]\.headers must be an object of names/],
    [[{ headers: [['a', 'b']] }], /^TypeError: records\[0\]\.headers must be an object of names/],
    [[{ headers: new Map() }], /^TypeError: records\[0\]\.headers must be an object of names/],
    [[{ headers: null }], /^TypeError: records\[0\]\.headers must be an object of names/],
    [[{ value: '\ud800' }], /^TypeError: records\[0\]\.value must be a string.*whole characters/],
    [[{ key: 'a\udc00' }], /^TypeError: records\[0\]\.key must be a string/],
    [[{ headers: { '\ud800': 'x' } }], /^TypeError: records\[0\]\.headers must be/],
    ...[0.5, -2, Number.NaN, 2 ** 53, '5', null].map((timestamp): [unknown, RegExp] => [
      [{ timestamp }],
      /^TypeError: records\[0\]\.timestamp must be a whole number of ms from -1/,
    ]),
    ...[0.5, -1, '0', null].map((partition): [unknown, RegExp] => [
      [{ partition }],
      /^TypeError: records\[0\]\.partition must be a whole number from 0/,
    ]),
  ]
  for (const [records, message] of wrong) {
    assert.match(String(await errorOf(broker.append('wrong', records as never))), message)
  }
  assert.match(String(await errorOf(broker.append(5 as never, [{}]))), /TypeError: topic must be/)
  const subscribe = (options: unknown) => () => broker.subscribe(options as never)
  for (const [options, message] of [
    [5, /options must be an object/],
    [{ group: 'g' }, /topics must be an array of names/],
    [{ group: 'g', topics: new Array(1) }, /topics must be an array of names/],
    [{ group: '', topics: ['t'] }, /group must be a string that is not empty/],
    [{ group: '\ud800', topics: ['t'] }, /group must be a string/],
    [{ group: 'g', topics: ['t'], from: 5 }, /from must be 'earliest' or 'latest'/],
    [{ group: 'g', topics: ['t'], instanceId: 5 }, /instanceId must be a string/],
    [{ group: 'g', topics: ['t'], signal: 'no' }, /signal must be an AbortSignal/],
  ] as const) {
    assert.throws(subscribe(options), message)
  }
  for (const [options, message] of [
    [5, /options must be an object/],
    [{ from: 0.5 }, /from must be 'earliest', 'latest' or an offset, a whole number from 0/],
    [{ from: -1 }, /from must be/],
    [{ from: '0' }, /from must be/],
    [{ from: 2 ** 60 }, /from must be/],
    [{ partition: 0.5 }, /partition must be a whole number/],
    [{ until: 'now' }, /until must be 'end'/],
    [{ signal: {} }, /signal must be an AbortSignal/],
    [{ onUnreadable: 5 }, /onUnreadable must be a function/],
  ] as const) {
    assert.throws(() => broker.read('wrong', options as never), message)
  }
  await broker.close()
  assert.match(String(await errorOf(broker.append('wrong', [{}]))), /The broker is closed\./)
})

test('a start is given options by their names, and nothing else', async () => {
  const starts: [unknown, RegExp][] = [
    [5, /^TypeError: options must be an object/],
    [null, /^TypeError: options must be an object/],
    ['./data', /^TypeError: options must be an object/],
    [['numPartitions'], /^TypeError: options must be an object/],
    [{ configFile: 5 }, /^TypeError: configFile must be the path of a file/],
    [{ logger: console.log }, /^TypeError: logger must be an object/],
    [{ signal: true }, /^TypeError: signal must be an AbortSignal/],
    [
      { dataDir: newDir(), numPartitions: {} },
      /num\.partitions=what is of type object .*must be a text/,
    ],
    [{ dataDir: newDir(), listeners: new Array(1) }, /listeners=what is an array of other things/],
    [{ unref: 1 }, /^TypeError: unref must be true or false/],
    [{ numPartition: 3 }, /^TypeError: numPartition is no option: did you mean numPartitions\?$/],
    [{ 'num.partition': 3 }, /^TypeError: num\.partition is no option: .* num\.partitions\?$/],
    [{ datadir: './data' }, /^TypeError: datadir is no option: did you mean dataDir\?$/],
    [{ loger: console }, /^TypeError: loger is no option: did you mean logger\?$/],
    [{ emulate: '3.7' }, /^TypeError: emulate is no option$/],
  ]
  for (const [options, message] of starts) {
    assert.match(String(await errorOf(Broker.start(options as never))), message)
  }
})

test('a name that Kafka has had is understood in a start, though it has no effect', async () => {
  const dataDir = newDir()
  const broker = await Broker.start({
    dataDir,
    'zookeeper.connect': 'a:1',
    numPartitions: undefined,
  } as StartOptions)
  await broker.close()
})

test('a data folder that cannot be made is refused at once, with the reason', async () => {
  const file = join(newDir(), 'file')
  writeFileSync(file, '')
  const refused: [string, RegExp][] = [
    [
      '/proc/odradek/data',
      /^DataDirError: The data folder \S+ cannot be made: the file system there takes no folders \(ENOENT\)$/,
    ],
    [file, /file cannot be made: it is a file$/],
    [join(file, 'data'), /data cannot be made: ENOTDIR/],
  ]
  for (const [dataDir, message] of refused) {
    const error = await errorOf(Broker.start({ dataDir }))
    assert.instance(error, DataDirError)
    assert.match(String(error), message)
  }
})

test('an append that is under way when the broker closes is done, or ends as closed', async () => {
  for (let round = 0; round < 5; round++) {
    const dataDir = newDir()
    const broker = await Broker.start({ dataDir })
    await broker.append('t', [{ value: 'first' }])
    const appends = Array.from({ length: 50 }, (_, i) => {
      if (i === round * 10) void broker.close()
      return errorOf(
        broker.append(i % 2 === 0 ? 't' : `new-${i}`, [{ value: Buffer.alloc(10_000) }]),
      )
    })
    const errors = (await Promise.all(appends)).filter(error => error !== null)
    for (const error of errors) assert.is(String(error), 'Error: The broker is closed.')
    await broker.close()
    await using again = await Broker.start({ dataDir })
    let kept = 0
    for (const name of ['t', ...appends.map((_, i) => `new-${i}`)]) {
      const records = await readAll(again, name).catch(() => [])
      kept += records.length
    }
    assert.ok(kept >= 1 + appends.length - errors.length, 'what was done is there')
  }
})

test('an append passes the checks of Produce: keys, sizes, times, the topics of brokers', async () => {
  await using broker = await startTestBroker()
  await broker.seed({
    compacted: { configs: { 'cleanup.policy': 'compact' } },
    replicated: { configs: { 'min.insync.replicas': 2 } },
    small: { configs: { 'max.message.bytes': 1000 } },
    timed: { configs: { 'message.timestamp.before.max.ms': '1000' } },
  })
  const refused: [string, AppendRecord, ErrorName][] = [
    ['compacted', { value: 'x' }, 'INVALID_RECORD'],
    ['small', { value: Buffer.alloc(1_000) }, 'MESSAGE_TOO_LARGE'],
    ['timed', { timestamp: 5 }, 'INVALID_TIMESTAMP'],
    ['__consumer_offsets', { value: 'x' }, 'INVALID_TOPIC_EXCEPTION'],
  ]
  for (const [topic, record, name] of refused) {
    const error = await errorOf(broker.append(topic, [record]))
    assert.instance(error, BrokerError, topic)
    assert.is(errorName((error as BrokerError).errorCode), name, topic)
  }
  // Kafka asks for no more replicas than there are.
  for (const topic of ['compacted', 'replicated']) {
    assert.equal(await broker.append(topic, [{ key: 'k' }]), [{ partition: 0, offset: 0 }])
  }
})

test('a member commits where a record is, and nothing else', async () => {
  await using broker = await Broker.start({ dataDir: newDir() })
  await broker.append('committed', [{ value: 'a' }, { value: 'b' }])
  await using member = broker.subscribe({ group: 'committers', topics: ['committed'] })
  for await (const record of member) {
    const commit = (change: object): Promise<unknown> =>
      errorOf(member.commit({ ...record, ...change } as ReadRecord))
    for (const offset of [-1, -5, 0.5, 2 ** 53, '0', null, Number.NaN]) {
      assert.match(
        String(await commit({ offset })),
        /TypeError: record\.offset must be a whole number/,
      )
    }
    for (const offset of [2, 1_000_000, 2 ** 53 - 1]) {
      const error = await commit({ offset })
      assert.is((error as BrokerError).errorCode, 1, String(offset))
    }
    assert.match(String(await commit({ topic: 5 })), /TypeError: topic must be/)
    assert.match(String(await commit({ partition: -1 })), /TypeError: record\.partition/)
    assert.match(String(await errorOf(member.commit(5 as never))), /TypeError: record must be/)
    assert.is(await commit({}), null)
    break
  }
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
