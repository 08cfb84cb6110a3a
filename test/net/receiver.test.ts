import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Receiver } from '../../src/net/receiver.ts'
import { Random } from '../lib/random.ts'

const seed = Number(process.env.SEED ?? Date.now() % 1_000_000)
const test = suite(`what a socket receives (SEED=${seed})`)

/** Both ends of a connection. */
async function pair(): Promise<{ client: Socket; served: Socket; close: () => void }> {
  const server = createServer({ allowHalfOpen: true })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  const client = connect(port, '127.0.0.1')
  const [served] = (await once(server, 'connection')) as [Socket]
  const close = (): void => {
    client.destroy()
    served.destroy()
    server.close()
  }
  return { client, served, close }
}

test('this Node reads into a buffer of ours', async () => {
  const { client, served, close } = await pair()
  const buffers = new Set<ArrayBufferLike>()
  let count = 0
  const receiver = new Receiver(served, chunk => {
    buffers.add(chunk.buffer)
    count++
  })
  assert.ok(receiver.start())
  for (let i = 1; i <= 50; i++) {
    client.write('ping')
    while (count < i) await sleep(1)
  }
  assert.is(buffers.size, 1)
  close()
})

test('what is kept stays as it was, whatever comes after it', async () => {
  const random = new Random(seed)
  const { client, served, close } = await pair()
  const kept: Buffer[] = []
  const copies: Buffer[] = []
  let bytes = 0
  const isOver = once(served, 'end')
  const receiver = new Receiver(served, chunk => {
    bytes += chunk.length
    copies.push(Buffer.from(chunk))
    if (random.below(2) === 0) return
    kept.push(chunk, copies.at(-1)!)
    receiver.pause()
    setTimeout(() => receiver.resume(() => {}), random.below(3))
  })
  receiver.start()
  const sent = Buffer.alloc(4 * 1024 * 1024)
  for (let i = 0; i < sent.length; i++) sent[i] = random.below(256)
  for (let at = 0; at < sent.length; ) {
    const end = Math.min(sent.length, at + 1 + random.below(200_000))
    client.write(sent.subarray(at, end))
    at = end
    if (random.below(4) === 0) await sleep(1)
  }
  client.end()
  await isOver
  assert.is(bytes, sent.length)
  assert.ok(Buffer.concat(copies).equals(sent))
  for (let i = 0; i < kept.length; i += 2) assert.ok(kept[i]!.equals(kept[i + 1]!), `${i}`)
  close()
})

test('what came before is received first', async () => {
  const { client, served, close } = await pair()
  client.write('before')
  while (served.readableLength < 6) await sleep(1)
  let text = ''
  const receiver = new Receiver(served, chunk => {
    text += chunk.toString()
  })
  receiver.start()
  client.write(' and after')
  while (text.length < 16) await sleep(1)
  assert.is(text, 'before and after')
  close()
})

test.run()
