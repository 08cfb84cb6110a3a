import { once } from 'node:events'
import { connect } from 'node:net'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { decodeResponseHeader, encodeRequestHeader } from '../../src/protocol/header.ts'
import { metadataApi } from '../../src/protocol/messages/03-metadata.ts'
import { apiVersionsApi } from '../../src/protocol/messages/18-api-versions.ts'
import { Reader } from '../../src/protocol/reader.ts'
import type { Api } from '../../src/protocol/schema.ts'
import { Writer } from '../../src/protocol/writer.ts'
import { Wire } from '../apis/wire.ts'

const test = suite('issue 5: bytes behind a request are left, as Kafka leaves them')
let wire: Wire

test.before(async () => {
  wire = await Wire.start()
})
test.after(() => wire.close())

/** Sends a header and these bytes behind it. @returns the answer, behind its header */
async function sendRaw(api: Api, version: number, body: string): Promise<Reader> {
  const writer = new Writer()
  const mark = writer.startFrame()
  encodeRequestHeader(writer, api.request, version, 7, 'x')
  writer.copy(Buffer.from(body, 'hex'))
  writer.endFrame(mark)
  const socket = connect(wire.node.endpoint('PLAINTEXT'))
  socket.write(Buffer.concat(writer.chunks()))
  const closed = once(socket, 'close').then(() => [Buffer.alloc(0)])
  const [answer] = (await Promise.race([once(socket, 'data'), closed])) as [Buffer]
  socket.destroy()
  assert.ok(answer.length > 0, 'something is answered')
  const reader = new Reader(answer, 4)
  decodeResponseHeader(reader, api.response, version)
  return reader
}

/**
 * Since 2.3 librdkafka leaves room of four bytes for the count of topics and fills only the first of them when it
 * wants all topics: list_topics() and every subscription by pattern.
 */
test('metadata of all topics, as librdkafka asks for it', async () => {
  await wire.createTopic('there')
  for (const version of [9, 10, 11, 12, 13]) {
    const operations = version <= 10 ? '0000' : '00'
    const reader = await sendRaw(metadataApi, version, `0000000001${operations}00`)
    const answer = metadataApi.response.decode(reader, version)
    assert.equal(
      answer.topics.map(t => t.name),
      ['there'],
      `version ${version}`,
    )
  }
})

test('any other request', async () => {
  const reader = await sendRaw(apiVersionsApi, 0, 'deadbeef')
  assert.is(apiVersionsApi.response.decode(reader, 0).errorCode, 0)
})

test.run()
