import { once } from 'node:events'
import { connect } from 'node:net'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { every, guarded } from '../../src/guarded.ts'
import { apiVersionsApi } from '../../src/protocol/messages/18-api-versions.ts'
import { FairQueue } from '../../src/topics/fair-queue.ts'
import { Wire } from '../apis/wire.ts'
import { LogLines, planted } from './planted.ts'

const test = suite('an exception in a timer costs what the timer is about')
const COMPACTED = {
  ...{ 'cleanup.policy': 'compact', 'min.cleanable.dirty.ratio': '0.01', 'segment.ms': '1' },
}
let wire: Wire
let log: LogLines

test.before.each(async () => {
  wire = await Wire.start()
  log = new LogLines(wire.node)
})
test.after.each(() => wire.close())

for (const [what, fail] of [
  ['throws', planted],
  ['rejects', () => Promise.resolve().then(planted)],
] as const) {
  test(`a timer that ${what} is called again the next time`, async () => {
    let calls = 0
    await new Promise<void>(resolve => {
      const timer = every(1, wire.node.log, 'it was not done', () => {
        if (++calls === 1) return fail()
        clearInterval(timer)
        resolve()
        return undefined
      })
      // Of the event loop that is to wait for it.
      timer.ref()
    })
    log.expectOne(/^bug: it was not done/)
  })
}

test('what nobody waits for is told with what it is about', () => {
  guarded(wire.node.log, 'it was not done', { partition: 'p' }, planted)
  assert.is(log.expectOne(/^bug: it was not done/).fields.partition, 'p')
})

test('the cleaner: one log is left alone, the others are compacted', async () => {
  const { node } = wire
  for (const name of ['broken', 'other']) {
    await wire.createTopic(name, 1, COMPACTED)
    for (let i = 0; i < 3; i++) {
      // Each a second after the one before it: each begins a segment.
      const record = {
        timestamp: 1_000 * (i + 1),
        key: Buffer.from('key'),
        value: Buffer.from('v'),
      }
      await wire.append(name, [record])
    }
  }
  const broken = node.registry.partition('broken', 0)!
  Object.defineProperty(broken, 'config', { get: planted })
  await node.cleaner.clean()
  await log.has(/^compacted/)
  log.expectOne(/^bug: this log is not compacted/)
  await node.cleaner.clean()
  assert.is(log.errors.length, 0, 'it rests')
  assert.is(broken.offline, null)
})

test('retention: a worker that fails keeps it from none of the others', async () => {
  const { node } = wire
  const topic = await wire.createTopic('topic', 2, { 'segment.ms': '1', 'retention.ms': '1' })
  const [first, second] = topic.partitions
  const links = new Set([first!.worker, second!.worker])
  for (const index of [0, 1]) await wire.produceTo('topic', index, 1)
  const before = Date.now()
  while (Date.now() < before + 3) {}
  const { command } = first!.worker
  first!.worker.command = planted
  await node.registry.rounds.applyRetention().catch(() => assert.unreachable())
  if (links.size === 2) assert.is(second!.logStartOffset, 1)
  log.expectOne(/retention failed/)
  first!.worker.command = command
  await node.registry.rounds.applyRetention()
  assert.is(first!.logStartOffset, 1)
})

test('who listens to the metadata: the others are told, and it is again', async () => {
  const { store } = wire.node
  const told: string[] = []
  const { revision } = await store.list('x/')
  store.watch('x/', revision, { onChange: planted, onReset: planted })
  store.watch('x/', revision, {
    onChange: ({ changes }) => void told.push(changes[0]!.key),
    onReset: planted,
  })
  for (const [i, key] of ['x/a', 'x/b'].entries()) {
    assert.is((await store.compareAndSet(key, 0, 1)).outcome, 'applied')
    assert.is(told[i], key)
    log.expectOne(/^bug: a listener of the metadata failed/)
  }
})

test('a change that throws at once: the next one runs', async () => {
  const queue = new FairQueue()
  const failed = queue
    .run('a', planted as () => Promise<void>)
    .catch((error: Error) => error.message)
  const next = queue.run('a', async () => 'next')
  assert.equal(await Promise.all([failed, next]), ['planted', 'next'])
})

/** While it is called, nobody gets to know the options. */
async function withoutOptions(action: () => Promise<unknown>): Promise<void> {
  const { node } = wire
  const value = node.options
  Object.defineProperty(node, 'options', { get: planted, configurable: true })
  await action()
  Object.defineProperty(node, 'options', { value })
}

test('a connection that is taken costs itself', async () => {
  await withoutOptions(() => once(connect(wire.node.endpoint('PLAINTEXT')).resume(), 'close'))
  log.expectOne(/^bug: a connection could not be taken/)
  const another = await wire.connect()
  assert.is((await another.send(apiVersionsApi, 0, {})).errorCode, 0)
  await another.close()
})

test('the own work of a connection costs itself', async () => {
  const other = await wire.connect()
  await withoutOptions(async () => {
    const failed = await other.send(apiVersionsApi, 0, {}).catch(error => error.code)
    assert.is(failed, 'DISCONNECTED')
  })
  log.expectOne(/^bug: a connection failed/)
  assert.is((await wire.send(apiVersionsApi, 0, {})).errorCode, 0)
  await other.close()
})

test.run()
