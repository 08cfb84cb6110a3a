import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ErrorCode, errorInfo, errorName, errors } from '../../src/protocol/error-codes.ts'
import {
  decodeRequestHeader,
  decodeResponseHeader,
  encodeRequestHeader,
  encodeResponseHeader,
} from '../../src/protocol/header.ts'
import { metadataApi } from '../../src/protocol/messages/03-metadata.ts'
import { apiVersionsApi } from '../../src/protocol/messages/18-api-versions.ts'
import { MalformedFrame, Reader } from '../../src/protocol/reader.ts'
import type { Api } from '../../src/protocol/schema.ts'
import { Writer } from '../../src/protocol/writer.ts'

const test = suite('headers and error codes')

function requestHeader(api: Api, version: number, clientId: string | null): Buffer {
  const writer = new Writer()
  encodeRequestHeader(writer, api.request, version, 258, clientId)
  return Buffer.concat(writer.chunks())
}

function responseHeader(api: Api, version: number): string {
  const writer = new Writer()
  encodeResponseHeader(writer, api.response, version, 258)
  const frame = Buffer.concat(writer.chunks())
  const reader = new Reader(frame)
  assert.is(decodeResponseHeader(reader, api.response, version), 258)
  assert.is(reader.remaining, 0)
  return frame.toString('hex')
}

test('request header v1 and v2 differ by a tag section; the client id stays old-style', () => {
  assert.is(requestHeader(metadataApi, 8, 'ab').toString('hex'), '00030008000001020002' + '6162')
  assert.is(requestHeader(metadataApi, 9, 'ab').toString('hex'), '0003000900000102000261' + '6200')
  assert.is(requestHeader(metadataApi, 9, null).toString('hex'), '0003000900000102ffff00')
})

test('a request header decodes, null client id as empty, unknown tags skipped', () => {
  const expected = { apiKey: 3, apiVersion: 9, correlationId: 258, clientId: '' }
  const plain = new Reader(requestHeader(metadataApi, 9, null))
  assert.equal(
    decodeRequestHeader(plain, () => true),
    expected,
  )
  assert.is(plain.remaining, 0)
  const tagged = new Reader(Buffer.from('0003000900000102ffff010702aabb', 'hex'))
  assert.equal(
    decodeRequestHeader(tagged, (key, version) => key === 3 && version === 9),
    expected,
  )
  assert.is(tagged.remaining, 0)
})

test('a request header cut short or with a forged length is a MalformedFrame', () => {
  const whole = requestHeader(metadataApi, 9, 'ab')
  const isMalformed = (e: Error) => e instanceof MalformedFrame
  for (let length = 0; length < whole.length; length++) {
    const reader = new Reader(whole, 0, length)
    assert.throws(() => decodeRequestHeader(reader, () => true), isMalformed)
  }
  for (const text of ['7fff6162', 'fffe6162', '00026162ffffffff0f', '0002616201ff']) {
    const reader = new Reader(Buffer.from(`0003000900000102${text}`, 'hex'))
    assert.throws(() => decodeRequestHeader(reader, () => true), isMalformed, text)
  }
})

test('response headers have tags in flexible versions, but for ApiVersions never', () => {
  assert.is(responseHeader(metadataApi, 8), '00000102')
  assert.is(responseHeader(metadataApi, 9), '0000010200')
  assert.is(responseHeader(apiVersionsApi, 2), '00000102')
  assert.is(responseHeader(apiVersionsApi, 4), '00000102')
})

test('error codes are numbered without gaps from -1 to 136', () => {
  assert.equal(
    errors.map(({ code }) => code),
    Array.from({ length: 138 }, (_, i) => i - 1),
  )
})

test('an error code says its name and what a client does about it', () => {
  assert.is(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, 3)
  assert.equal(errorInfo(3), {
    code: 3,
    name: 'UNKNOWN_TOPIC_OR_PARTITION',
    retriable: true,
    refreshesMetadata: true,
  })
  assert.is(errorInfo(ErrorCode.CORRUPT_MESSAGE)?.retriable, true)
  assert.is(errorInfo(ErrorCode.CORRUPT_MESSAGE)?.refreshesMetadata, false)
  assert.is(errorInfo(ErrorCode.INVALID_RECORD)?.retriable, false)
  assert.is(errorInfo(1000), undefined)
  assert.is(errorName(0), 'NONE')
  assert.is(errorName(1000), 'error 1000')
})

test.run()
