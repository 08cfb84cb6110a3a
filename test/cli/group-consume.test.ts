import { once } from 'node:events'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { assignRanges } from '../../src/cli/topic/assign.ts'
import type { TestBroker } from '../../src/testing/index.ts'
import { type Program, testBrokerAndProgram } from './program.ts'

const test = suite('odradek topic consume --group')
let broker: TestBroker
let cli: Program

test.before(async () => {
  ;({ broker, cli } = await testBrokerAndProgram())
})
test.after(() => broker.close())

const consume = (topic: string, group: string, ...args: string[]): Promise<string> =>
  cli.ok(['topic', 'consume', topic, '--group', group, ...args])
const valued = (...values: string[]) => values.map(value => ({ value }))
const sorted = (text: string): string[] => text.trim().split('\n').sort()

test('what is printed is committed, and the next run goes on behind it', async () => {
  await broker.seed({ once: valued('a', 'b', 'c') })
  assert.is(await consume('once', 'g', '-c', '2'), 'a\nb\n')
  assert.is(await consume('once', 'g', '-e'), 'c\n')
  assert.is(await consume('once', 'g', '-e'), '')
  const [{ state, lag }] = await cli.json(['group', 'describe', 'g'])
  assert.equal([state, lag], ['Empty', 0], 'it has left')
  assert.is(await consume('once', 'from-end', '-e', '-o', 'end'), '')
})

test('-g is --group, and -i of a list --internal, as of rpk', async () => {
  await broker.seed({ brief: valued('a') })
  assert.is(await cli.ok('consume brief -g brief -e'.split(' ')), 'a\n')
  const [{ state, lag }] = await cli.json(['group', 'describe', 'brief'])
  assert.equal([state, lag], ['Empty', 0], 'it has committed, and left')
  const names = async (...args: string[]): Promise<string[]> =>
    (await cli.json(['topic', 'list', ...args])).map(({ name }: { name: string }) => name)
  assert.ok((await names('-i')).includes('__consumer_offsets'))
  assert.not.ok((await names()).includes('__consumer_offsets'))
})

test('members share the partitions, and the rest take over what one leaves', async () => {
  await broker.seed({ shared: { partitions: 2 } })
  const [a, b] = [0, 1].map(() => cli.running('topic', 'consume', '^shared$', '--group', 'two'))
  await broker.waitForGroupStable('two', { members: 2, timeout: 15_000 })
  await broker.append('shared', [
    { value: 'p0', partition: 0 },
    { value: 'p1', partition: 1 },
  ])
  await Promise.all([a!.says('out', /p\d\n/), b!.says('out', /p\d\n/)])
  assert.equal(sorted(a!.said.out + b!.said.out), ['p0', 'p1'])
  a!.child.kill('SIGTERM')
  assert.equal(await once(a!.child, 'close'), [0, null], a!.said.err)
  await broker.append('shared', [
    { value: 'q0', partition: 0 },
    { value: 'q1', partition: 1 },
  ])
  await b!.says('out', /q\d\n[\s\S]*q\d\n/)
  b!.child.kill('SIGINT')
  assert.equal(await once(b!.child, 'close'), [0, null], b!.said.err)
  assert.equal(sorted(a!.said.out + b!.said.out), ['p0', 'p1', 'q0', 'q1'])
  const [{ lag }] = await cli.json(['group', 'describe', 'two'])
  assert.is(lag, 0)
})

test('it joins beside members of the consumer protocol', async () => {
  await broker.seed({ mixed: { partitions: 2 } })
  const other = broker.subscribe({ group: 'mixed', topics: ['mixed'] })
  const first = other[Symbol.asyncIterator]().next()
  await broker.waitForGroupStable('mixed', { members: 1 })
  const { child, said, says } = cli.running('topic', 'consume', 'mixed', '--group', 'mixed')
  await broker.waitForGroupStable('mixed', { members: 2, timeout: 15_000 })
  await broker.append('mixed', [
    { value: 'p0', partition: 0 },
    { value: 'p1', partition: 1 },
  ])
  await says('out', /p\d\n/)
  const { value } = await first
  assert.equal([said.out.trim(), value!.value!.toString()].sort(), ['p0', 'p1'])
  child.kill('SIGTERM')
  assert.equal(await once(child, 'close'), [0, null], said.err)
  await other.close()
})

test('a reader that goes away ends it, out of the group, and what it did not get is not committed', async () => {
  const values = Array.from({ length: 20_000 }, (_, i) => `${i}`.padEnd(500, '.'))
  await broker.seed({ cut: { partitions: 1 } })
  await cli.ok(['topic', 'produce', 'cut'], { input: values.join('\n') })
  const { child, said } = cli.running('topic', 'consume', 'cut', '--group', 'cut')
  await once(child.stdout, 'data')
  child.stdout.destroy()
  assert.equal(await once(child, 'exit'), [0, null])
  assert.is(said.err, '')
  const [{ state, lag }] = await cli.json(['group', 'describe', 'cut'])
  assert.is(state, 'Empty')
  assert.ok(lag === 0 || lag > 1_000, `lag ${lag}`)
})

test('it goes on over a restart of the broker', async () => {
  await broker.seed({ again: valued('one') })
  const { child, said, says } = cli.running(
    'topic',
    'consume',
    'again',
    '--group',
    'again',
    '-c',
    '2',
  )
  await says('out', /one\n/)
  await broker.restart({ crash: true })
  await broker.append('again', valued('two'))
  assert.equal(await once(child, 'close'), [0, null], said.err)
  assert.match(said.out, /one\ntwo\n$/)
})

test('as the leader it shares partitions as the range assignor of other clients does', () => {
  const subscribers = [
    { id: 'b', topics: ['t', 'u'] },
    { id: 'a', topics: ['t'] },
    { id: 'c', topics: ['u'] },
  ]
  const counts = new Map([
    ['t', 3],
    ['u', 1],
  ])
  const found = [...assignRanges(subscribers, counts)].map(([id, topics]) => [id, [...topics]])
  assert.equal(found, [
    ['a', [['t', [0, 1]]]],
    [
      'b',
      [
        ['t', [2]],
        ['u', [0]],
      ],
    ],
    ['c', []],
  ])
})

test.run()
