/**
 * The answers that say of all that a request asks for that it has failed: the error in each place where the API's answer has
 * one, as getErrorResponse of Kafka's request classes does it. It is made when nobody knows what has happened, and for faults
 * of the testing kit.
 */
import { type Field, type Fields, includes } from '../protocol/fields.ts'
import type { ApiHandler } from './handler.ts'

/** A request or an answer, decoded: of any API, so its fields are looked up by name. */
export type Body = Record<string, unknown>

export interface RequestError {
  readonly errorCode: number
  readonly errorMessage: string | null
}

/** Field names of an API whose request and answer list topics with their partitions. */
export interface PartitionList {
  /** The topics in the request, and in the answer. */
  readonly topics: string
  readonly answered: string
  readonly name: 'name' | 'topic'
  readonly partitions: string
  readonly answeredPartitions: string
  /** Of a partition in the request, unless it is no more than its number. */
  readonly index: string
  readonly answeredIndex: string
  /** What a partition's answer has besides the error. */
  readonly rest: Body
}

const usual = {
  topics: 'topics',
  answered: 'topics',
  name: 'name',
  partitions: 'partitions',
  answeredPartitions: 'partitions',
  index: 'partitionIndex',
  answeredIndex: 'partitionIndex',
  rest: {},
} as const

export const partitionLists = {
  Produce: {
    ...usual,
    topics: 'topicData',
    answered: 'responses',
    partitions: 'partitionData',
    answeredPartitions: 'partitionResponses',
    index: 'index',
    answeredIndex: 'index',
    rest: { baseOffset: -1 },
  },
  Fetch: {
    ...usual,
    answered: 'responses',
    name: 'topic',
    index: 'partition',
    rest: { highWatermark: -1, abortedTransactions: null, records: null },
  },
  ListOffsets: usual,
  OffsetCommit: usual,
  DeleteRecords: { ...usual, rest: { lowWatermark: -1 } },
  OffsetForLeaderEpoch: {
    ...usual,
    name: 'topic',
    index: 'partition',
    answeredIndex: 'partition',
  },
  ElectLeaders: {
    ...usual,
    topics: 'topicPartitions',
    answered: 'replicaElectionResults',
    name: 'topic',
    answeredPartitions: 'partitionResult',
    answeredIndex: 'partitionId',
  },
  AlterPartitionReassignments: { ...usual, answered: 'responses' },
  DescribeProducers: { ...usual, partitions: 'partitionIndexes' },
} as const satisfies Record<string, PartitionList>

/** The topics of such a request as they are answered, each partition with the error. */
export function failedTopics(
  { name, partitions, answeredPartitions, index, answeredIndex, rest }: PartitionList,
  topics: readonly Body[],
  { errorCode, errorMessage }: RequestError,
): Body[] {
  return topics.map(topic => ({
    [name]: topic[name],
    ...('topicId' in topic ? { topicId: topic.topicId } : {}),
    [answeredPartitions]: (topic[partitions] as (Body | number)[]).map(partition => ({
      [answeredIndex]: typeof partition === 'number' ? partition : partition[index],
      ...{ ...rest, errorCode, errorMessage },
    })),
  }))
}

type Make = (request: Body, error: RequestError, version: number) => Body

const listOf = <T>(value: unknown): readonly T[] => (value as readonly T[] | null) ?? []

/** The error is that of the whole answer. */
const whole =
  (rest: Body = {}): Make =>
  (_, error) => ({ ...rest, ...error })

const eachPartition =
  (list: PartitionList): Make =>
  (request, error) => ({
    [list.answered]: failedTopics(list, listOf(request[list.topics]), error),
  })

/** Both. */
const wholeAndEach =
  (list: PartitionList): Make =>
  (request, error) => ({ ...error, ...eachPartition(list)(request, error, 0) })

/** The items of a list, by themselves or by what names them. */
const each =
  (asked: string, answered: string, names: readonly string[]): Make =>
  (request, error) => ({
    [answered]: listOf<string | Body>(request[asked]).map(item => ({
      ...named(item, names),
      ...error,
    })),
  })

function named(item: string | Body, names: readonly string[]): Body {
  if (typeof item === 'string') return { [names[0]!]: item }
  return Object.fromEntries(names.map(name => [name, item[name]]))
}

const RESOURCE = ['resourceType', 'resourceName']

/** From this version on the error is that of the whole answer, and no partition is listed. */
const FETCH_ERROR_ALONE_SINCE = 13
const fetch: Make = (request, error, version) => {
  const { sessionId } = request
  if (version >= FETCH_ERROR_ALONE_SINCE) return { ...error, sessionId }
  return { sessionId, ...wholeAndEach(partitionLists.Fetch)(request, error, version) }
}

const metadata: Make = (request, error) => {
  const topics = listOf<Body>(request.topics).map(({ name, topicId }) => ({
    ...{ name: name ?? '', topicId, ...error },
  }))
  return { ...error, topics }
}

const COORDINATORS_SINCE = 4
const findCoordinator: Make = (request, error, version) => {
  const nowhere = { nodeId: -1, host: '', port: -1, ...error }
  if (version < COORDINATORS_SINCE) return nowhere
  return { coordinators: listOf(request.coordinatorKeys).map(key => ({ key, ...nowhere })) }
}

const OFFSETS_OF_GROUPS_SINCE = 8
const OFFSETS_ERROR_SINCE = 2
const offsetFetch: Make = (request, error, version) => {
  if (version >= OFFSETS_OF_GROUPS_SINCE) {
    const groups = listOf<Body>(request.groups)
    return { groups: groups.map(({ groupId }) => ({ groupId, ...error })) }
  }
  if (version >= OFFSETS_ERROR_SINCE) return { ...error }
  const rest = { committedOffset: -1, metadata: '' }
  const list = { ...usual, partitions: 'partitionIndexes', rest }
  return eachPartition(list)(request, error, version)
}

const NULL_PROTOCOL_SINCE = 7
const joinGroup: Make = ({ memberId }, error, version) => {
  const protocolName = version < NULL_PROTOCOL_SINCE ? '' : null
  return { ...error, generationId: -1, protocolName, memberId }
}

const TOPIC_STATES_SINCE = 6
const deleteTopics: Make = (request, error, version) => {
  const asked = version < TOPIC_STATES_SINCE ? 'topicNames' : 'topics'
  return each(asked, 'responses', ['name', 'topicId'])(request, error, version)
}

/** Older answers have an error only with a folder of logs: of which one nobody knows. */
const LOG_DIRS_ERROR_SINCE = 3
const describeLogDirs: Make = (_, error, version) =>
  version < LOG_DIRS_ERROR_SINCE ? { results: [{ ...error, logDir: '' }] } : { ...error }

const alterReplicaLogDirs: Make = (request, error) => {
  const topics = listOf<Body>(request.dirs).flatMap(dir => listOf<Body>(dir.topics))
  const results = failedTopics(usual, topics, error)
  return { results: results.map(({ name, partitions }) => ({ topicName: name, partitions })) }
}

/** By Kafka's name of the API. */
const makers: Readonly<Record<string, Make>> = {
  Produce: eachPartition(partitionLists.Produce),
  Fetch: fetch,
  ListOffsets: eachPartition(partitionLists.ListOffsets),
  Metadata: metadata,
  OffsetCommit: eachPartition(partitionLists.OffsetCommit),
  OffsetFetch: offsetFetch,
  FindCoordinator: findCoordinator,
  JoinGroup: joinGroup,
  Heartbeat: whole(),
  LeaveGroup: whole(),
  SyncGroup: whole(),
  DescribeGroups: each('groups', 'groups', ['groupId']),
  ListGroups: whole(),
  ApiVersions: whole(),
  CreateTopics: each('topics', 'topics', ['name']),
  DeleteTopics: deleteTopics,
  DeleteRecords: eachPartition(partitionLists.DeleteRecords),
  InitProducerId: whole({ producerId: -1, producerEpoch: -1 }),
  OffsetForLeaderEpoch: eachPartition(partitionLists.OffsetForLeaderEpoch),
  DescribeConfigs: each('resources', 'results', RESOURCE),
  AlterConfigs: each('resources', 'responses', RESOURCE),
  AlterReplicaLogDirs: alterReplicaLogDirs,
  DescribeLogDirs: describeLogDirs,
  CreatePartitions: each('topics', 'results', ['name']),
  DeleteGroups: each('groupsNames', 'results', ['groupId']),
  ElectLeaders: wholeAndEach(partitionLists.ElectLeaders),
  IncrementalAlterConfigs: each('resources', 'responses', RESOURCE),
  AlterPartitionReassignments: wholeAndEach(partitionLists.AlterPartitionReassignments),
  ListPartitionReassignments: whole(),
  OffsetDelete: whole(),
  DescribeQuorum: whole(),
  UpdateFeatures: whole(),
  DescribeCluster: whole(),
  DescribeProducers: eachPartition(partitionLists.DescribeProducers),
  UnregisterBroker: whole(),
  ConsumerGroupHeartbeat: whole(),
  ConsumerGroupDescribe: each('groupIds', 'groups', ['groupId']),
  ListConfigResources: whole(),
  DescribeTopicPartitions: each('topics', 'topics', ['name']),
}

export const apiNameOf = ({ request }: Pick<ApiHandler, 'request'>): string =>
  request.name.replace(/Request$/, '')

/**
 * The answer to a request of which everything has failed. Null if it has no place for the error: nothing is asked for by
 * name, or no answer is wanted (acks=0). An answer without the error would say something else.
 */
export function errorAnswer(
  handler: Pick<ApiHandler, 'request' | 'response'>,
  version: number,
  request: Body,
  error: RequestError,
): Body | null {
  const make = makers[apiNameOf(handler)]
  if (make === undefined || request.acks === 0) return null
  const body = fitting(handler.response.fields, make(request, error, version), version)
  return says(body, error.errorCode) ? body : null
}

/** What the version has of it. */
function fitting(fields: Fields, body: Body, version: number): Body {
  const known = Object.entries(body).filter(([name]) => {
    const field = fields[name]
    return field !== undefined && includes(field.versions, version)
  })
  return Object.fromEntries(
    known.map(([name, value]) => [name, fittingField(fields[name]!, value, version)]),
  )
}

function fittingField({ element }: Field, value: unknown, version: number): unknown {
  const inner = element?.fields
  if (inner === undefined || !Array.isArray(value)) return value
  return value.map(item => fitting(inner, item as Body, version))
}

function says(value: unknown, errorCode: number): boolean {
  if (Array.isArray(value)) return value.some(item => says(item, errorCode))
  if (typeof value !== 'object' || value === null) return false
  const body = value as Body
  return body.errorCode === errorCode || Object.values(body).some(item => says(item, errorCode))
}
