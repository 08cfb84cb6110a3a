import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Client } from '../../src/client/client.ts'
import { errorName } from '../../src/protocol/error-codes.ts'
import { produceApi } from '../../src/protocol/messages/00-produce.ts'
import { createTopicsApi } from '../../src/protocol/messages/19-create-topics.ts'
import { deleteRecordsApi } from '../../src/protocol/messages/21-delete-records.ts'
import { encodeBatch } from '../../src/protocol/records.ts'
import { BrokerProcess } from '../lib/broker-process.ts'
import { Random } from '../lib/random.ts'
import { SmallDisk } from '../lib/small-disk.ts'
import { checkAll } from './consumer.ts'
import { Ledger } from './ledger.ts'
import { Producer, type Target } from './load.ts'

/** Open files a broker may have in the test of that bound: enough to start, few enough to reach. */
const FILES_MAX = 80

const test = suite('faults of the system under a live broker')
const cleanups: (() => unknown)[] = []

test.after.each(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

function newDir(): string {
  const dir = mkdtempSync(join(tmpdir(), 'odradek-fault-'))
  cleanups.push(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

async function start(options: Parameters<typeof BrokerProcess.start>[0]): Promise<BrokerProcess> {
  const broker = await BrokerProcess.start(options)
  cleanups.push(() => broker.kill())
  return broker
}

async function dial(broker: BrokerProcess): Promise<Client> {
  const client = await Client.connect({ host: '127.0.0.1', port: broker.port })
  cleanups.push(() => client.close())
  return client
}

async function createTopic(client: Client, name: string): Promise<void> {
  const topic = { name, numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] }
  const { topics } = await client.send(createTopicsApi, 5, { topics: [topic] })
  assert.is(errorName(topics[0]!.errorCode), 'NONE')
}

/** Sends one record; tells the ledger if it was acknowledged. @returns the error's name */
async function produce(client: Client, target: Target, bytes: number): Promise<string> {
  const value = Buffer.concat([Buffer.from(`${performance.now()}`), Buffer.alloc(bytes)])
  const records = await encodeBatch([{ timestamp: Date.now(), value }])
  const sent = { crc: records.readUInt32BE(17), records: 1, lane: '', place: -1, ackedAt: -1 }
  target.ledger.send(sent)
  const topicData = [{ name: target.topic, partitionData: [{ index: target.index, records }] }]
  const { responses } = await client.send(produceApi, 9, { acks: -1, topicData })
  const { errorCode, baseOffset } = responses[0]!.partitionResponses[0]!
  if (errorCode === 0) target.ledger.acknowledge(sent, baseOffset)
  return errorName(errorCode)
}

const newTarget = (topic: string): Target => ({ topic, index: 0, ledger: new Ledger(topic) })

async function expectNothingLost(broker: BrokerProcess, targets: readonly Target[]): Promise<void> {
  await checkAll(broker.port, targets)
  assert.equal(
    targets.flatMap(({ ledger }) => ledger.violations),
    [],
  )
}

function smallDisk(): SmallDisk {
  const disk = new SmallDisk(160)
  cleanups.push(() => disk[Symbol.dispose]())
  return disk
}

test('a disk that somebody else fills up: reads go on, appends resume by themselves, nothing goes offline', async () => {
  const disk = smallDisk()
  const dir = join(disk.path, 'data')
  mkdirSync(dir)
  const overrides = ['odradek.journal.bytes=8388608', 'log.segment.bytes=1048576']
  let broker = await start({ dir, overrides })
  let client = await dial(broker)
  const target = newTarget('filled')
  await createTopic(client, target.topic)
  for (let i = 0; i < 40; i++) assert.is(await produce(client, target, 100_000), 'NONE')

  const expectFull = async (): Promise<void> => {
    assert.is(await produce(client, target, 100), 'KAFKA_STORAGE_ERROR')
    const topic = { name: 'more', numPartitions: 1, replicationFactor: 1 }
    const { topics } = await client.send(createTopicsApi, 5, { topics: [topic] })
    assert.is(errorName(topics[0]!.errorCode), 'KAFKA_STORAGE_ERROR')
    await expectNothingLost(broker, [target])
  }
  const expectRoom = async (): Promise<void> => {
    const until = performance.now() + 5_000
    while ((await produce(client, target, 100)) !== 'NONE') assert.ok(performance.now() < until)
    await expectNothingLost(broker, [target])
  }

  disk.fill()
  await idleWork()
  await expectFull()
  disk.free()
  await expectRoom()

  // A start without any room, after a crash. The reserve was made at an idle moment.
  await idleWork()
  disk.fill()
  await broker.kill()
  broker = await start({ dir, overrides })
  client = await dial(broker)
  target.ledger.restart()
  await expectFull()
  // What takes records away makes room.
  const offset = 30
  const { topics } = await client.send(deleteRecordsApi, 2, {
    timeoutMs: 10_000,
    topics: [{ name: target.topic, partitions: [{ partitionIndex: 0, offset }] }],
  })
  assert.is(errorName(topics[0]!.partitions[0]!.errorCode), 'NONE')
  const segments = readdirSync(join(dir, 'filled-0')).filter(name => name.endsWith('.log'))
  assert.ok(segments.length <= 3, `${segments}`)
  disk.free()
  const until = performance.now() + 5_000
  while ((await produce(client, target, 100)) !== 'NONE') assert.ok(performance.now() < until)
  assert.not.ok(broker.output.includes('offline'), broker.output)
})

/** Workers without work do what can wait every second, the metadata store every five. */
const idleWork = (): Promise<void> => new Promise(resolve => setTimeout(resolve, 6_000))

for (const { what, bytes } of [
  { what: 'the journal', bytes: 100 },
  { what: 'a segment', bytes: 400_000 },
]) {
  test(`after a failed flush of ${what} nothing is acknowledged, and a restart has all that was`, async () => {
    assert.is(spawnSync('strace', ['-V']).status, 0, 'strace is needed: install its package')
    const dir = newDir()
    const trace = ['-f', '-qq', '-e', 'trace=fdatasync', '-o', join(newDir(), 'trace')]
    // Flushes succeed until then: the start's own, the topic's, and some of the appends.
    const inject = ['-e', 'inject=fdatasync:error=EIO:when=30+']
    const broker = await start({ dir, wrapper: ['strace', ...trace, ...inject] })
    const client = await dial(broker)
    const target = newTarget('flushes')
    await createTopic(client, target.topic)
    const answers: string[] = []
    while (!answers.includes('KAFKA_STORAGE_ERROR') && answers.length < 200) {
      answers.push(await produce(client, target, bytes))
    }
    for (let i = 0; i < 5; i++) answers.push(await produce(client, target, bytes))
    const failedAt = answers.indexOf('KAFKA_STORAGE_ERROR')
    assert.ok(failedAt > 0, 'some were acknowledged, then one was not')
    assert.equal([...new Set(answers.slice(failedAt))], ['KAFKA_STORAGE_ERROR'])
    await broker.kill()
    await killBrokerOf(dir)
    await expectNothingLost(await start({ dir }), [target])
  })
}

/** strace is what the test has started: the broker itself is named in its lock. */
async function killBrokerOf(dir: string): Promise<void> {
  const lock = join(dir, '.lock')
  if (!existsSync(lock)) return
  const pid = Number(readFileSync(lock, 'utf8').split(' ')[0])
  // It has ended by itself, and its lock names nobody.
  if (pid === 0) return
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    assert.is((error as NodeJS.ErrnoException).code, 'ESRCH')
  }
  while (existsSync(`/proc/${pid}`)) await new Promise(resolve => setTimeout(resolve, 10))
}

test('a full disk refuses appends with KAFKA_STORAGE_ERROR, serves reads, and loses nothing', async () => {
  const dir = join(smallDisk().path, 'data')
  mkdirSync(dir)
  const overrides = ['odradek.journal.bytes=8388608']
  const broker = await start({ dir, overrides })
  const client = await dial(broker)
  const target = newTarget('full')
  await createTopic(client, target.topic)
  let answer = 'NONE'
  let sent = 0
  for (; answer === 'NONE' && sent < 400; sent++) answer = await produce(client, target, 900_000)
  assert.is(answer, 'KAFKA_STORAGE_ERROR', `${sent} batches fitted`)
  assert.ok(target.ledger.ackedBatches > 20, `${target.ledger.ackedBatches} were acknowledged`)
  await expectNothingLost(broker, [target])
  await broker.kill()
  const again = await start({ dir, overrides })
  target.ledger.restart()
  await expectNothingLost(again, [target])
})

test('with too few open files connections are refused, and the broker goes on', async () => {
  assert.is(spawnSync('prlimit', ['--version']).status, 0, 'prlimit is needed: util-linux')
  const broker = await start({ dir: newDir(), wrapper: ['prlimit', `--nofile=${FILES_MAX}`] })
  const client = await dial(broker)
  const target = newTarget('files')
  await createTopic(client, target.topic)
  const sockets: Socket[] = []
  for (let i = 0; i < FILES_MAX * 2; i++) {
    const socket = connect(broker.port, '127.0.0.1')
    socket.on('error', () => {}) // refused, as it may be
    sockets.push(socket)
  }
  await new Promise(resolve => setTimeout(resolve, 300))
  assert.is(await produce(client, target, 100), 'NONE')
  for (const socket of sockets) socket.destroy()
  await new Promise(resolve => setTimeout(resolve, 300))
  assert.is(await produce(await dial(broker), target, 100), 'NONE')
  assert.not.ok(broker.hasEnded)
})

test('SIGTERM under load ends it within 5 s with code 0, clean, and loses nothing', async () => {
  const dir = newDir()
  const broker = await start({ dir })
  const target = newTarget('stopped')
  await createTopic(await dial(broker), target.topic)
  const producer = new Producer('p', true, [target], new Random(3))
  const load = producer.run(broker.port)
  await new Promise(resolve => setTimeout(resolve, 500))
  const { code, ms } = await broker.stop()
  await load
  assert.is(code, 0)
  assert.ok(ms < 5_000, `${ms} ms`)
  assert.ok(readdirSync(dir).includes('.kafka_cleanshutdown'))
  assert.ok(target.ledger.ackedBatches > 10)
  await expectNothingLost(await start({ dir }), [target])
})

test.run()
