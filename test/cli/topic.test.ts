import { createServer } from 'node:net'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Wire } from '../apis/wire.ts'
import { addressOf, brokerAndProgram, type Program } from './program.ts'

const test = suite('odradek topic')
let wire: Wire
let cli: Program

test.before(async () => {
  ;({ wire, cli } = await brokerAndProgram())
})
test.after(() => wire.close())

test('create makes topics with partitions and configs, and says so', async () => {
  const args = ['topic', 'create', 'made', '-p', '3', '--config', 'retention.ms=1000']
  assert.match(await cli.ok(args), /^made created: 3 partitions, id [\w-]{22}\n$/)
  const topic = wire.node.registry.topic('made')!
  assert.is(topic.partitions.length, 3)
  const [found] = await cli.json(['topic', 'describe', 'made'])
  assert.equal(found.configs, { 'retention.ms': '1000' })
})

test('create and alter take the short forms that rpk has', async () => {
  await cli.ok('topic create as-rpk -p 2 -r 1 -c retention.ms=1000 -c segment.ms=9'.split(' '))
  await cli.ok('topic alter as-rpk -c segment.ms=10'.split(' '))
  const [found] = await cli.json(['topic', 'describe', 'as-rpk'])
  assert.equal(found.configs, { 'retention.ms': '1000', 'segment.ms': '10' })
  await cli.fails(
    1,
    /retention\.ms: it must be .* \(-1: no limit\), in ms/,
    'topic create wrong -c retention.ms=-5'.split(' '),
  )
  await cli.fails(
    1,
    /did you mean retention\.ms\?/,
    'topic create wrong -c retention.m=5'.split(' '),
  )
})

test('create refuses a topic that exists, unless told not to', async () => {
  await wire.createTopic('old', 2)
  await cli.fails(1, /topic old is not created: .*TOPIC_ALREADY_EXISTS/, ['topic', 'create', 'old'])
  const again = ['topic', 'create', 'old', '-p', '9', '--if-not-exists']
  assert.match(await cli.ok(again), /^old exists already: 2 partitions, id /)
})

test('create says which config is wrong', async () => {
  const args = ['topic', 'create', 'bad', '--config', 'retention.ms=soon']
  await cli.fails(1, /topic bad is not created: .*retention\.ms/, args)
})

test('list prints aligned columns, or JSON with the same topics', async () => {
  await wire.createTopic('a-rather-long-name', 12)
  const text = await cli.ok(['topic', 'list'])
  const [header, ...lines] = text.trimEnd().split('\n')
  assert.is(header!.trim().replaceAll(/ +/g, ' '), 'TOPIC PARTITIONS REPLICAS SIZE')
  const row = lines.find(line => line.startsWith('a-rather-long-name'))!
  assert.is(row.indexOf('12'), header!.indexOf('PARTITIONS') + 'PARTITIONS'.length - 2)
  const found = await cli.json(['topic', 'list'])
  assert.equal(
    found.map((t: { name: string }) => t.name),
    lines.map(line => line.split(' ')[0]),
  )
  assert.not.ok(text.includes('\u001b'), 'no colours where there is no terminal')
})

test('describe shows leaders and offsets of every partition', async () => {
  await wire.createTopic('known', 2)
  await wire.produceTo('known', 1, 5)
  const [found] = await cli.json(['topic', 'describe', 'known'])
  assert.equal(
    found.partitions.map((p: Record<string, number>) => [p.partition, p.leader, p.start, p.end]),
    [
      [0, 1, 0, 0],
      [1, 1, 0, 5],
    ],
  )
  const text = await cli.ok(['topic', 'describe', 'known', 'old'])
  assert.match(text, /^known {2}id [\w-]{22}\nconfigs {2}only the broker's\nPARTITION/)
  assert.match(text, /\n {8}1 +1 +1 +1 +0 +5 +5\n\nold {2}id/)
})

test('alter adds partitions, sets configs and takes them back', async () => {
  await wire.createTopic('grows', 1, { 'max.message.bytes': '5000' })
  const alter = ['topic', 'alter', 'grows', '-p', '4', '--config', 'retention.ms=2000']
  assert.is(
    await cli.ok([...alter, '--unset', 'max.message.bytes']),
    'grows: 4 partitions, retention.ms=2000, max.message.bytes unset\n',
  )
  const [found] = await cli.json(['topic', 'describe', 'grows'])
  assert.is(found.partitions.length, 4)
  assert.equal(found.configs, { 'retention.ms': '2000' })
})

test('alter refuses fewer partitions, nothing to do, and a topic that is not there', async () => {
  await wire.createTopic('stays', 3)
  await cli.fails(
    1,
    /partitions of stays: .*INVALID_PARTITIONS/,
    'topic alter stays -p 1'.split(' '),
  )
  await cli.fails(2, /nothing to do; give --partitions/, ['topic', 'alter', 'stays'])
  await cli.fails(1, /topic nowhere does not exist/, ['topic', 'alter', 'nowhere', '-p', '2'])
})

test('delete deletes what is there and says what is not', async () => {
  await wire.createTopic('gone')
  const both = await cli.run(['topic', 'delete', 'gone', 'never'])
  assert.equal(both, {
    code: 1,
    stdout: 'gone deleted\n',
    stderr: 'odradek: topic never does not exist\n',
  })
  assert.is(wire.node.registry.topic('gone'), undefined)
  assert.is(await cli.ok(['topic', 'delete', 'never', '--if-exists']), '')
})

test('what is asked for in a wrong way is refused with code 2 and what is allowed', async () => {
  await cli.fails(2, /unknown command 'topics'/, ['topics'])
  await cli.fails(2, /unknown command 'lists'/, ['topic', 'lists'])
  await cli.fails(2, /unknown option '--nonsense'/, ['topic', 'list', '--nonsense'])
  await cli.fails(2, /missing required argument 'topics'/, ['topic', 'create'])
  await cli.fails(
    2,
    /'none' is invalid. It must be a whole number, from 1/,
    'topic create x -p none'.split(' '),
  )
  await cli.fails(2, /'x:y:z' is invalid. It must be HOST:PORT/, 'topic list -b x:y:z'.split(' '))
  await cli.fails(
    2,
    /'now' is invalid. It must be a number with ms, s/,
    'topic list --timeout now'.split(' '),
  )
})

test('a broker that is not there ends with code 3 and its address, within the time that is allowed', async () => {
  await cli.fails(
    3,
    /^odradek: cannot connect to 127\.0\.0\.1:1: .*ECONNREFUSED/,
    'topic list -b 127.0.0.1:1'.split(' '),
  )
  await cli.fails(
    3,
    /cannot connect to no-such-host\.invalid:9092/,
    'topic list -b no-such-host.invalid'.split(' '),
  )
  const silent = createServer().listen(0, '127.0.0.1')
  await new Promise(resolve => silent.once('listening', resolve))
  const { port } = silent.address() as { port: number }
  const args = ['topic', 'list', '-b', `127.0.0.1:${port}`, '--timeout', '300ms']
  await cli.fails(3, /no response within 300 ms/, args)
  silent.close()
})

test('the first of several brokers that answers is used', async () => {
  await cli.ok(['topic', 'list', '-b', `127.0.0.1:1,${addressOf(wire)}`])
})

test('every command has examples and the exit codes in its help', async () => {
  for (const command of ['list', 'describe', 'create', 'alter', 'delete']) {
    const help = await cli.ok(['topic', command, '--help'])
    assert.match(help, new RegExp(`Examples:\n {2}\\$ odradek topic ${command}`))
    assert.match(help, /Exit codes: 0 done, 1 failed, 2 wrong usage, 3 cannot connect/)
  }
  assert.match(await cli.ok(['help', 'topic']), /alter/)
})

test('list shows sizes, and only the topics named if some are', async () => {
  await wire.createTopic('sized')
  await wire.produceBytes('sized', 10_000)
  const [found, ...others] = await cli.json(['topic', 'list', '^size'])
  assert.equal([found.name, others], ['sized', []])
  assert.ok(found.bytes >= 10_000, `${found.bytes}`)
  assert.match(await cli.ok(['topic', 'list', 'sized']), /\nsized +1 +1 +\d+\.\d kB\n$/)
  await cli.fails(1, /topic nowhere: UNKNOWN_TOPIC/, ['topic', 'list', 'nowhere'])
})

test('trim shows what would go, and deletes it only with --execute', async () => {
  const topic = await wire.createTopic('trimmed', 2)
  await wire.produce('trimmed', 10)
  const trim = ['topic', 'trim', 'trimmed']
  const text = await cli.ok([...trim, '-p', '0', '-o', '4'])
  assert.match(text, /\n +0 +0 +4 +4\nNothing is changed: add --execute/)
  assert.is(topic.partitions[0]!.logStartOffset, 0)
  await cli.ok([...trim, '-p', '0', '-o', '4', '--execute'])
  assert.is(topic.partitions[0]!.logStartOffset, 4)
  const done = await cli.json([...trim, '-o', '-2', '--execute'])
  assert.equal(done.partitions, [
    { partition: 0, from: 4, to: 8 },
    { partition: 1, from: 0, to: 0 },
  ])
  const none = await cli.json([...trim, '--before', '1h'])
  assert.equal(none.partitions[0], { partition: 0, from: 8, to: 8 })
  await cli.fails(2, /up to where\? give --offset or --before/, trim)
  await cli.fails(1, /has offsets 8 to 10, not 11/, [...trim, '-p', '0', '-o', '11'])
})

test('short forms do what the long ones do', async () => {
  await cli.ok(['topic', 'create', 'short'])
  await cli.ok(['produce', 'short'], { input: 'said\n' })
  assert.is(await cli.ok(['consume', 'short', '-e']), 'said\n')
  assert.match(await cli.ok(['topic', 'ls']), /^short /m)
  assert.is(await cli.ok(['topic', 'rm', 'short']), 'short deleted\n')
  assert.match(await cli.ok(['group', 'ls']), /^GROUP/)
})

test.run()
