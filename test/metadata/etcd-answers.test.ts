import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { BrokerError } from '../../src/errors.ts'
import { EtcdMetadataStore } from '../../src/metadata/etcd/store.ts'
import { OutcomeUnknown } from '../../src/metadata/store.ts'
import { parseMetadataUrl } from '../../src/metadata/url.ts'
import { SILENT } from '../lib/silent.ts'

/** Requests that may be under way to one endpoint. */
const SOCKETS_MAX = 64

const test = suite('answers of what may be etcd')
let server: Server
let store: EtcdMetadataStore
let answer: (request: IncomingMessage, response: ServerResponse) => void
const sockets = new Set<Socket>()

const respond =
  (status: number, body: string) =>
  (_: IncomingMessage, response: ServerResponse): void => {
    response.writeHead(status).end(body)
  }
const APPLIED = '{"header":{"revision":"7"},"succeeded":true}'

/** @param requestMs time for an answer */
async function open(requestMs = 2_000): Promise<void> {
  server = createServer((request, response) => {
    if (request.url === '/version') response.end('{"etcdserver":"3.6.16"}')
    else if (request.url === '/v3/kv/range') response.end('{"header":{"revision":"1"}}')
    else answer(request, response)
  })
  server.on('connection', socket => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  // Twice, so that a request which goes to the next endpoint would be seen.
  const url = parseMetadataUrl(`etcd://127.0.0.1:${port},127.0.0.1:${port}/p`)
  store = await EtcdMetadataStore.open({ url, log: SILENT, requestMs })
}

test.before.each(() => open())
test.after.each(async () => {
  await store.close()
  server.close()
  server.closeAllConnections()
})

const write = () => store.compareAndSet('a', 0, 1)

async function failure(promise: Promise<unknown>): Promise<Error> {
  const error = await promise.then(
    () => null,
    (thrown: unknown) => thrown,
  )
  assert.instance(error, Error)
  return error as Error
}

/** What may have been applied, and what was not for certain. */
const UNKNOWN: Record<string, [number, string]> = {
  'nothing at all': [200, ''],
  'no word of what became of it': [200, '{}'],
  'another JSON': [200, '[]'],
  null: [200, 'null'],
  'half of it': [200, '{"header":{"revision":"7"},"succe'],
  'a page of a proxy': [502, '<html>Bad Gateway</html>'],
  'JSON of a proxy': [503, '{"status":"down"}'],
  'a leader that changed': [
    503,
    '{"error":"etcdserver: leader changed","code":14,"message":"etcdserver: leader changed"}',
  ],
  'a request that took too long': [503, '{"code":14,"message":"etcdserver: request timed out"}'],
  'a deadline': [504, '{"code":4,"message":"context deadline exceeded"}'],
  'a bug of etcd': [500, '{"code":13,"message":"internal"}'],
  'an answer that gRPC finds too large': [
    429,
    '{"code":8,"message":"grpc: received message larger than max"}',
  ],
}

const CERTAIN: Record<string, [number, string, RegExp]> = {
  'no room': [429, '{"code":8,"message":"etcdserver: mvcc: database space exceeded"}', /NOSPACE/],
  'too much to do': [429, '{"code":8,"message":"etcdserver: too many requests"}', /too much to do/],
  'what it does not take': [
    400,
    '{"error":"x","code":3,"message":"etcdserver: request is too large"}',
    /too large/,
  ],
  'a lease that is gone': [
    404,
    '{"code":5,"message":"etcdserver: requested lease not found"}',
    /lease has ended/,
  ],
  'no right': [
    403,
    '{"code":7,"message":"etcdserver: permission denied"}',
    /does not let this broker/,
  ],
}

for (const [name, [status, body]] of Object.entries(UNKNOWN)) {
  test(`${name}: the outcome is unknown, and nothing is sent twice`, async () => {
    let asked = 0
    answer = (request, response) => {
      asked++
      respond(status, body)(request, response)
    }
    assert.instance(await failure(write()), OutcomeUnknown)
    assert.is(asked, 1)
  })
}

for (const [name, [status, body, what]] of Object.entries(CERTAIN)) {
  test(`${name}: it is refused for certain`, async () => {
    answer = respond(status, body)
    const error = await failure(write())
    assert.instance(error, BrokerError)
    assert.not(error instanceof OutcomeUnknown)
    assert.match(error.message, what)
  })
}

test('a connection that ends instead of an answer, or amid it', async () => {
  const ends: ((request: IncomingMessage, response: ServerResponse) => void)[] = [
    request => request.socket.destroy(),
    request => request.socket.resetAndDestroy(),
    (request, response) => {
      response.writeHead(200, { 'content-length': 100 }).write(APPLIED)
      setImmediate(() => request.socket.destroy())
    },
  ]
  for (const end of ends) {
    // On a new connection, and on one that has been used before.
    for (const isUsed of [false, true]) {
      for (const socket of sockets) socket.destroy()
      answer = respond(200, APPLIED)
      // The client may not have seen yet that its connections are gone.
      while (isUsed && !(await write().then(Boolean, () => false)));
      answer = end
      assert.instance(await failure(write()), OutcomeUnknown)
    }
  }
})

test('no answer in time', async () => {
  await store.close()
  server.close()
  await open(50)
  answer = () => {}
  const error = await failure(write())
  assert.instance(error, OutcomeUnknown)
  assert.match((error.cause as Error).message, /no answer in 50 ms/)
})

test('what waits for a connection and gets one that then ends was sent', async () => {
  let asked = 0
  const waiting: ServerResponse[] = []
  answer = (request, response) => {
    asked++
    if (asked <= SOCKETS_MAX) waiting.push(response)
    else request.socket.destroy()
    if (asked === SOCKETS_MAX) for (const one of waiting) one.end(APPLIED)
  }
  const results = await Promise.allSettled(Array.from({ length: SOCKETS_MAX + 20 }, write))
  const applied = results.filter(({ status }) => status === 'fulfilled').length
  assert.is(applied, SOCKETS_MAX)
  for (const one of results) {
    if (one.status === 'rejected') assert.instance(one.reason, OutcomeUnknown)
  }
  assert.is(asked, SOCKETS_MAX + 20, 'none was sent twice')
})

test('what is closed amid it, sent or not, ends', async () => {
  answer = () => {}
  const results = Array.from({ length: SOCKETS_MAX + 20 }, () => failure(write()))
  while (sockets.size < SOCKETS_MAX) await new Promise(resolve => setImmediate(resolve))
  await store.close()
  const errors = await Promise.all(results)
  assert.ok(errors.every(error => error instanceof BrokerError))
  assert.ok(errors.some(error => error instanceof OutcomeUnknown))
})

test('a read is tried elsewhere, and fails without a doubt', async () => {
  let asked = 0
  server.removeAllListeners('request')
  server.on('request', (_, response: ServerResponse) => {
    asked++
    response.writeHead(503).end('{"code":14,"message":"etcdserver: no leader"}')
  })
  const error = await failure(store.get('a'))
  assert.match(error.message, /^etcd does not answer \(.*\): etcdserver: no leader\.$/)
  assert.is(asked, 2)
})

test.run()
