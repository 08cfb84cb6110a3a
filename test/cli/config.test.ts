import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Wire } from '../apis/wire.ts'
import { brokerAndProgram, type Program } from './program.ts'

const test = suite('odradek config')
let wire: Wire
let cli: Program

test.before(async () => {
  ;({ wire, cli } = await brokerAndProgram())
})
test.after(() => wire.close())

test('a topic config is set, shown with where it comes from, and taken back', async () => {
  await wire.createTopic('t')
  const get = ['config', 'get', 'topic', 't']
  assert.match(await cli.ok(get), /^All have their defaults/)
  const set = ['config', 'set', 'topic', 't', 'retention.ms=1000', 'cleanup.policy=compact,delete']
  assert.is(await cli.ok(set), 'topic t: retention.ms=1000, cleanup.policy=compact,delete\n')
  assert.match(
    await cli.ok(get),
    /^CONFIG +VALUE.*\ncleanup\.policy +compact,delete +topic +no\nretention\.ms +1000 +topic +no\n$/,
  )
  await cli.ok(['config', 'set', 'topic', 't', '--unset', 'retention.ms'])
  const [found] = await cli.json([...get, 'retention.ms'])
  assert.equal([found.value, found.source], ['604800000', 'default'])
  assert.ok((await cli.json([...get, '--all'])).length > 20)
})

test('a broker config is set for one broker and for all', async () => {
  const get = ['config', 'get', 'broker', '1', 'log.retention.ms']
  await cli.ok(['config', 'set', 'broker', '', 'log.retention.ms=5000'])
  assert.is((await cli.json(get))[0].source, 'all brokers, dynamic')
  await cli.ok(['config', 'set', 'broker', '1', 'log.retention.ms=6000'])
  const [found] = await cli.json(get)
  assert.equal([found.value, found.source], ['6000', 'broker, dynamic'])
})

test('what cannot be is refused with what is allowed', async () => {
  const config = (...args: string[]): string[] => ['config', ...args]
  await cli.fails(
    2,
    /'disk' is invalid for argument 'kind'. It must be topic, broker or group/,
    config('get', 'disk', '1'),
  )
  await cli.fails(2, /one is no broker: give its id/, config('get', 'broker', 'one'))
  await cli.fails(2, /x must be name=value/, config('set', 'topic', 't', 'x'))
  await cli.fails(2, /nothing to do/, config('set', 'topic', 't'))
  await cli.fails(1, /broker 7 is not in the cluster, which has 1/, config('get', 'broker', '7'))
  await cli.fails(1, /topic t has no config retention/, config('get', 'topic', 't', 'retention'))
  await cli.fails(1, /topic nowhere: .*UNKNOWN_TOPIC/, config('get', 'topic', 'nowhere'))
  await cli.fails(1, /topic t: .*retention\.ms/, config('set', 'topic', 't', 'retention.ms=soon'))
})

test.run()
