import { createServer, type Server, type Socket } from 'node:net'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  Client,
  ClientError,
  type ClientErrorCode,
  type ClientOptions,
} from '../../src/client/client.ts'
import { FrameCutter } from '../../src/protocol/frame-cutter.ts'
import { decodeRequestHeader, encodeResponseHeader } from '../../src/protocol/header.ts'
import { produceApi } from '../../src/protocol/messages/00-produce.ts'
import { fetchApi } from '../../src/protocol/messages/01-fetch.ts'
import { metadataApi } from '../../src/protocol/messages/03-metadata.ts'
import { apiVersionsApi } from '../../src/protocol/messages/18-api-versions.ts'
import { describeClusterApi } from '../../src/protocol/messages/60-describe-cluster.ts'
import { Reader } from '../../src/protocol/reader.ts'
import type { Api, Encodable, Message } from '../../src/protocol/schema.ts'
import { Writer } from '../../src/protocol/writer.ts'

const test = suite('client')
const known: Api[] = [produceApi, fetchApi, metadataApi, apiVersionsApi]

interface Request {
  apiKey: number
  version: number
  correlationId: number
  clientId: string
  body: Record<string, unknown>
  socket: Socket
}

/** A broker that is nothing but `onRequest`. */
class TinyBroker {
  readonly requests: Request[] = []
  readonly sockets: Socket[] = []
  readonly #server: Server

  constructor(onRequest: (request: Request) => void) {
    this.#server = createServer(socket => {
      this.sockets.push(socket)
      socket.on('error', () => socket.destroy())
      const cutter = new FrameCutter({
        frameBytesMax: 1 << 20,
        reusesBuffer: false,
        onFrame: (buffer, start, end) => {
          const request = decodeRequest(buffer.subarray(start, end), socket)
          this.requests.push(request)
          onRequest(request)
          return true
        },
        onProblem: problem => socket.destroy(new Error(problem)),
      })
      socket.on('data', chunk => cutter.push(chunk))
    })
  }

  async listen(): Promise<number> {
    await new Promise<void>(resolve => this.#server.listen(0, '127.0.0.1', resolve))
    const address = this.#server.address()
    return address !== null && typeof address === 'object' ? address.port : 0
  }

  close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy()
    return new Promise(resolve => this.#server.close(() => resolve()))
  }
}

function decodeRequest(frame: Buffer, socket: Socket): Request {
  const reader = new Reader(frame)
  const api = (key: number) => known.find(({ request }) => request.apiKey === key)?.request
  const header = decodeRequestHeader(
    reader,
    (key, version) => api(key)?.isFlexible(version) ?? false,
  )
  const body = api(header.apiKey)?.decode(reader, header.apiVersion) ?? {}
  assert.is(reader.remaining, 0)
  return { ...header, version: header.apiVersion, body, socket }
}

function responseFrame<M extends Message>(
  message: M,
  { version, correlationId }: Pick<Request, 'version' | 'correlationId'>,
  value: Encodable<M>,
): Buffer {
  const writer = new Writer()
  const mark = writer.startFrame()
  encodeResponseHeader(writer, message, version, correlationId)
  message.encode(writer, version, value as Record<string, unknown>)
  writer.endFrame(mark)
  return Buffer.concat(writer.chunks())
}

const answerMetadata = (request: Request) =>
  responseFrame(metadataApi.response, request, { controllerId: request.correlationId })

async function withBroker(
  onRequest: (request: Request) => void,
  options: Partial<ClientOptions>,
  body: (client: Client, broker: TinyBroker) => Promise<void>,
): Promise<void> {
  const broker = new TinyBroker(onRequest)
  const port = await broker.listen()
  const client = await Client.connect({ host: '127.0.0.1', port, ...options })
  try {
    await body(client, broker)
  } finally {
    await client.close()
    await broker.close()
  }
}

async function rejectsWith(
  code: ClientErrorCode,
  promise: Promise<unknown>,
  pattern = /./,
): Promise<void> {
  try {
    await promise
  } catch (error) {
    assert.instance(error, ClientError)
    assert.is((error as ClientError).code, code, String(error))
    assert.match((error as ClientError).message, pattern)
    return
  }
  assert.unreachable(`resolved instead of ${code}`)
}

const silent = () => {}

test('a request arrives with its header and is answered', async () => {
  const answer = (request: Request) => request.socket.write(answerMetadata(request))
  await withBroker(answer, { clientId: 'me' }, async (client, { requests }) => {
    for (const version of [1, 8, 9, 12]) {
      const response = await client.send(metadataApi, version, { topics: [{ name: 'a' }] })
      assert.is(response.controllerId, requests.at(-1)?.correlationId)
      assert.is(requests.at(-1)?.version, version)
    }
    assert.is(requests[0].clientId, 'me')
    assert.is(client.inFlight, 0)
  })
})

test('apiVersions picks the highest version that both sides have', async () => {
  const apiKeys = [
    { apiKey: 0, minVersion: 0, maxVersion: 11 },
    { apiKey: 1, minVersion: 0, maxVersion: 3 },
    { apiKey: 3, minVersion: 0, maxVersion: 99 },
  ]
  const answer = (request: Request) =>
    request.socket.write(responseFrame(apiVersionsApi.response, request, { apiKeys }))
  await withBroker(answer, {}, async client => {
    const versions = await client.apiVersions()
    assert.equal(versions.get(0), { min: 0, max: 11 })
    assert.is(client.versionFor(produceApi), 11)
    assert.is(client.versionFor(metadataApi), 13)
    assert.throws(() => client.versionFor(fetchApi), /no version of FetchRequest/)
    assert.throws(() => client.versionFor(describeClusterApi), /DescribeClusterRequest/)
  })
})

test('no more than maxInFlight requests are out, and all are answered in order', async () => {
  const held: Request[] = []
  await withBroker(
    request => held.push(request),
    { maxInFlight: 3 },
    async (client, broker) => {
      const answers = Array.from({ length: 10 }, () => client.send(metadataApi, 12, {}))
      const settled: number[] = []
      for (const [i, answer] of answers.entries()) void answer.then(() => settled.push(i))
      while (settled.length < 10) {
        await new Promise(resolve => setTimeout(resolve, 5))
        assert.ok(client.inFlight <= 3)
        assert.ok(held.length <= 3, `${held.length} requests at once`)
        for (const request of held.splice(0)) request.socket.write(answerMetadata(request))
      }
      assert.equal(settled, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
      assert.is(broker.requests.length, 10)
    },
  )
})

test('a response may come byte by byte, or many in one piece', async () => {
  const bytewise = (request: Request) => {
    for (const byte of answerMetadata(request)) request.socket.write(Buffer.from([byte]))
  }
  await withBroker(bytewise, {}, async client => {
    assert.is((await client.send(metadataApi, 12, {})).controllerId, 0)
  })
  const held: Buffer[] = []
  const atOnce = (request: Request) => {
    held.push(answerMetadata(request))
    if (held.length === 4) request.socket.write(Buffer.concat(held))
  }
  await withBroker(atOnce, {}, async client => {
    const sent = Array.from({ length: 4 }, () => client.send(metadataApi, 12, {}))
    assert.equal(
      (await Promise.all(sent)).map(r => r.controllerId),
      [0, 1, 2, 3],
    )
  })
})

test('large records arrive whole and keep their bytes while others come', async () => {
  const answer = (request: Request) => {
    const records = Buffer.alloc(300_000, request.correlationId + 1)
    const responses = [{ topic: 't', partitions: [{ records }] }]
    request.socket.write(responseFrame(fetchApi.response, request, { responses }))
  }
  await withBroker(answer, {}, async client => {
    const sent = Array.from({ length: 5 }, () => client.send(fetchApi, 11, {}))
    const all = await Promise.all(sent)
    for (const [i, response] of all.entries()) {
      const { records } = response.responses[0].partitions[0]
      assert.ok(records?.equals(Buffer.alloc(300_000, i + 1)), `response ${i}`)
    }
  })
})

test('a request that cannot be encoded fails alone', async () => {
  const answer = (request: Request) => request.socket.write(answerMetadata(request))
  await withBroker(answer, {}, async client => {
    const before = client.send(metadataApi, 12, {})
    const bad = client.send(metadataApi, 0, { topics: null })
    const after = client.send(metadataApi, 12, {})
    const results = await Promise.allSettled([before, bad, after])
    assert.equal(
      results.map(({ status }) => status),
      ['fulfilled', 'rejected', 'fulfilled'],
    )
  })
})

test('sendOneWay expects no answer', async () => {
  const answer = (request: Request) => {
    if (request.apiKey === 3) request.socket.write(answerMetadata(request))
  }
  await withBroker(answer, {}, async (client, { requests }) => {
    client.sendOneWay(produceApi.request, 7, { acks: 0, timeoutMs: 1 })
    assert.is(client.inFlight, 0)
    assert.is((await client.send(metadataApi, 12, {})).controllerId, 1)
    assert.equal(
      requests.map(({ apiKey }) => apiKey),
      [0, 3],
    )
  })
})

test('raw bytes go out as they are, and the raw frame comes back', async () => {
  const answer = (request: Request) => request.socket.write(answerMetadata(request))
  await withBroker(answer, {}, async client => {
    const bytes = Buffer.from('0000000e00030001000000630000ffffffff', 'hex')
    client.writeRaw(bytes.subarray(0, 6))
    const frame = await client.sendRaw(bytes.subarray(6))
    assert.is(frame.readInt32BE(), 0x63)
  })
})

test('a disconnect rejects what is in flight, what waits and what comes later', async () => {
  const hangUp = (request: Request) => request.socket.destroy()
  await withBroker(hangUp, { maxInFlight: 1 }, async client => {
    const [first, second] = [client.send(metadataApi, 12, {}), client.send(metadataApi, 12, {})]
    await rejectsWith('DISCONNECTED', first)
    await rejectsWith('DISCONNECTED', second)
    await rejectsWith('DISCONNECTED', client.send(metadataApi, 12, {}))
    assert.throws(() => client.sendOneWay(produceApi.request, 7, {}), /closed the connection/)
  })
  const halfAnswer = (request: Request) =>
    request.socket.end(answerMetadata(request).subarray(0, 9))
  await withBroker(halfAnswer, {}, async client => {
    await rejectsWith('DISCONNECTED', client.send(metadataApi, 12, {}), /middle of a response/)
  })
})

test('no answer in time closes the connection', async () => {
  await withBroker(silent, { requestTimeoutMs: 20 }, async client => {
    const sent = [client.send(metadataApi, 12, {}), client.send(metadataApi, 12, {})]
    await rejectsWith('TIMED_OUT', sent[0], /127\.0\.0\.1:\d+: no response within 20 ms/)
    await rejectsWith('TIMED_OUT', sent[1])
  })
})

test('close rejects what is in flight and may be called again', async () => {
  await withBroker(silent, {}, async client => {
    const sent = client.send(metadataApi, 12, {})
    const closed = client.close()
    await rejectsWith('CLOSED', sent)
    await closed
    await client.close()
  })
})

test('wrong responses close the connection with the reason', async () => {
  const wrong: [(request: Request) => Buffer, RegExp][] = [
    [r => answerMetadata({ ...r, correlationId: 77 }), /request 77 where 0 is due/],
    [() => Buffer.from('7fffffff', 'hex'), /frame of 2147483647 bytes/],
    [() => Buffer.from('ffffffff', 'hex'), /frame of -1 bytes/],
    [() => Buffer.from('00000006000000000000', 'hex'), /MetadataResponse/],
    [() => Buffer.from('00000000', 'hex'), /correlationId/],
  ]
  for (const [answer, pattern] of wrong) {
    const respond = (request: Request) => request.socket.write(answer(request))
    await withBroker(respond, {}, async client => {
      await rejectsWith('BAD_RESPONSE', client.send(metadataApi, 12, {}), pattern)
    })
  }
})

test('a response to no request closes the connection', async () => {
  await withBroker(silent, {}, async (client, { sockets }) => {
    client.writeRaw(Buffer.from('0000000e00030001000000630000ffffffff', 'hex'))
    while (sockets.length === 0) await new Promise(resolve => setTimeout(resolve, 1))
    sockets[0].write(Buffer.from('0000000400000000', 'hex'))
    await new Promise(resolve => sockets[0].once('close', resolve))
    await rejectsWith('BAD_RESPONSE', client.send(metadataApi, 12, {}), /to no request/)
  })
})

test('nobody listening is CONNECT_FAILED', async () => {
  const broker = new TinyBroker(silent)
  const port = await broker.listen()
  await broker.close()
  await rejectsWith('CONNECT_FAILED', Client.connect({ host: '127.0.0.1', port }), /ECONNREFUSED/)
})

test.run()
