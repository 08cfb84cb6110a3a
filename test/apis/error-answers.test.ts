import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { apiNameOf, type Body, errorAnswer } from '../../src/apis/error-answers.ts'
import type { ApiHandler } from '../../src/apis/handler.ts'
import { servedApis } from '../../src/apis/index.ts'
import { ErrorCode } from '../../src/protocol/error-codes.ts'
import { Reader } from '../../src/protocol/reader.ts'
import { Writer } from '../../src/protocol/writer.ts'
import { arbitraryMessage } from '../protocol/arbitrary-message.ts'

const RUNS = Number(process.env.RUNS ?? 60)
const seed = Number(process.env.SEED ?? Date.now() % 1_000_000)
const test = suite(`an answer with an error, of every API in every version (SEED=${seed})`)
const ERROR = { errorCode: ErrorCode.UNKNOWN_SERVER_ERROR, errorMessage: 'x'.repeat(100_000) }

/** What the request must list for its answer to have a place for the error; by API, `since` a version has one of its own. */
const LISTS: Readonly<
  Record<string, { readonly lists: readonly string[]; readonly since?: number }>
> = {
  Produce: { lists: ['topicData.partitionData'] },
  Fetch: { lists: ['topics.partitions'], since: 7 },
  ListOffsets: { lists: ['topics.partitions'] },
  Metadata: { lists: ['topics'], since: 13 },
  OffsetCommit: { lists: ['topics.partitions'] },
  OffsetFetch: { lists: ['groups', 'topics.partitionIndexes'] },
  FindCoordinator: { lists: ['coordinatorKeys'] },
  DescribeGroups: { lists: ['groups'] },
  CreateTopics: { lists: ['topics'] },
  DeleteTopics: { lists: ['topics', 'topicNames'] },
  DeleteRecords: { lists: ['topics.partitions'] },
  OffsetForLeaderEpoch: { lists: ['topics.partitions'] },
  DescribeConfigs: { lists: ['resources'] },
  AlterConfigs: { lists: ['resources'] },
  AlterReplicaLogDirs: { lists: ['dirs.topics.partitions'] },
  IncrementalAlterConfigs: { lists: ['resources'] },
  CreatePartitions: { lists: ['topics'] },
  DeleteGroups: { lists: ['groupsNames'] },
  ElectLeaders: { lists: ['topicPartitions.partitions'], since: 1 },
  DescribeProducers: { lists: ['topics.partitionIndexes'] },
  ConsumerGroupDescribe: { lists: ['groupIds'] },
  DescribeTopicPartitions: { lists: ['topics'] },
}

/** How many there are of what the request asks for by name. */
function asked(request: Body, path: string): number {
  const [list, ...inner] = path.split('.')
  const items = (request[list!] ?? []) as Body[]
  if (inner.length === 0) return items.length
  return items.reduce((sum, item) => sum + asked(item, inner.join('.')), 0)
}

/** All error codes in an answer; those that the version does not have are read as none. */
function codesIn(value: unknown): unknown[] {
  if (Array.isArray(value)) return value.flatMap(codesIn)
  if (typeof value !== 'object' || value === null || Buffer.isBuffer(value)) return []
  return Object.entries(value).flatMap(([name, item]) =>
    name === 'errorCode' ? [item] : codesIn(item),
  )
}

function readBack({ response }: ApiHandler, version: number, body: Body): Body {
  const writer = new Writer()
  response.encode(writer, version, body as never)
  const bytes = Buffer.concat(writer.chunks())
  const reader = new Reader(bytes)
  const decoded = response.decode(reader, version) as Body
  assert.is(reader.remaining, 0)
  return decoded
}

/** An answer has this one code wherever it has any: as often as what was asked for, or for the whole. */
function check(handler: ApiHandler, version: number, request: Body): void {
  const body = errorAnswer(handler, version, request, ERROR)
  const name = apiNameOf(handler)
  const { lists, since = Number.POSITIVE_INFINITY } = LISTS[name] ?? { lists: [], since: 0 }
  const count = lists.reduce((sum, path) => sum + asked(request, path), 0)
  const hasOwn = version >= since || isSingle(name, version)
  if (request.acks === 0 || (count === 0 && !hasOwn)) {
    assert.is(body, null)
    return
  }
  const codes = codesIn(readBack(handler, version, body!)).filter(code => code !== 0)
  assert.ok(codes.length > 0)
  assert.ok(codes.every(code => code === ERROR.errorCode))
  if (!hasOwn) assert.is(codes.length, count)
}

/** Versions that ask for one thing, where others have a list. */
function isSingle(name: string, version: number): boolean {
  if (name === 'FindCoordinator') return version < 4
  return name === 'OffsetFetch' && version >= 2 && version < 8
}

for (const handler of servedApis) {
  test(apiNameOf(handler), () => {
    for (let version = handler.min; version <= handler.max; version++) {
      fc.assert(
        fc.property(arbitraryMessage(handler.request, version), request =>
          check(handler, version, request),
        ),
        { seed, numRuns: RUNS },
      )
    }
  })
}

test.run()
