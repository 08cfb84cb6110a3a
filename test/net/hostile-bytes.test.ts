import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pino } from 'pino'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { BrokerNode } from '../../src/broker.ts'
import { Client } from '../../src/client/client.ts'
import { apiVersionsApi } from '../../src/protocol/messages/18-api-versions.ts'
import { Random } from '../lib/random.ts'

/** A connection that sends nonsense must be gone by then. */
const CLOSE_MS_MAX = 2_000

const test = suite('hostile bytes on a listener')
const warnings: { msg: string; problem?: string }[] = []
let dir: string
let node: BrokerNode

test.before(async () => {
  dir = mkdtempSync(join(tmpdir(), 'odradek-net-'))
  const log = pino(
    { level: 'warn' },
    { write: (line: string) => warnings.push(JSON.parse(line) as { msg: string }) },
  )
  const code = {
    listeners: 'PLAINTEXT://127.0.0.1:0',
    dataDir: dir,
    socketRequestMaxBytes: 1_000_000,
  }
  node = await BrokerNode.start({ code }, log)
})
test.before.each(() => {
  warnings.length = 0
})
test.after(async () => {
  await node.close()
  rmSync(dir, { recursive: true })
})

async function open(): Promise<Socket> {
  const socket = connect(node.endpoint('PLAINTEXT'))
  socket.on('error', () => {}) // a reset is as good as an end
  await once(socket, 'connect')
  return socket
}

/** Sends the bytes and waits for the broker to close. @returns what it sent before that */
async function sendAndBeClosed(bytes: Buffer): Promise<Buffer> {
  const socket = await open()
  const received: Buffer[] = []
  socket.on('data', chunk => received.push(chunk))
  socket.write(bytes)
  const closed = once(socket, 'close').then(() => true)
  const inTime = await Promise.race([closed, sleep(CLOSE_MS_MAX, false)])
  socket.destroy()
  assert.ok(inTime, 'the connection was closed')
  return Buffer.concat(received)
}

async function answersOthers(): Promise<void> {
  await using client = await Client.connect(node.endpoint('PLAINTEXT'))
  assert.is((await client.send(apiVersionsApi, 0, {})).errorCode, 0)
}

const frame = (body: Buffer): Buffer => {
  const length = Buffer.alloc(4)
  length.writeInt32BE(body.length)
  return Buffer.concat([length, body])
}

/** A frame with a header v1: key, version, correlation id, client id "x", then the body. */
const request = (key: number, version: number, body: string): Buffer => {
  const header = Buffer.alloc(11)
  header.writeInt16BE(key, 0)
  header.writeInt16BE(version, 2)
  header.writeInt32BE(7, 4)
  header.writeInt16BE(1, 8)
  header.write('x', 10)
  return frame(Buffer.concat([header, Buffer.from(body, 'hex')]))
}

const cases: Record<string, [bytes: Buffer, problem: RegExp]> = {
  'a negative frame length': [Buffer.from('ffffffff00000000', 'hex'), /a frame of -1 bytes/],
  'a frame length above socket.request.max.bytes': [
    Buffer.from('000f424100120000', 'hex'),
    /1000001 bytes, at most 1000000 are allowed/,
  ],
  'the largest length there is': [Buffer.from('7fffffff00120000', 'hex'), /2147483647 bytes/],
  'a frame of no bytes': [Buffer.alloc(4), /apiKey/],
  'a TLS hello': [Buffer.from('16030100f8010000f40303', 'hex'), /TLS hello.*PLAINTEXT/],
  'an HTTP request': [Buffer.from('GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n'), /an HTTP request/],
  'an HTTP POST': [Buffer.from('POST / HTTP/1.1\r\n\r\n'), /an HTTP request/],
  'an API key that does not exist': [request(4242, 0, ''), /unknown API key 4242/],
  'a negative API key': [request(-1, 0, ''), /unknown API key -1/],
  'a version that is not served': [request(3, 99, '00'), /version 99; versions/],
  'an array count beyond the frame': [request(3, 4, '7fffffff'), /topics/],
  'a string length beyond the frame': [request(3, 4, '000000017fff'), /name/],
  'a client id length beyond the frame': [
    frame(Buffer.from('00030004000000077ffe61', 'hex')),
    /clientId/,
  ],
  'a request that ends too early': [request(3, 4, '0000'), /topics/],
  'a batch longer than its request': [
    request(0, 3, `ffffffff000003e8000000010001610000000100000000${'7fffff00'}`),
    /records/,
  ],
}

for (const [name, [bytes, problem]] of Object.entries(cases)) {
  test(`${name} closes that connection with one log line, and no other`, async () => {
    assert.is((await sendAndBeClosed(bytes)).length, 0, 'nothing is answered')
    assert.equal(
      warnings.map(({ msg }) => msg),
      ['connection refused'],
    )
    assert.match(warnings[0]!.problem!, problem)
    await answersOthers()
  })
}

test('a request in front of nonsense is still answered, or the connection closed', async () => {
  const answer = await sendAndBeClosed(
    Buffer.concat([request(18, 0, ''), Buffer.from('ffffffff', 'hex')]),
  )
  assert.ok(answer.length === 0 || answer.readInt32BE(4) === 7)
  await answersOthers()
})

test('ApiVersions in an unknown version is answered in version 0 with UNSUPPORTED_VERSION', async () => {
  const socket = await open()
  socket.write(request(18, 99, '00'))
  const [answer] = (await once(socket, 'data')) as [Buffer]
  assert.is(answer.readInt32BE(4), 7)
  assert.is(answer.readInt16BE(8), 35)
  socket.destroy()
})

test('random bytes, whole or in a frame, never disturb others', async () => {
  const random = new Random(20_261_123)
  const noise = (): Buffer =>
    Buffer.from(Array.from({ length: 1 + random.below(300) }, () => random.below(256)))
  for (let i = 0; i < 200; i++) {
    const socket = await open()
    socket.end(random.chance(0.5) ? noise() : frame(noise()))
    await once(socket.resume(), 'close')
  }
  assert.not.ok(warnings.some(({ msg }) => msg.startsWith('bug')))
  await answersOthers()
})

test('changed requests never disturb others: every byte of a valid one, changed', async () => {
  const valid = request(3, 4, '00000001000361626301')
  for (let at = 4; at < valid.length; at++) {
    const changed = Buffer.from(valid)
    changed[at]! ^= 0xff
    const socket = await open()
    socket.end(changed)
    await once(socket.resume(), 'close')
  }
  assert.not.ok(warnings.some(({ msg }) => msg.startsWith('bug')))
  await answersOthers()
})

test('half a frame and then silence holds nothing but its connection', async () => {
  const before = process.memoryUsage().rss
  const sockets: Socket[] = []
  for (let i = 0; i < 100; i++) {
    const socket = await open()
    // Claims almost as much as is allowed, sends 11 bytes.
    socket.write(Buffer.from('000f423000000009000000', 'hex'))
    sockets.push(socket)
  }
  await answersOthers()
  assert.ok(process.memoryUsage().rss - before < 32 * 1024 * 1024, 'no buffer of the claimed size')
  for (const socket of sockets) socket.destroy()
})

test('a request that comes byte by byte is answered', async () => {
  const socket = await open()
  for (const byte of request(18, 0, '')) {
    socket.write(Buffer.of(byte))
    await sleep(1)
  }
  const [answer] = (await once(socket, 'data')) as [Buffer]
  assert.is(answer.readInt32BE(4), 7)
  socket.destroy()
})

test.run()
