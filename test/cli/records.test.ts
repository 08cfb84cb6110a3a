import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { produceApi } from '../../src/protocol/messages/00-produce.ts'
import { deleteRecordsApi } from '../../src/protocol/messages/21-delete-records.ts'
import { commit, committed } from '../apis/grouping.ts'
import { expectError, type Wire } from '../apis/wire.ts'
import { rawBatch, rawRecords } from '../lib/odd-batch.ts'
import { brokerAndProgram, type Program } from './program.ts'

const test = suite('odradek topic produce and consume')
let wire: Wire
let cli: Program
let work: string

test.before(async () => {
  work = mkdtempSync(join(tmpdir(), 'odradek-records-'))
  ;({ wire, cli } = await brokerAndProgram())
})
test.after(async () => {
  await wire.close()
  rmSync(work, { recursive: true })
})

const produce = (topic: string, input: string | Buffer, ...args: string[]): Promise<string> =>
  cli.ok(['topic', 'produce', topic, ...args], { input })
const consume = (topic: string, ...args: string[]): Promise<string> =>
  cli.ok(['topic', 'consume', topic, '-e', ...args])
const objects = async (topic: string, ...args: string[]) =>
  (await consume(topic, '--json', ...args))
    .split('\n')
    .filter(line => line !== '')
    .map(line => JSON.parse(line))

test('every line becomes a record, in order, the last one without a line break too', async () => {
  await wire.createTopic('lines')
  assert.is(await produce('lines', 'one\ntwo\n\nfour'), '')
  assert.is(await consume('lines'), 'one\ntwo\n\nfour\n')
  assert.is(wire.node.registry.topic('lines')!.partitions[0]!.highWatermark, 4)
})

test('all codecs are written and read', async () => {
  for (const codec of ['none', 'gzip', 'snappy', 'lz4', 'zstd']) {
    const topic = `by-${codec}`
    await wire.createTopic(topic)
    const text = `${codec} `.repeat(50)
    await produce(topic, `${text}\n${text}2\n`, '-z', codec)
    assert.is(await consume(topic), `${text}\n${text}2\n`)
  }
})

test('keys, headers and nulls are taken from lines and options, and printed by kcat letters', async () => {
  await wire.createTopic('keys')
  await produce('keys', 'a:1\nb:\nno key', '-K', ':', '-H', 'x=1', '-H', 'y=2=3', '-Z')
  const format = '%t/%p/%o/%k(%K)/%s(%S)/%h/100%%\\n'
  const expected = [
    'keys/0/0/a(1)/1(1)/x=1,y=2=3/100%',
    'keys/0/1/b(1)/(-1)/x=1,y=2=3/100%',
    'keys/0/2/(-1)/no key(6)/x=1,y=2=3/100%',
  ]
  assert.is(await consume('keys', '-f', format), `${expected.join('\n')}\n`)
  assert.is(await consume('keys', '-K', '\\t'), 'a\t1\nb\t\n\tno key\n')
})

test('what consume prints as JSON, produce makes the same records of, bytes that are no text included', async () => {
  await wire.createTopic('from', 2)
  await wire.createTopic('copy', 2)
  const bytes = Buffer.from([0xff, 0x00, 0x0a, 0xfe])
  await wire.append('from', [
    { timestamp: 1234, key: Buffer.from('k'), value: Buffer.from('{"id":12345678901234567890}') },
    { timestamp: 1235, key: bytes, value: null, headers: [{ key: 'h', value: bytes }] },
    {
      timestamp: 1236,
      key: null,
      value: bytes,
      headers: [
        { key: 'h', value: null },
        { key: 'h', value: Buffer.from('2') },
      ],
    },
  ])
  await wire.produceTo('from', 1, 1)
  const printed = await consume('from', '--json')
  await produce('copy', printed, '--json')
  assert.equal(
    await objects('copy'),
    (await objects('from')).map(o => ({ ...o, topic: 'copy' })),
  )
  assert.equal((await objects('copy', '-p', '0'))[1], {
    topic: 'copy',
    partition: 0,
    offset: 1,
    timestamp: 1235,
    time: '1970-01-01T00:00:01.235Z',
    key: { base64: '/wAK/g==' },
    value: null,
    headers: [{ key: 'h', value: { base64: '/wAK/g==' } }],
  })
})

test('a JSON line may hold its value as JSON, and headers as an object', async () => {
  await wire.createTopic('json')
  const time = '2026-11-26T01:00:00.000Z'
  const input = `{"key":"k","value":{"a":[1,{}]},"headers":{"h":"1"}}\n{"time":"${time}"}`
  await produce('json', input, '--json')
  const [found, second] = await objects('json')
  assert.is(found.value, '{"a":[1,{}]}')
  assert.equal([second.timestamp, second.time], [Date.parse(time), time])
  const bad = ['topic', 'produce', 'json', '--json']
  await cli.fails(1, /line 1: time must be a time such as/, bad, { input: '{"time":"noon"}' })
  assert.equal(found.headers, [{ key: 'h', value: '1' }])
  const pretty = '{\n  "a": [\n    1,\n    {}\n  ]\n}\n'
  assert.is(await consume('json', '--pretty', '-c', '1'), pretty)
})

test('keys and values may be printed in hex and base64, and times as ISO times', async () => {
  await wire.createTopic('bytes')
  const value = Buffer.from([0xff, 0x00, 0x0a])
  await wire.append('bytes', [{ timestamp: 1, key: Buffer.from('k'), value }])
  const found = await consume('bytes', '-f', '%k{hex} %k{base64} %s{hex} %s{base64} %T{iso}\n')
  assert.is(found, '6b aw== ff000a /wAK 1970-01-01T00:00:00.001Z\n')
  await cli.fails(2, /%s\{hax\} is none of %t %p/, ['topic', 'consume', 'x', '-f', '%s{hax}'])
})

test('several topics are read, by their names and by patterns, and only the partitions asked for', async () => {
  for (const name of ['multi-a', 'multi-b', 'other-c']) {
    await wire.createTopic(name, 3)
    for (const p of [0, 1, 2]) await produce(name, `${name}/${p}\n`, '-p', String(p))
  }
  const lines = async (topic: string, ...args: string[]): Promise<string[]> =>
    (await consume(topic, ...args)).trim().split('\n').sort()
  assert.equal(await lines('multi-a', 'other-c', '-p', '1'), ['multi-a/1', 'other-c/1'])
  assert.equal(await lines('^multi-', '-t', 'other-c', '-p', '0,2'), [
    ...['multi-a/0', 'multi-a/2', 'multi-b/0', 'multi-b/2', 'other-c/0', 'other-c/2'],
  ])
  assert.equal(await lines('^other-.$', '-p', '0-1'), ['other-c/0', 'other-c/1'])
})

test('a range of offsets is read up to, and without, its end, and then it ends without -e', async () => {
  await wire.createTopic('span')
  await produce('span', '0\n1\n2\n3\n4\n')
  const span = (offset: string) => cli.ok(['topic', 'consume', 'span', '-o', offset])
  assert.is(await span('1:3'), '1\n2\n')
  assert.is(await span(':2'), '0\n1\n')
  assert.is(await span('-2:end'), '3\n4\n')
  await cli.fails(2, /FROM:TO/, ['topic', 'consume', 'span', '-o', '1:soon'])
})

test('pretty printing keeps every digit, and what is no JSON as it is', async () => {
  await wire.createTopic('pretty')
  await produce('pretty', '{"id":12345678901234567890,"s":"a:{b\\"}"}\nnot {json\n')
  const expected = '{\n  "id": 12345678901234567890,\n  "s": "a:{b\\"}"\n}\nnot {json\n'
  assert.is(await consume('pretty', '--pretty'), expected)
})

test('files are read by lines, or each as one record', async () => {
  await wire.createTopic('files')
  const [a, b] = [join(work, 'a'), join(work, 'b')]
  writeFileSync(a, '1\n2\n')
  writeFileSync(b, '3\n4')
  await cli.ok(['topic', 'produce', 'files', a, b])
  await cli.ok(['topic', 'produce', '-t', 'files', a, b, '--whole', '-k', 'file'])
  const values = (await objects('files')).map(o => [o.key, o.value])
  const lines = ['1', '2', '3', '4'].map(value => [null, value])
  assert.equal(values, [...lines, ['file', '1\n2\n'], ['file', '3\n4']])
})

test('many records of many sizes arrive in their order, in batches that the topic takes', async () => {
  await wire.createTopic('many', 3, { 'max.message.bytes': '20000' })
  const lines = Array.from({ length: 20_000 }, (_, i) => `k${i % 50}|${i}-${'x'.repeat(i % 300)}`)
  await produce('many', `${lines.join('\n')}\n`, '-K', '|')
  const found = (await consume('many', '-K', '|')).trimEnd().split('\n')
  assert.equal([...found].sort(), [...lines].sort())
  const ofKey = (all: string[]): string[] => all.filter(line => line.startsWith('k7|'))
  assert.equal(ofKey(found), ofKey(lines))
})

test('keys go to the partitions where Java clients put them', async () => {
  await wire.createTopic('spread', 4)
  await produce('spread', 'order-1:x\norder-2:x\norder-3:x\n', '-K', ':')
  const found = Object.fromEntries((await objects('spread')).map(o => [o.key, o.partition]))
  const { partitionOf } = await import('../../src/embedded/partitioner.ts')
  const expected = ['order-1', 'order-2', 'order-3'].map(k => [k, partitionOf(Buffer.from(k), 4)])
  assert.equal(found, Object.fromEntries(expected))
  await produce('spread', 'here', '-p', '3')
  assert.is(await consume('spread', '-p', '3', '-o', '-1'), 'here\n')
})

test('offsets are counted from the beginning, from the end, or given', async () => {
  await wire.createTopic('offsets')
  await produce('offsets', '0\n1\n2\n3\n4\n')
  assert.is(await consume('offsets', '-o', '3'), '3\n4\n')
  assert.is(await consume('offsets', '-o', '-2'), '3\n4\n')
  assert.is(await consume('offsets', '-o', '-99', '-c', '2'), '0\n1\n')
  assert.is(await consume('offsets', '-o', 'end'), '')
  const far = ['topic', 'consume', 'offsets', '-o', '6', '-e']
  await cli.fails(1, /offsets partition 0 has offsets 0 to 5, not 6/, far)
})

test('of a range there may be less than is asked for, in a partition that is shorter', async () => {
  await wire.createTopic('uneven', 2)
  await produce('uneven', '0\n1\n2\n3\n', '-p', '0')
  await produce('uneven', 'a\n', '-p', '1')
  assert.is(await consume('uneven', '-o', '2:4'), '2\n3\n')
  const sorted = (await consume('uneven', '-o', '0:99')).trim().split('\n').sort()
  assert.equal(sorted, ['0', '1', '2', '3', 'a'])
  const backwards = ['topic', 'consume', 'uneven', '-e', '-o', '3:1']
  await cli.fails(2, /It goes backwards: 3 is behind 1/, backwards)
})

test('stored offsets are those that a group has committed, and are left as they are', async () => {
  await wire.createTopic('stored', 2)
  await produce('stored', 'a0\na1\na2\n', '-p', '0')
  await produce('stored', 'b0\nb1\n', '-p', '1')
  await commit(wire, 'readers', 'stored', 2)
  const stored = ['-o', 'stored', '--group', 'readers']
  assert.is(await consume('stored', ...stored, '-p', '0'), 'a2\n')
  const ran = await cli.run(['topic', 'consume', 'stored', '-e', ...stored])
  assert.equal(ran.stdout.trim().split('\n').sort(), ['a2', 'b0', 'b1'])
  const note = 'group readers has committed nothing for stored partition 1: from the beginning'
  assert.is(ran.stderr, `odradek: ${note}\n`)
  assert.equal(await committed(wire, 'readers'), { 'stored-0': 2 })
  const nobody = await cli.run(['topic', 'consume', 'stored', '-eo', 'stored', '--group', 'no'])
  assert.match(nobody.stderr, /^odradek: group no has committed nothing for stored: from the begin/)
  assert.is(nobody.stdout.trim().split('\n').length, 5)
})

test('stored offsets that are deleted, or past the end, are said', async () => {
  await wire.createTopic('passed')
  await produce('passed', '0\n1\n2\n')
  await commit(wire, 'slow', 'passed', 1)
  await commit(wire, 'ahead', 'passed', 9)
  const stored = ['topic', 'consume', 'passed', '-e', '-o', 'stored', '--group']
  await cli.fails(1, /passed partition 0 ends at 3, before the committed offset 9/, [
    ...stored,
    'ahead',
  ])
  await wire.client.send(deleteRecordsApi, 2, {
    topics: [{ name: 'passed', partitions: [{ partitionIndex: 0, offset: 2 }] }],
    timeoutMs: 1000,
  })
  const ran = await cli.run([...stored, 'slow'])
  assert.equal(ran, {
    code: 0,
    stdout: '2\n',
    stderr: 'odradek: passed partition 0: offsets 1 to 1 are deleted\n',
  })
})

test('times choose records, as how long ago or as dates', async () => {
  await wire.createTopic('times')
  const now = Date.now()
  const hours = [5, 3, 1, 0]
  for (const ago of hours) {
    const record = { timestamp: now - ago * 3_600_000, value: Buffer.from(`${ago}h`) }
    await wire.append('times', [record])
  }
  assert.is(await consume('times', '--from', '4h'), '3h\n1h\n0h\n')
  assert.is(await consume('times', '--from', '4h', '--to', '30m'), '3h\n1h\n')
  const iso = new Date(now - 2 * 3_600_000).toISOString()
  assert.is(await consume('times', '--from', iso), '1h\n0h\n')
  assert.is(await consume('times', '--to', iso), '5h\n3h\n')
})

test('grep prints what matches in key or value, and -c counts only that', async () => {
  await wire.createTopic('grep')
  await produce('grep', 'k1:paid\nk2:REFUSED\nk3:paid\nrefused-4:paid\nk5:refused', '-K', ':')
  assert.is(await consume('grep', '--grep', '(?i)^refused'), 'REFUSED\npaid\nrefused\n')
  assert.is(await consume('grep', '--grep', 'paid', '-c', '2'), 'paid\npaid\n')
})

test('without -e it goes on as records come, until -c', async () => {
  await wire.createTopic('follow')
  const child = cli.spawn(['topic', 'consume', '-t', 'follow', '-c', '2'])
  const seen: string[] = []
  child.stdout.on('data', (chunk: Buffer) => seen.push(chunk.toString()))
  await wire.append('follow', [{ timestamp: 1, value: Buffer.from('first') }])
  if (seen.length === 0) await once(child.stdout, 'data')
  await wire.append('follow', [{ timestamp: 1, value: Buffer.from('second') }])
  const [code] = await once(child, 'close')
  assert.is(code, 0)
  assert.is(seen.join(''), 'first\nsecond\n')
})

test('a line that is typed is written before the input ends', async () => {
  await wire.createTopic('typed')
  const child = cli.spawn(['topic', 'produce', 'typed'])
  child.stdin.write('early\n')
  assert.is(await cli.ok('topic consume typed -c 1'.split(' ')), 'early\n')
  child.stdin.end()
  assert.equal(await once(child, 'close'), [0, null])
})

test('a rate is kept', async () => {
  await wire.createTopic('slow')
  await produce('slow', '1\n2\n3\n4\n5\n6\n', '--rate', '20')
  const times = (await objects('slow')).map(o => o.timestamp)
  assert.ok(times.at(-1) - times[0] >= 200, `${times.at(-1) - times[0]} ms for 6 records at 20/s`)
})

test('a reader that closes the pipe early ends it quietly', async () => {
  await wire.createTopic('pipe')
  await wire.produceTo('pipe', 0, 50_000)
  const child = cli.spawn(['topic', 'consume', 'pipe', '-e'])
  let err = ''
  child.stderr.on('data', chunk => (err += chunk))
  await once(child.stdout, 'data')
  child.stdout.destroy()
  assert.equal(await once(child, 'exit'), [0, null])
  assert.is(err, '')
})

test('what is before a bad line is written, and the line is named', async () => {
  await wire.createTopic('half')
  const args = ['topic', 'produce', 'half', '--json']
  const input = '{"value":"good"}\n{"value":\n'
  await cli.fails(1, /stdin line 2: .*JSON.*; 1 record acknowledged before that/, args, { input })
  assert.is(await consume('half'), 'good\n')
  await cli.fails(1, /line 1: valeu is none of topic, partition/, args, { input: '{"valeu":1}' })
  await cli.fails(1, /half has 1 partition, no 3/, args, { input: '{"partition":3}' })
})

test('what the broker refuses is said with its reason', async () => {
  await wire.createTopic('small', 1, { 'max.message.bytes': '1000' })
  const input = `fits\n${'x'.repeat(2000)}\n`
  const line = /topic small partition 0: .*MESSAGE_TOO_LARGE.*; 1 record acknowledged/
  await cli.fails(1, line, ['topic', 'produce', 'small'], { input })
})

test('a batch that cannot be read is passed over with a line that says so', async () => {
  await wire.createTopic('lying')
  await produce('lying', 'before\n')
  const record = rawRecords([{ offsetDelta: 0, key: null, value: 'in it' }])
  const lying = rawBatch(
    { count: 2, lastOffsetDelta: 1 },
    Buffer.concat([record, Buffer.alloc(9, 255)]),
  )
  const topicData = [{ name: 'lying', partitionData: [{ index: 0, records: lying }] }]
  const { responses } = await wire.send(produceApi, 9, { acks: -1, topicData })
  expectError(responses[0]!.partitionResponses[0]!, 'NONE')
  await produce('lying', 'after\n')
  const { code, stdout, stderr } = await cli.run(['topic', 'consume', 'lying', '-e'])
  assert.is(code, 0)
  assert.is(stdout, 'before\nin it\nafter\n')
  assert.match(stderr, /lying partition 0: offsets 2 to 2 cannot be read and are passed over/)
})

test('wrong usage is said with what is allowed', async () => {
  const wrong = (line: RegExp, ...args: string[]): Promise<void> =>
    cli.fails(2, line, ['topic', ...args])
  await wrong(/which topic\?/, 'consume')
  await wrong(
    /'soon' is invalid. It must be beginning, end, an offset/,
    'consume',
    'x',
    '-o',
    'soon',
  )
  await wrong(/another, or stored/, 'consume', 'x', '-o', 'soon')
  await wrong(/-o stored are offsets .* add --group/, 'consume', 'x', '-o', 'stored')
  await wrong(/only -o beginning, end or stored/, 'consume', 'x', '--group', 'g', '-o', '5')
  await wrong(/%q is none of %t %p/, 'consume', 'x', '-f', '%q')
  await wrong(
    /'yesterday' is invalid. It must be how long ago/,
    'consume',
    'x',
    '--from',
    'yesterday',
  )
  await wrong(/no regular expression of RE2/, 'consume', 'x', '--grep', '(')
  await wrong(/--to is in the future/, 'consume', 'x', '--to', '2100-01-01T00:00:00Z')
  await wrong(
    /'--from <time>' cannot be used with option '-o/,
    'consume',
    'x',
    '--from',
    '1h',
    '-o',
    '1',
  )
  await wrong(/Allowed choices are none, gzip, snappy, lz4, zstd/, 'produce', 'x', '-z', 'rar')
  await cli.fails(1, /topic nowhere does not exist/, ['topic', 'consume', 'nowhere'])
  await wrong(/numbers such as 0 or 0,2,5-7/, 'consume', 'x', '-p', '2-1')
  await wrong(/\^\(: It is no regular expression of RE2/, 'consume', '^(')
  await cli.fails(1, /no topic matches \^nowhere/, ['topic', 'consume', '^nowhere'])
  await cli.fails(1, /has no partition 7/, ['topic', 'consume', 'pipe', '-p', '7'])
  await cli.fails(1, /\/no\/file cannot be read/, ['topic', 'produce', 'x', '/no/file'])
})

test.run()
