import { once } from 'node:events'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { TestBroker } from '../../src/testing/index.ts'
import { type Program, testBrokerAndProgram } from './program.ts'

const test = suite('odradek topic produce and consume over failures')
let broker: TestBroker
let cli: Program

test.before(async () => {
  ;({ broker, cli } = await testBrokerAndProgram())
})
test.after(() => broker.close())

const values = async (topic: string): Promise<string[]> => {
  const found: string[] = []
  for await (const record of broker.read(topic, { from: 'earliest', until: 'end' })) {
    found.push(record.value!.toString())
  }
  return found
}

test('consume goes on where it was when the broker is back, and says that it waited', async () => {
  await broker.seed({ back: [{ value: 'one' }] })
  const { child, said, says } = cli.running('topic', 'consume', 'back', '-c', '3')
  await says('out', /one\n/)
  await broker.restart({ crash: true })
  await broker.append('back', [{ value: 'two' }])
  await says('out', /two\n/)
  await broker.append('back', [{ value: 'three' }])
  assert.equal(await once(child, 'close'), [0, null])
  assert.is(said.out, 'one\ntwo\nthree\n')
  assert.match(
    said.err,
    /^odradek: .*: trying again for up to 2m 0s\nodradek: goes on after \d+s\n$/,
  )
})

test('produce goes on when the broker is back, and writes nothing twice and nothing in another order', async () => {
  await broker.seed({ twice: { partitions: 1 } })
  const { child, said, says } = cli.running('topic', 'produce', 'twice')
  // The answers of the first batches are lost with the connection, after the batches are written.
  broker.fault({ api: 'Produce', topic: 'twice', drop: 'answer', times: 1 })
  child.stdin.write('1\n')
  await says('err', /trying again/)
  await says('err', /goes on/)
  child.stdin.write('2\n')
  await broker.waitForMessages('twice', { count: 2 })
  await broker.restart({ crash: true })
  child.stdin.end('3\n4\n')
  assert.equal(await once(child, 'close'), [0, null], said.err)
  assert.equal(await values('twice'), ['1', '2', '3', '4'])
})

test('a leader that moves is followed', async () => {
  await broker.seed({ moved: [{ value: 'here' }] })
  broker.fault({ api: 'Fetch', topic: 'moved', error: 'NOT_LEADER_OR_FOLLOWER', times: 2 })
  broker.fault({ api: 'Produce', topic: 'moved', error: 'NOT_LEADER_OR_FOLLOWER', times: 2 })
  const read = await cli.run(['topic', 'consume', 'moved', '-e'])
  assert.equal([read.code, read.stdout], [0, 'here\n'], read.stderr)
  const lines = Array.from({ length: 50_000 }, (_, i) => `line ${i}`)
  const wrote = await cli.run(['topic', 'produce', 'moved'], { input: `${lines.join('\n')}\n` })
  assert.is(wrote.code, 0, wrote.stderr)
  assert.match(wrote.stderr, /NOT_LEADER_OR_FOLLOWER.*: trying again/)
  assert.equal(await values('moved'), ['here', ...lines])
})

test('it is given up after --wait, and what does not pass is said at once', async () => {
  await broker.seed({ gone: [{ value: 'here' }] })
  broker.fault({ api: 'Fetch', topic: 'gone', error: 'NOT_LEADER_OR_FOLLOWER', times: 1_000 })
  const late = await cli.run(['topic', 'consume', 'gone', '--wait', '300ms'])
  assert.is(late.code, 1)
  assert.match(late.stderr, /gone partition 0: NOT_LEADER_OR_FOLLOWER \(tried for 0s\)\n$/)
  await broker.reset()
  await broker.seed({ gone: [{ value: 'here' }] })
  const { child, said, says } = cli.running('topic', 'consume', 'gone')
  await says('out', /here/)
  await cli.ok(['topic', 'delete', 'gone'])
  assert.is((await once(child, 'close'))[0], 1, said.err)
  assert.match(said.err, /topic gone does not exist/)
})

test.run()
