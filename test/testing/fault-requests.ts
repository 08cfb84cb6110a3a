import type { ApiHandler } from '../../src/apis/handler.ts'
import { servedApis } from '../../src/apis/index.ts'
import type { Client } from '../../src/client/client.ts'
import { errorName } from '../../src/protocol/error-codes.ts'
import { metadataApi } from '../../src/protocol/messages/03-metadata.ts'
import type { ApiName } from '../../src/testing/releases.ts'
import type { TestBroker } from '../../src/testing/test-broker.ts'

type Body = Record<string, unknown>

export interface NamedTopic {
  readonly name: string
  readonly topicId: string
}

export function addressOf({ bootstrapServers }: TestBroker): { host: string; port: number } {
  const [host, port] = bootstrapServers.split(':')
  return { host: host!, port: Number(port) }
}

/** Asks for the id of a topic. */
export async function idOf(client: Client, name: string): Promise<NamedTopic> {
  const request = { topics: [{ name }], allowAutoTopicCreation: false }
  const { topics } = await client.send(metadataApi, 12, request)
  return { name, topicId: topics[0]!.topicId }
}

/** Requests about two topics, the first partition of each, or about a group. */
function requestOf(api: ApiName, version: number, named: readonly NamedTopic[]): Body {
  const topics = (partition: Body) =>
    named.map(({ name, topicId }) => ({
      ...{ name, topic: name, topicId },
      partitions: [{ partition: 0, partitionIndex: 0, ...partition }],
    }))
  const names = named.map(({ name }) => name)
  const requests: Partial<Record<ApiName, Body>> = {
    Produce: {
      ...{ acks: -1, timeoutMs: 1000 },
      topicData: named.map(topic => ({ ...topic, partitionData: [{ index: 0 }] })),
    },
    Fetch: { maxWaitMs: 60_000, minBytes: 1, topics: topics({ partitionMaxBytes: 1 }) },
    ListOffsets: { topics: topics({ timestamp: -1 }) },
    OffsetCommit: { groupId: 'g', topics: topics({ committedMetadata: '' }) },
    DeleteRecords: { topics: topics({}) },
    OffsetForLeaderEpoch: { topics: topics({}) },
    Metadata: { topics: names.map(name => ({ name })) },
    CreateTopics: { topics: names.map(name => ({ name, numPartitions: 1, replicationFactor: 1 })) },
    DeleteTopics: version < 6 ? { topicNames: names } : { topics: names.map(name => ({ name })) },
    CreatePartitions: { topics: names.map(name => ({ name, count: 3, assignments: null })) },
    FindCoordinator: version < 4 ? { key: 'g' } : { coordinatorKeys: ['g'] },
    OffsetFetch:
      version < 8
        ? { groupId: 'g', topics: [{ name: names[0], partitionIndexes: [0] }] }
        : { groups: [{ groupId: 'g', topics: null }] },
    DescribeGroups: { groups: ['g'] },
    DeleteGroups: { groupsNames: ['g'] },
    ConsumerGroupDescribe: { groupIds: ['g'] },
  }
  return requests[api] ?? {}
}

interface FieldLike {
  readonly element?: FieldLike | undefined
  readonly fields?: Readonly<Record<string, FieldLike>> | undefined
  readonly versions: { readonly min: number; readonly max: number }
}

/** The value without what its field does not have in this version, which would be refused. */
function fitting(field: FieldLike, value: unknown, version: number): unknown {
  if (Array.isArray(value)) return value.map(item => fitting(field.element!, item, version))
  if (field.fields === undefined || value === null) return value
  return fittingAll(field.fields, value as Body, version)
}

function fittingAll(
  fields: Readonly<Record<string, FieldLike>>,
  body: Body,
  version: number,
): Body {
  const known = Object.entries(body).filter(([key]) => {
    const versions = fields[key]?.versions
    return versions !== undefined && version >= versions.min && version <= versions.max
  })
  return Object.fromEntries(known.map(([key, v]) => [key, fitting(fields[key]!, v, version)]))
}

export interface FoundError {
  /** Name or id of the topic that it is about, or nothing. */
  readonly topic: string
  readonly error: string
}

/** Every error code in an answer. */
function errorsIn(value: unknown, place: string): FoundError[] {
  if (Array.isArray(value)) return value.flatMap(item => errorsIn(item, place))
  if (typeof value !== 'object' || value === null || Buffer.isBuffer(value)) return []
  const { name, topic, topicId, errorCode } = value as Body
  const here = String(name || topic || topicId || place)
  const own = typeof errorCode === 'number' ? [{ topic: here, error: errorName(errorCode) }] : []
  return [...own, ...Object.values(value).flatMap(inner => errorsIn(inner, here))]
}

export const handlerOf = (api: ApiName): ApiHandler =>
  servedApis.find(({ request }) => request.name === `${api}Request`)!

/** Sends such a request. @returns all error codes of its answer */
export async function errorsOf(
  client: Client,
  api: ApiName,
  version: number,
  named: readonly NamedTopic[],
): Promise<FoundError[]> {
  const handler = handlerOf(api)
  const fields = handler.request.fields as Readonly<Record<string, FieldLike>>
  const request = fittingAll(fields, requestOf(api, version, named), version)
  return errorsIn(await client.send(handler as never, version, request as never), '')
}
