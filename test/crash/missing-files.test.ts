import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { BrokerNode } from '../../src/broker.ts'
import { AccessHere } from '../../src/embedded/access.ts'
import { Appender } from '../../src/embedded/append.ts'
import { read } from '../../src/embedded/read.ts'

const RECORDS = 10
const PARTITIONS = 2
const SEGMENT_BYTES = 1024 * 1024
const test = suite('a data folder of which one file or folder is missing')
const root = fs.mkdtempSync(join(tmpdir(), 'odradek-missing-'))
test.after(() => fs.rmSync(root, { recursive: true }))

const start = (dataDir: string): Promise<BrokerNode> => {
  const listeners = 'PLAINTEXT://127.0.0.1:0'
  return BrokerNode.start({ code: { dataDir, listeners, 'odradek.partition.workers': 2 } })
}

/** A folder with ten acknowledged records; after a crash only the journal has them. */
async function filled(dir: string, isCrash: boolean): Promise<void> {
  const broker = await start(dir)
  await broker.registry.create('t', PARTITIONS, {})
  const appender = new Appender(new AccessHere(broker), AbortSignal.any([]))
  for (let i = 0; i < RECORDS; i++) await appender.append('t', [{ value: String(i) }])
  if (!isCrash) return broker.close()
  await broker.kill()
  for (let i = 0; i < PARTITIONS; i++) {
    fs.truncateSync(join(dir, `t-${i}`, '00000000000000000000.log'))
  }
}

/** Whether all is there, or the broker says what is not. */
async function outcomeOf(dir: string): Promise<string> {
  let broker: BrokerNode
  try {
    broker = await start(dir)
  } catch (error) {
    return (error as Error).name
  }
  try {
    const topic = broker.registry.topic('t')
    if (topic === undefined) return 'the topic is forgotten'
    if (topic.partitions.some(({ offline }) => offline !== null)) return 'offline'
    let found = 0
    const { signal } = new AbortController()
    for await (const _ of read(new AccessHere(broker), 't', { until: 'end' }, signal)) found++
    return found === RECORDS ? 'whole' : `${RECORDS - found} records are lost`
  } finally {
    await broker.close()
  }
}

for (const isCrash of [true, false]) {
  test(`after a ${isCrash ? 'crash' : 'clean stop'}: what was acknowledged is there, or missed aloud`, async () => {
    const base = join(root, isCrash ? 'crash' : 'clean')
    await filled(base, isCrash)
    const names = fs.readdirSync(base, { recursive: true, encoding: 'utf8' })
    assert.ok(names.length > 15, String(names))
    const seen = new Set<string>()
    for (const name of names) {
      const dir = join(root, 'copy')
      fs.cpSync(base, dir, { recursive: true })
      fs.rmSync(join(dir, name), { recursive: true })
      const outcome = await outcomeOf(dir)
      const isGood = ['whole', 'offline', 'DataDirError'].includes(outcome)
      assert.ok(isGood, `without ${name}: ${outcome}`)
      seen.add(outcome)
      fs.rmSync(dir, { recursive: true })
    }
    assert.is(seen.size, 3)
  })
}

test('of several segments: each that is missing takes its partition offline, if it was not empty', async () => {
  const base = join(root, 'segments')
  const broker = await start(base)
  await broker.registry.create('t', 1, { 'segment.bytes': String(SEGMENT_BYTES) })
  const appender = new Appender(new AccessHere(broker), AbortSignal.any([]))
  const value = 'v'.repeat(SEGMENT_BYTES / 3)
  for (let i = 0; i < RECORDS; i++) await appender.append('t', [{ value }])
  await broker.close()
  const logs = fs.readdirSync(join(base, 't-0')).filter(name => name.endsWith('.log'))
  assert.ok(logs.length >= 4, String(logs))
  const copies = ['checkpoint', 'checkpoint.2'].map(name => join('journal', '0', name))
  for (const name of [...logs.map(log => join('t-0', log)), ...copies]) {
    const dir = join(root, 'copy')
    fs.cpSync(base, dir, { recursive: true })
    fs.rmSync(join(dir, name))
    assert.is(await outcomeOf(dir), name.endsWith('.log') ? 'offline' : 'whole', name)
    fs.rmSync(dir, { recursive: true })
  }
})

test.run()
