import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { encodeBatch } from '../../src/protocol/records.ts'
import { Wire } from '../apis/wire.ts'
import { produce } from '../attack/attacks.ts'
import { Bytes, frame } from '../attack/bytes.ts'

const test = suite('answers that are owed')
let wire: Wire

test.before(async () => {
  wire = await Wire.start()
  await wire.createTopic('owed')
  await wire.createTopic('quiet')
})

test.after(async () => {
  await wire.close()
})

async function dial(): Promise<Socket> {
  const socket = connect({ ...wire.node.endpoint('PLAINTEXT'), allowHalfOpen: true })
  await once(socket, 'connect')
  return socket
}

/** The correlation ids of all answers until the broker closes the connection. */
async function answersOf(socket: Socket): Promise<number[]> {
  const chunks: Buffer[] = []
  for await (const chunk of socket) chunks.push(chunk as Buffer)
  let rest = Buffer.concat(chunks)
  const ids: number[] = []
  while (rest.length > 0) {
    ids.push(rest.readInt32BE(4))
    rest = rest.subarray(4 + rest.readInt32BE(0))
  }
  return ids
}

/** LeaveGroup with more members than a frame may have elements: found out when it has been decoded for a while. */
const TOO_MANY = frame(
  13,
  3,
  new Bytes()
    .string('g')
    .i32(300_000)
    .repeat(300_000, b => b.string('').i16(-1)),
  false,
).toString('hex')

const versions = (id: number): Buffer => frame(18, 0, new Bytes(), false, id)

async function requests(): Promise<Buffer> {
  const batch = await encodeBatch([{ timestamp: Date.now(), value: Buffer.from('x') }])
  const body = new Bytes().i32(-1).i32(200_000).i32(1).i32(1_000).i8(0)
  body.i32(1).string('quiet').i32(1).i32(0).i64(0).i32(1_000)
  const fetch = frame(1, 4, body, false, 3)
  return Buffer.concat([versions(7), produce('owed', [batch]), fetch])
}

test('are sent to a client that has ended its sending half, those of waiting fetches at once', async () => {
  const socket = await dial()
  socket.end(await requests())
  assert.equal(await answersOf(socket), [7, 1, 3])
})

test('are sent when a later frame is no request', async () => {
  for (const bad of ['ffffffff', '000000020063', '0000000a001200637fffffff0001', TOO_MANY]) {
    const socket = await dial()
    socket.write(Buffer.concat([await requests(), Buffer.from(bad, 'hex')]))
    assert.equal(await answersOf(socket), [7, 1, 3], bad)
  }
})

test('are sent to a half-closed client, also those of requests that waited to be read', async () => {
  const socket = await dial()
  const metadata = (id: number) => frame(3, 1, new Bytes().i32(-1), false, id)
  socket.end(Buffer.concat([await requests(), metadata(20), versions(21), metadata(22)]))
  assert.equal(await answersOf(socket), [7, 1, 3, 20, 21, 22])
})

test('a client that half-closes with half a frame gets what it is owed, and is closed', async () => {
  const socket = await dial()
  socket.end(Buffer.concat([versions(9), Buffer.from('000000ff0000', 'hex')]))
  assert.equal(await answersOf(socket), [9])
})

test.run()
