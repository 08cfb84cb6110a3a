import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Client } from '../../src/client/client.ts'
import type { ConfigValues } from '../../src/configs/definition.ts'
import { produceApi } from '../../src/protocol/messages/00-produce.ts'
import { fetchApi } from '../../src/protocol/messages/01-fetch.ts'
import { metadataApi } from '../../src/protocol/messages/03-metadata.ts'
import { apiVersionsApi } from '../../src/protocol/messages/18-api-versions.ts'
import { encodeBatch } from '../../src/protocol/records.ts'
import { Wire } from '../apis/wire.ts'

/** The broker looks for idle connections every 10 s. */
const IDLE_CLOSE_MS_MAX = 12_000
const MIB = 1024 * 1024

const test = suite('connections')
const cleanups: (() => unknown)[] = []

test.after.each(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function start(options: Parameters<typeof Wire.start>[0] = {}): Promise<Wire> {
  const wire = await Wire.start(options)
  cleanups.push(() => wire.close())
  return wire
}

async function dial(wire: Wire): Promise<Socket> {
  const socket = connect(wire.node.endpoint('PLAINTEXT'))
  socket.on('error', () => {}) // a reset is as good as an end
  cleanups.push(() => socket.destroy())
  await once(socket, 'connect')
  return socket
}

async function isClosed(socket: Socket, withinMs: number): Promise<boolean> {
  const closed = once(socket.resume(), 'close').then(() => true)
  return socket.destroyed || Promise.race([closed, sleep(withinMs, false)])
}

interface DebugLine {
  readonly message: string
  readonly fields: Readonly<Record<string, unknown>>
}

/** What is said at level debug from now on. */
function debugLines({ node }: Wire): DebugLine[] {
  const lines: DebugLine[] = []
  const { log } = node
  log.debug = (fields: object, message: string) => lines.push({ message, fields: { ...fields } })
  return lines
}

/** Why the connection on this port of the client has ended; it is waited for. */
async function goneLine(lines: readonly DebugLine[], port: number | undefined): Promise<DebugLine> {
  for (let i = 0; i < 200; i++) {
    const ofIt = lines.filter(({ fields }) => fields.peer === `127.0.0.1:${port}`)
    const found = ofIt.find(({ message }) => message.startsWith('a client is gone'))
    if (found !== undefined) return found
    await sleep(10)
  }
  throw new Error(`no line says that the client on port ${port} is gone`)
}

const batchOf = (value: Buffer): Promise<Buffer> => encodeBatch([{ timestamp: Date.now(), value }])

const produceRequest = (topic: string, records: Buffer, acks = -1) => ({
  acks,
  topicData: [{ name: topic, partitionData: [{ index: 0, records }] }],
})

async function produce(client: Client, topic: string, value: Buffer) {
  return client.send(produceApi, 9, produceRequest(topic, await batchOf(value)))
}

const fetchRequest = (topic: string, fetchOffset: number, maxWaitMs: number) => ({
  maxWaitMs,
  minBytes: 1,
  maxBytes: 8 * MIB,
  topics: [{ topic, partitions: [{ partition: 0, fetchOffset, partitionMaxBytes: 8 * MIB }] }],
})

test('past max.connections new ones are closed; one that goes makes room', async () => {
  const wire = await start({ maxConnections: 3 })
  const second = await dial(wire)
  await dial(wire)
  assert.ok(await isClosed(await dial(wire), 1_000), 'the fourth')
  second.destroy()
  await sleep(50)
  const next = await dial(wire)
  assert.not.ok(await isClosed(next, 200), 'there is room again')
})

test('past max.connections.per.ip new ones from that address are closed', async () => {
  const wire = await start({ maxConnectionsPerIp: 2 })
  assert.not.ok(await isClosed(await dial(wire), 100))
  assert.ok(await isClosed(await dial(wire), 1_000), 'the third')
  assert.is(wire.node.connectionCount, 2)
})

test('bounds of connections can be changed while the broker runs', async () => {
  const wire = await start()
  const set = (values: ConfigValues) => wire.node.configs.change('1', () => values)
  await set({ 'max.connections': '2' })
  await dial(wire)
  assert.ok(await isClosed(await dial(wire), 1_000), 'past max.connections')
  await set({ 'max.connections.per.ip': '0', 'max.connections.per.ip.overrides': '127.0.0.1:3' })
  await dial(wire)
  assert.ok(await isClosed(await dial(wire), 1_000), 'past max.connections.per.ip.overrides')
  await set({})
  assert.not.ok(await isClosed(await dial(wire), 200))
})

test('past max.connection.creation.rate new ones are served later', async () => {
  const wire = await start()
  await wire.node.configs.change('1', () => ({ 'max.connection.creation.rate': '2' }))
  const times: number[] = []
  for (let i = 0; i < 4; i++) {
    const begun = performance.now()
    const client = await wire.connect()
    cleanups.push(() => client.close())
    await client.send(apiVersionsApi, 0, {})
    times.push(performance.now() - begun)
  }
  assert.ok(times[0]! < 300 && times[1]! < 300, `at once: ${times}`)
  assert.ok(times[2]! > 300 && times[3]! > 300, `in turn: ${times}`)
  const gone = await dial(wire)
  gone.resetAndDestroy()
  await sleep(50)
  assert.is(wire.node.connectionCount, 5)
})

test('a stop does not wait for connections whose turn has not come', async () => {
  const wire = await start({ maxConnectionCreationRate: 1 })
  const sockets = [await dial(wire), await dial(wire), await dial(wire)]
  assert.not.ok(await isClosed(sockets[2]!, 50))
  await wire.node.close()
  assert.ok(await isClosed(sockets[2]!, 500))
})

test('a connection idle for connections.max.idle.ms is closed, one that waits for its answer is not', async () => {
  const wire = await start({ connectionsMaxIdleMs: 500 })
  const lines = debugLines(wire)
  await wire.createTopic('quiet')
  const halfFrame = await dial(wire)
  halfFrame.write(Buffer.from('000000ff0000', 'hex'))
  const silent = await dial(wire)
  const { localPort } = silent
  const waiting = wire.send(fetchApi, 11, fetchRequest('quiet', 0, IDLE_CLOSE_MS_MAX - 1_000))
  const closed = await Promise.all([silent, halfFrame].map(s => isClosed(s, IDLE_CLOSE_MS_MAX)))
  assert.equal(closed, [true, true])
  const { fields } = await goneLine(lines, localPort)
  assert.is(fields.reason, 'idle for 500 ms (connections.max.idle.ms)')
  assert.is((await waiting).responses[0]!.partitions[0]!.errorCode, 0)
})

test('at level debug the log says who comes, with what, and why it goes', async () => {
  const wire = await start({ socketRequestMaxBytes: 1_000 })
  const lines = debugLines(wire)
  const ways: Record<string, [(socket: Socket) => unknown, RegExp]> = {
    closes: [socket => socket.end(), /^closed by the client$/],
    resets: [socket => socket.resetAndDestroy(), /ECONNRESET/],
    'speaks HTTP': [socket => socket.write('GET / HTTP/1.1\r\n\r\n'), /^an HTTP request/],
    'sends too much': [socket => socket.write(Buffer.alloc(4, 1)), /^a frame of 16843009 bytes/],
  }
  for (const [way, [end, reason]] of Object.entries(ways)) {
    const socket = await dial(wire)
    const { localPort } = socket
    await end(socket)
    const { fields } = await goneLine(lines, localPort)
    assert.match(String(fields.reason), reason, way)
    assert.is(fields.requests, 0, way)
  }
  lines.length = 0
  const client = await wire.connect()
  const software = { clientSoftwareName: 'a-client', clientSoftwareVersion: '1.2' }
  await client.send(apiVersionsApi, 3, software)
  await client.send(metadataApi, 9, { topics: null })
  await client.close()
  await goneLine(lines, Number(String(lines[0]!.fields.peer).split(':')[1]))
  const [came, said, gone] = lines
  assert.is(lines.length, 3)
  assert.is(came!.message, 'a client has connected')
  assert.is(came!.fields.listener, 'PLAINTEXT')
  assert.is(said!.fields.peer, came!.fields.peer)
  assert.is(said!.fields.software, 'a-client')
  assert.is(said!.fields.softwareVersion, '1.2')
  assert.is(gone!.fields.connection, came!.fields.connection)
  assert.match(gone!.message, /^a client is gone: closed by the client, after \d+ ms$/)
  assert.ok(Number(gone!.fields.requests) >= 2, `${gone!.fields.requests} requests`)
  const { localPort } = await dial(wire)
  await sleep(50)
  await wire.node.close()
  assert.is((await goneLine(lines, localPort)).fields.reason, 'the broker stops')
})

test('answers come in the order of the requests, however long each takes', async () => {
  const wire = await start()
  await wire.createTopic('slow')
  await using client = await Client.connect({
    ...wire.node.endpoint('PLAINTEXT'),
    maxInFlight: 1_000,
  })
  const records = await batchOf(Buffer.from('x'))
  const order: string[] = []
  const note = (name: string) => (): number => order.push(name)
  // The raw client itself rejects an answer whose correlation id is not the next one's.
  await Promise.all([
    client.send(fetchApi, 11, fetchRequest('slow', 0, 300)).then(note('fetch')),
    client.send(metadataApi, 9, { topics: null }).then(note('metadata')),
    client.send(produceApi, 9, produceRequest('slow', records)).then(note('produce')),
    ...Array.from({ length: 600 }, (_, i) =>
      client.send(apiVersionsApi, 0, {}).then(note(`versions ${i}`)),
    ),
  ])
  assert.is(order.length, 603)
  assert.is(order[0], 'fetch')
  assert.is(order.at(-1), 'versions 599')
})

test('a client that does not read its answers makes the broker hold little, and gets all of them later', async () => {
  const wire = await start()
  await wire.createTopic('big')
  for (let i = 0; i < 8; i++) await produce(wire.client, 'big', Buffer.alloc(MIB - 1_000, i))
  const requests = 64
  const socket = await dial(wire)
  socket.pause()
  const { registry } = wire.node
  let sent = 0
  for (; sent < requests; sent++) socket.write(fetchFrame(sent))
  await sleep(500)
  assert.ok(
    registry.replicas.pool.lentBytes <= 16 * MIB,
    `${registry.replicas.pool.lentBytes} bytes are lent`,
  )
  const answers = await readAnswers(socket, requests)
  assert.equal(
    answers,
    Array.from({ length: requests }, (_, i) => i),
  )
})

/** Fetch v4 of big-0 from 0, 8 MiB, with this correlation id. */
function fetchFrame(correlationId: number): Buffer {
  const body = Buffer.alloc(64)
  let at = 4
  at = body.writeInt16BE(1, at)
  at = body.writeInt16BE(4, at)
  at = body.writeInt32BE(correlationId, at)
  at = body.writeInt16BE(-1, at) // client id
  at = body.writeInt32BE(-1, at) // replica
  at = body.writeInt32BE(0, at) // max wait
  at = body.writeInt32BE(1, at) // min bytes
  at = body.writeInt32BE(8 * MIB, at)
  at = body.writeInt8(0, at) // isolation
  at = body.writeInt32BE(1, at) // topics
  at = body.writeInt16BE(3, at)
  at += body.write('big', at)
  at = body.writeInt32BE(1, at) // partitions
  at = body.writeInt32BE(0, at)
  at = body.writeInt32BE(0, at) // offset, high half
  at = body.writeInt32BE(0, at)
  at = body.writeInt32BE(8 * MIB, at)
  body.writeInt32BE(at - 4, 0)
  return body.subarray(0, at)
}

/** Correlation ids of so many answers, in the order they came. */
async function readAnswers(socket: Socket, count: number): Promise<number[]> {
  const ids: number[] = []
  let skip = 0
  let head = Buffer.alloc(0)
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    let at = 0
    while (at < chunk.length) {
      const skipped = Math.min(skip, chunk.length - at)
      skip -= skipped
      at += skipped
      const taken = chunk.subarray(at, at + 8 - head.length)
      head = Buffer.concat([head, taken])
      at += taken.length
      if (head.length < 8) break
      ids.push(head.readInt32BE(4))
      skip = head.readInt32BE(0) - 4
      head = Buffer.alloc(0)
    }
    if (ids.length === count && skip === 0) break
  }
  return ids
}

test('a full ring pauses the senders, and every batch is acknowledged in the end', async () => {
  const wire = await start({ ringBytes: 4 * MIB, partitionWorkers: 1, messageMaxBytes: MIB })
  await wire.createTopic('flood')
  await using client = await Client.connect({
    ...wire.node.endpoint('PLAINTEXT'),
    maxInFlight: 200,
  })
  const answers = await Promise.all(
    Array.from({ length: 100 }, (_, i) => produce(client, 'flood', Buffer.alloc(900_000, i))),
  )
  const offsets = answers.map(a => a.responses[0]!.partitionResponses[0]!.baseOffset)
  assert.equal(
    offsets,
    Array.from({ length: 100 }, (_, i) => i),
  )
})

test('a failed produce with acks=0 closes the connection: there is no answer to tell it in', async () => {
  const wire = await start()
  const client = await Client.connect(wire.node.endpoint('PLAINTEXT'))
  const records = await batchOf(Buffer.from('x'))
  client.sendOneWay(produceApi.request, 9, produceRequest('nowhere', records, 0))
  const error = await client.send(apiVersionsApi, 0, {}).catch((e: Error) => e)
  assert.instance(error, Error)
  await client.close()
})

test('a stop answers what is under way before it closes', async () => {
  const wire = await Wire.start()
  await wire.createTopic('last')
  const client = await Client.connect(wire.node.endpoint('PLAINTEXT'))
  const answers = Array.from({ length: 20 }, () => produce(client, 'last', Buffer.from('x')))
  const settled = Promise.allSettled(answers)
  await sleep(5)
  await wire.node.close()
  const acknowledged = (await settled).filter(s => s.status === 'fulfilled').length
  const again = await wire.restart()
  cleanups.push(() => again.close())
  const { highWatermark } = again.node.registry.topic('last')!.partitions[0]!
  assert.ok(highWatermark >= acknowledged, `${acknowledged} acknowledged, ${highWatermark} there`)
  await client.close()
})

test.run()
