/** Bytes written by hand after the protocol guide: a mistake shared by encoder and decoder shows. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { produceRequest, produceResponse } from '../../src/protocol/messages/00-produce.ts'
import { fetchRequest, fetchResponse } from '../../src/protocol/messages/01-fetch.ts'
import { metadataRequest, metadataResponse } from '../../src/protocol/messages/03-metadata.ts'
import {
  apiVersionsRequest,
  apiVersionsResponse,
} from '../../src/protocol/messages/18-api-versions.ts'
import { initProducerIdRequest } from '../../src/protocol/messages/22-init-producer-id.ts'
import { describeTopicPartitionsRequest } from '../../src/protocol/messages/75-describe-topic-partitions.ts'
import { Reader } from '../../src/protocol/reader.ts'
import type { Message } from '../../src/protocol/schema.ts'
import { Writer } from '../../src/protocol/writer.ts'

const test = suite('vectors')

/** Joins pieces of hex; text in quotes stands for its ASCII bytes. */
function wire(text: string): Buffer {
  const pieces = text.trim().split(/\s+/)
  return Buffer.concat(
    pieces.map(p => (p[0] === "'" ? Buffer.from(p.slice(1, -1)) : Buffer.from(p, 'hex'))),
  )
}

/** Encodes `value` to exactly `expected`, which decodes to at least `value`. */
function check(message: Message, version: number, value: object, expected: string): void {
  const writer = new Writer()
  message.encode(writer, version, value as Record<string, unknown>)
  assert.is(Buffer.concat(writer.chunks()).toString('hex'), wire(expected).toString('hex'))
  const reader = new Reader(wire(expected))
  contains(message.decode(reader, version), value, message.name)
  assert.is(reader.remaining, 0)
}

function contains(actual: unknown, expected: unknown, path: string): void {
  const plain = expected === null || typeof expected !== 'object' || Buffer.isBuffer(expected)
  if (plain) {
    assert.equal(actual, expected, path)
    return
  }
  const container = actual as Record<string, unknown>
  if (Array.isArray(expected)) assert.is(container.length, expected.length, path)
  for (const [key, value] of Object.entries(expected)) {
    contains(container[key], value, `${path}.${key}`)
  }
}

const records = Buffer.from('deadbeef', 'hex')
const topicId = 'AAECAwQFBgcICQoLDA0ODw'
const idBytes = '000102030405060708090a0b0c0d0e0f'

test('ApiVersions v0', () => {
  check(apiVersionsRequest, 0, {}, '')
  const apiKeys = [{ apiKey: 18, minVersion: 0, maxVersion: 4 }]
  check(apiVersionsResponse, 0, { errorCode: 35, apiKeys }, '0023 00000001 0012 0000 0004')
})

test('ApiVersions v3', () => {
  const client = { clientSoftwareName: 'kcat', clientSoftwareVersion: '1.7' }
  check(apiVersionsRequest, 3, client, "05 'kcat' 04 '1.7' 00")
  const apiKeys = [{ apiKey: 18, minVersion: 0, maxVersion: 4 }]
  check(apiVersionsResponse, 3, { apiKeys }, '0000 02 0012 0000 0004 00 00000000 00')
  const features = {
    apiKeys,
    supportedFeatures: [{ name: 't', minVersion: 1, maxVersion: 2 }],
    finalizedFeaturesEpoch: 5,
  }
  check(
    apiVersionsResponse,
    3,
    features,
    "0000 02 0012 0000 0004 00 00000000 02 00 08 02 02 't' 0001 0002 00 01 08 0000000000000005",
  )
})

test('Metadata v1', () => {
  check(metadataRequest, 1, { topics: null }, 'ffffffff')
  check(metadataRequest, 1, { topics: [{ name: 'a' }] }, "00000001 0001 'a'")
  const value = {
    brokers: [{ nodeId: 7, host: 'localhost', port: 9092, rack: null }],
    controllerId: 7,
    topics: [
      {
        errorCode: 0,
        name: 'a',
        isInternal: true,
        partitions: [
          { errorCode: 0, partitionIndex: 1, leaderId: 7, replicaNodes: [7, 8], isrNodes: [7] },
        ],
      },
    ],
  }
  check(
    metadataResponse,
    1,
    value,
    `00000001 00000007 0009 'localhost' 00002384 ffff 00000007
     00000001 0000 0001 'a' 01
     00000001 0000 00000001 00000007 00000002 00000007 00000008 00000001 00000007`,
  )
})

const produced = {
  transactionalId: null,
  acks: -1,
  timeoutMs: 1500,
  topicData: [{ name: 'foo', partitionData: [{ index: 2, records }] }],
}

test('Produce v7', () => {
  check(
    produceRequest,
    7,
    produced,
    "ffff ffff 000005dc 00000001 0003 'foo' 00000001 00000002 00000004 deadbeef",
  )
  const value = {
    responses: [
      { name: 'foo', partitionResponses: [{ index: 2, errorCode: 3, baseOffset: 2 ** 40 + 255 }] },
    ],
  }
  check(
    produceResponse,
    7,
    value,
    `00000001 0003 'foo' 00000001 00000002 0003 00000100000000ff ffffffffffffffff ffffffffffffffff
     00000000`,
  )
})

test('Produce v9', () => {
  check(
    produceRequest,
    9,
    produced,
    "00 ffff 000005dc 02 04 'foo' 02 00000002 05 deadbeef 00 00 00",
  )
})

test('Produce v13 carries ids, and v10 answers carry the leader in tags', () => {
  const value = { ...produced, topicData: [{ topicId, partitionData: [{ index: 2, records }] }] }
  check(
    produceRequest,
    13,
    value,
    `00 ffff 000005dc 02 ${idBytes} 02 00000002 05 deadbeef 00 00 00`,
  )
  const currentLeader = { leaderId: 3, leaderEpoch: 9 }
  const partitionResponses = [{ index: 0, errorCode: 6, baseOffset: -1, currentLeader }]
  check(
    produceResponse,
    10,
    { responses: [{ name: 'foo', partitionResponses }] },
    `02 04 'foo' 02 00000000 0006 ffffffffffffffff ffffffffffffffff ffffffffffffffff 01 00
     01 00 09 00000003 00000009 00 00 00000000 00`,
  )
})

const fetched = {
  maxWaitMs: 500,
  minBytes: 1,
  maxBytes: 52428800,
  isolationLevel: 1,
  topics: [
    {
      topic: 'foo',
      partitions: [
        { partition: 0, currentLeaderEpoch: 5, fetchOffset: 10, partitionMaxBytes: 1048576 },
      ],
    },
  ],
}

test('Fetch v11', () => {
  check(
    fetchRequest,
    11,
    { ...fetched, forgottenTopicsData: [{ topic: 'b', partitions: [4] }], rackId: 'r' },
    `ffffffff 000001f4 00000001 03200000 01 00000000 ffffffff
     00000001 0003 'foo' 00000001 00000000 00000005 000000000000000a ffffffffffffffff 00100000
     00000001 0001 'b' 00000001 00000004 0001 'r'`,
  )
  const partitions = [
    {
      partitionIndex: 0,
      highWatermark: 12,
      lastStableOffset: 12,
      abortedTransactions: null,
      records,
    },
  ]
  check(
    fetchResponse,
    11,
    { throttleTimeMs: 1, sessionId: 6, responses: [{ topic: 'foo', partitions }] },
    `00000001 0000 00000006 00000001 0003 'foo' 00000001 00000000 0000 000000000000000c
     000000000000000c ffffffffffffffff ffffffff ffffffff 00000004 deadbeef`,
  )
})

test('Fetch v12', () => {
  check(
    fetchRequest,
    12,
    { ...fetched, clusterId: 'ab' },
    `ffffffff 000001f4 00000001 03200000 01 00000000 ffffffff
     02 04 'foo' 02 00000000 00000005 000000000000000a ffffffff ffffffffffffffff 00100000 00 00
     01 01 01 00 03 03 'ab'`,
  )
  const partitions = [
    {
      partitionIndex: 0,
      divergingEpoch: { epoch: 2, endOffset: 7 },
      currentLeader: { leaderId: 1 },
      abortedTransactions: [{ producerId: 1, firstOffset: 2 }],
      records: null,
    },
  ]
  check(
    fetchResponse,
    12,
    { responses: [{ topic: 'foo', partitions }] },
    `00000000 0000 00000000 02 04 'foo' 02 00000000 0000 0000000000000000 ffffffffffffffff
     ffffffffffffffff 02 0000000000000001 0000000000000002 00 ffffffff 00
     02 00 0d 00000002 0000000000000007 00 01 09 00000001 ffffffff 00 00 00`,
  )
})

test('InitProducerId v1, and a nullable struct with its int8 prefix', () => {
  check(initProducerIdRequest, 1, { transactionalId: 'x' }, "0001 'x' 00000000")
  const topics = [{ name: 'a' }]
  check(describeTopicPartitionsRequest, 0, { topics }, "02 02 'a' 00 000007d0 ff 00")
  const cursor = { topicName: 'a', partitionIndex: 3 }
  check(
    describeTopicPartitionsRequest,
    0,
    { topics, cursor },
    "02 02 'a' 00 000007d0 01 02 'a' 00000003 00 00",
  )
})

test.run()
