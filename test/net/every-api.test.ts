import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { pino } from 'pino'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { ApiHandler } from '../../src/apis/handler.ts'
import { servedApis } from '../../src/apis/index.ts'
import { BrokerNode } from '../../src/broker.ts'
import { Client } from '../../src/client/client.ts'
import { type Field, type Fields, includes } from '../../src/protocol/fields.ts'
import { STRING_BYTES_MAX } from '../../src/protocol/reader.ts'
import { Random } from '../lib/random.ts'
import { arbitraryMessage } from '../protocol/arbitrary-message.ts'

/** Requests of every API and version. Most of what is in them does not exist, so it is the ways to say no that are tried. */
const REQUESTS = Number(process.env.REQUESTS ?? 12)
/** What a request may ask to wait for, in ms, and how many partitions it may make. */
const WAIT_MS_MAX = 20
const COUNT_MAX = 3

const seed = Number(process.env.SEED ?? Date.now() % 1_000_000)
const random = new Random(seed)
const test = suite(`every API in every version answers what is nonsense (SEED=${seed})`)
const complaints: string[] = []
let dir: string
let node: BrokerNode

test.before(async () => {
  dir = mkdtempSync(join(tmpdir(), 'odradek-every-api-'))
  const log = pino({ level: 'error' }, { write: (line: string) => complaints.push(line) })
  const code = {
    listeners: 'PLAINTEXT://127.0.0.1:0',
    dataDir: dir,
    groupInitialRebalanceDelayMs: 0,
    groupMinSessionTimeoutMs: 1,
  }
  node = await BrokerNode.start({ code }, log)
})
test.after(async () => {
  await node.close()
  rmSync(dir, { recursive: true })
})

type Value = Record<string, unknown>

/** What there is: half of the names and ids are those, or no request would come far. */
const KNOWN: readonly (readonly [RegExp, () => unknown])[] = [
  [/^(name|topics?|topicName|resourceName|topicNames|subscribedTopicNames)$/, () => TOPIC],
  [/^(groupId|groupIds|groups|groupsNames|key|coordinatorKeys)$/, () => GROUP],
  [/^topicId$/, () => node.registry.topic(TOPIC)?.id],
  [/^partition(s|Index|Indexes)?$/, () => 0],
  [/^resourceType$/, () => 2],
  [/^memberId$/, () => ''],
]
/** Every so many strings is as long as one can be: what answers say about it must fit, too. */
const LONG_EVERY = 6
const longText = (): string =>
  random.below(2) === 0 ? 'x'.repeat(STRING_BYTES_MAX) : 'é'.repeat(STRING_BYTES_MAX >> 1)

const TOPIC = 'topic'
const GROUP = 'group'

function knownOr(name: string, value: unknown): unknown {
  if (random.below(2) === 0) return value
  const known = KNOWN.find(([pattern]) => pattern.test(name))?.[1]()
  return typeof known === typeof value ? known : value
}

/** Random values, but none that make the broker wait long or work much. */
function bounded(fields: Fields, version: number, value: Value): Value {
  const present = Object.entries(value).filter(([name]) =>
    includes(fields[name]!.versions, version),
  )
  return Object.fromEntries(
    present.map(([name, one]) => [name, boundedField(fields[name]!, name, version, one)]),
  )
}

function boundedField(field: Field, name: string, version: number, value: unknown): unknown {
  if (value === null) return null
  if (Array.isArray(value))
    return value.map(one => boundedField(field.element!, name, version, one))
  if (field.kind === 'struct') return bounded(field.fields!, version, value as Value)
  if (field.kind === 'string' && random.below(LONG_EVERY) === 0) return longText()
  if (typeof value !== 'number') return knownOr(name, value)
  if (/Ms$/i.test(name)) return Math.min(value, WAIT_MS_MAX)
  if (/^(numPartitions|count)$/.test(name)) return Math.min(value, COUNT_MAX)
  return knownOr(name, value)
}

/** Whether the client waits for an answer: a produce request may say that it does not. */
const wantsAnswer = ({ request }: ApiHandler, value: Value): boolean =>
  request.apiKey !== 0 || value.acks !== 0

for (const handler of servedApis) {
  test(`${handler.request.name} ${handler.min} to ${handler.max}`, async () => {
    if (node.registry.topic(TOPIC) === undefined) await node.registry.create(TOPIC, 1, {})
    for (let version = handler.min; version <= handler.max; version++) {
      const arbitrary = arbitraryMessage(handler.request, version)
      for (const value of fc.sample(arbitrary, { seed: seed + version, numRuns: REQUESTS })) {
        const request = bounded(handler.request.fields, version, value)
        if (!wantsAnswer(handler, request)) continue
        const clientId = random.below(LONG_EVERY) === 0 ? longText() : 'every-api'
        await using client = await Client.connect({ ...node.endpoint('PLAINTEXT'), clientId })
        await client.send(handler as never, version, request as never)
      }
    }
    assert.equal(complaints.splice(0), [])
  })
}

test.run()
