import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { apiNameOf, type Body, errorAnswer } from '../../src/apis/error-answers.ts'
import type { ApiHandler } from '../../src/apis/handler.ts'
import { servedApis } from '../../src/apis/index.ts'
import type { Client } from '../../src/client/client.ts'
import { ErrorCode, errorName } from '../../src/protocol/error-codes.ts'
import { produceApi } from '../../src/protocol/messages/00-produce.ts'
import { fetchApi } from '../../src/protocol/messages/01-fetch.ts'
import { metadataApi } from '../../src/protocol/messages/03-metadata.ts'
import { apiVersionsApi } from '../../src/protocol/messages/18-api-versions.ts'
import { encodeBatch } from '../../src/protocol/records.ts'
import { Wire } from '../apis/wire.ts'
import { arbitraryMessage } from '../protocol/arbitrary-message.ts'
import { LogLines, planted } from './planted.ts'

const seed = Number(process.env.SEED ?? Date.now() % 1_000_000)
const test = suite(`an exception in a handler costs its request (SEED=${seed})`)
let wire: Wire
let log: LogLines
let served: typeof wire.node.apis

test.before(async () => {
  wire = await Wire.start()
  served = wire.node.apis
  log = new LogLines(wire.node)
})
test.before.each(() => {
  wire.node.apis = served
})
test.after(() => wire.close())

const ERROR = { errorCode: ErrorCode.UNKNOWN_SERVER_ERROR, errorMessage: null }

/** Serves an API by something else. */
function serve({ request }: { request: { apiKey: number } }, changed: Partial<ApiHandler>): void {
  const handler = served[request.apiKey]!
  wire.node.apis = { ...served, [request.apiKey]: { ...handler, ...changed } }
}

/** A request whose answer has a place for an error. */
function requestOf(handler: ApiHandler, version: number): Body {
  const some = fc.sample(arbitraryMessage(handler.request, version), { seed, numRuns: 100 })
  const found = some.find(request => errorAnswer(handler, version, request, ERROR) !== null)
  assert.ok(found)
  return found!
}

/** All errors in an answer. */
function errorsIn(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(errorsIn)
  if (typeof value !== 'object' || value === null || Buffer.isBuffer(value)) return []
  return Object.entries(value).flatMap(([name, item]) =>
    name === 'errorCode' && item !== 0 ? [errorName(item as number)] : errorsIn(item),
  )
}

/** Sends it with another request behind it on the same connection. */
async function fails(client: Client, handler: ApiHandler, version: number): Promise<void> {
  const request = requestOf(handler, version)
  const [failed, next] = await Promise.all([
    client.send(handler as never, version, request as never),
    client.send(apiVersionsApi, 3, { clientSoftwareName: 'test', clientSoftwareVersion: '1' }),
  ])
  const errors = errorsIn(failed)
  assert.ok(errors.length > 0)
  assert.ok(
    errors.every(error => error === 'UNKNOWN_SERVER_ERROR'),
    `${errors}`,
  )
  if (handler.request.apiKey !== apiVersionsApi.request.apiKey) assert.is(next.errorCode, 0)
  const { fields } = log.errors[0]!
  assert.is(fields.api, handler.request.apiKey)
}

const KINDS: readonly (readonly [string, (handler: ApiHandler) => Partial<ApiHandler>])[] = [
  ['throws at once', () => ({ handle: planted })],
  ['throws later', () => ({ handle: () => Promise.resolve().then(planted), waits: false })],
]

for (const handler of servedApis) {
  for (const [what, change] of KINDS) {
    test(`${apiNameOf(handler)} ${what}`, async () => {
      serve(handler, change(handler))
      for (const version of new Set([handler.min, handler.max])) {
        if (handler.request.apiKey === apiVersionsApi.request.apiKey) continue
        await fails(wire.client, handler, version)
        log.expectOne(/^bug: a request failed/)
      }
    })
  }
}

for (const [what, bytes] of [
  ['at once', 1],
  ['in pieces', 2 * 1024 * 1024],
] as const) {
  test(`an answer that cannot be encoded ${what}`, async () => {
    const handler = served[metadataApi.request.apiKey]!
    const broken = Object.create(handler.response, {
      encode: {
        value: bytes === 1 ? encodedOnce(handler) : handler.response.encode.bind(handler.response),
      },
      encodeInPieces: { value: planted },
    }) as typeof handler.response
    const host = 'x'.repeat(bytes === 1 ? 1 : 30_000)
    const brokers = Array.from({ length: Math.ceil(bytes / 30_000) }, (_, nodeId) => ({
      ...{ nodeId, host, port: 1 },
    }))
    serve(handler, { response: broken, handle: () => ({ body: { brokers } as never }) })
    await fails(wire.client, handler, 12)
    log.expectOne(/^bug: a request failed/)
  })
}

/** Fails for the first answer; the one that says so goes through. */
function encodedOnce({ response }: ApiHandler): typeof response.encode {
  let calls = 0
  return (...args) => (calls++ === 0 ? planted() : response.encode.apply(response, args))
}

async function isClosed(client: Client, sending: Promise<unknown>): Promise<void> {
  await sending.then(
    () => assert.unreachable('no answer'),
    error => assert.is(error.code, 'DISCONNECTED'),
  )
  await client.close()
}

test('without a place for the error the connection is closed: a request that names nothing', async () => {
  serve(metadataApi, { handle: planted })
  const client = await wire.connect()
  await isClosed(client, client.send(metadataApi, 12, { topics: null }))
  log.expectOne(/^bug: a request failed/)
})

test('without an answer the connection is closed: acks=0', async () => {
  serve(produceApi, { handle: planted })
  const client = await wire.connect()
  const topicData = [{ name: 'topic', partitionData: [{ index: 0, records: null }] }]
  client.sendOneWay(produceApi.request, 9, { acks: 0, topicData })
  await isClosed(client, client.send(apiVersionsApi, 0, {}))
  log.expectOne(/^bug: a request failed/)
})

test('in a Produce, about one partition: the others are appended', async () => {
  const topic = await wire.createTopic('produced', 3)
  topic.partitions[1]!.append = planted
  const record = { timestamp: Date.now(), value: Buffer.from('value') }
  const records = await encodeBatch([record])
  const partitionData = [0, 1, 2].map(index => ({ index, records }))
  const topicData = [{ name: 'produced', partitionData }]
  const { responses } = await wire.send(produceApi, 9, { acks: -1, topicData })
  const errors = responses[0]!.partitionResponses.map(({ errorCode }) => errorName(errorCode))
  assert.equal(errors, ['NONE', 'UNKNOWN_SERVER_ERROR', 'NONE'])
  log.expectOne(/^bug: a request failed/)
})

for (const version of [4, 12, 18]) {
  test(`in a Fetch v${version}, about one partition, and after a wait`, async () => {
    const topic = await wire.createTopic(`fetched${version}`, 2)
    const { name, id: topicId } = topic
    await wire.produceTo(name, 0, 1)
    const broken = topic.partitions[1]!
    Object.defineProperty(broken, 'lastStableOffset', { get: planted, configurable: true })
    const partitions = [0, 1].map(partition => ({
      ...{ partition, fetchOffset: 0, partitionMaxBytes: 1024 },
    }))
    const request = {
      ...{ maxWaitMs: 60_000, minBytes: 1, maxBytes: 1024 * 1024 },
      topics: [version < 13 ? { topic: name, partitions } : { topicId, partitions }],
    }
    const { responses } = await wire.send(fetchApi, version, request)
    const errors = responses[0]!.partitions.map(({ errorCode }) => errorName(errorCode))
    assert.equal(errors, ['NONE', 'UNKNOWN_SERVER_ERROR'])
    log.expectOne(/^bug: a request failed/)
    Reflect.deleteProperty(broken, 'lastStableOffset')

    // The request itself is gone when a fetch waits.
    broken.listen = planted
    request.topics[0]!.partitions = [partitions[1]!]
    const failed = await wire.send(fetchApi, version, request)
    assert.equal(new Set(errorsIn(failed)), new Set(['UNKNOWN_SERVER_ERROR']))
    assert.is(wire.node.registry.replicas.pool.lentBytes, 0)
    log.expectOne(/^bug: a request failed/)
  })
}

test.run()
