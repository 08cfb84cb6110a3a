import type { ApiName } from '../releases.ts'
import type { Body, ErrorAnswer, Strike } from './answers.ts'

/** Field names of an API whose request and answer list topics with their partitions. */
interface PartitionList {
  /** The topics in the request, and in the answer. */
  readonly topics: string
  readonly answered: string
  readonly name: 'name' | 'topic'
  readonly partitions: string
  readonly answeredPartitions: string
  readonly index: string
  readonly answeredIndex: string
  /** What a partition's answer has besides the error. */
  readonly rest: Body
  /** So that the rest of the request is answered at once. */
  readonly hurry?: Body
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

interface FaultyTopic {
  readonly topic: Body
  readonly partitions: readonly Body[]
}

function byPartition(fields: PartitionList): ErrorAnswer {
  return {
    scope: 'partition',
    split(request, strike) {
      const { rest, taken } = takeOut(request, fields, strike)
      if (taken.length === 0) return null
      return {
        rest: rest.length === 0 ? null : { ...request, ...fields.hurry, [fields.topics]: rest },
        complete: body => completed(body, taken, fields, strike),
      }
    },
  }
}

function takeOut(request: Body, fields: PartitionList, strike: Strike) {
  const rest: Body[] = []
  const taken: FaultyTopic[] = []
  for (const topic of request[fields.topics] as Body[]) {
    const all = topic[fields.partitions] as Body[]
    const isTopic = strike.isTopic(topic[fields.name], topic.topicId)
    const isFaulty = (p: Body): boolean => isTopic && strike.isPartition(p[fields.index])
    const partitions = all.filter(isFaulty)
    if (partitions.length > 0) taken.push({ topic, partitions })
    const others = all.filter(p => !isFaulty(p))
    if (others.length > 0) rest.push({ ...topic, [fields.partitions]: others })
  }
  return { rest, taken }
}

/** The errors among the answers to the rest: a topic stays one entry, since clients may keep only one of two. */
function completed(
  body: Body | null,
  taken: readonly FaultyTopic[],
  fields: PartitionList,
  { errorCode, errorMessage }: Strike,
): Body {
  const { name, answered, answeredPartitions, answeredIndex, index, rest } = fields
  const topics = [...((body?.[answered] as Body[] | undefined) ?? [])]
  for (const { topic, partitions } of taken) {
    const failed = partitions.map(p => ({
      ...{ [answeredIndex]: p[index], ...rest, errorCode },
      ...('errorMessage' in rest ? { errorMessage } : {}),
    }))
    const at = topics.findIndex(t => t[name] === topic[name] && t.topicId === topic.topicId)
    const known = topics[at]
    if (known === undefined) {
      const id = 'topicId' in topic ? { topicId: topic.topicId } : {}
      topics.push({ [name]: topic[name], ...id, [answeredPartitions]: failed })
    } else {
      const both = [...(known[answeredPartitions] as Body[]), ...failed]
      topics[at] = { ...known, [answeredPartitions]: both }
    }
  }
  return { ...body, [answered]: topics }
}

export const partitionLists = {
  Produce: byPartition({
    ...usual,
    topics: 'topicData',
    answered: 'responses',
    partitions: 'partitionData',
    answeredPartitions: 'partitionResponses',
    index: 'index',
    answeredIndex: 'index',
    rest: { baseOffset: -1, errorMessage: null },
  }),
  Fetch: byPartition({
    ...usual,
    answered: 'responses',
    name: 'topic',
    index: 'partition',
    rest: { highWatermark: -1, abortedTransactions: null, records: null },
    hurry: { maxWaitMs: 0 },
  }),
  ListOffsets: byPartition(usual),
  OffsetCommit: byPartition(usual),
  DeleteRecords: byPartition({ ...usual, rest: { lowWatermark: -1 } }),
  OffsetForLeaderEpoch: byPartition({
    ...usual,
    name: 'topic',
    index: 'partition',
    answeredIndex: 'partition',
  }),
} satisfies Partial<Record<ApiName, ErrorAnswer>>

/** Of an API whose request and answer list topics: where the request has them, by name alone or with more. */
function byTopic(answered: string, lists: readonly string[]): ErrorAnswer {
  return {
    scope: 'topic',
    split(request, strike) {
      const taken: Body[] = []
      const rest: Body = { ...request }
      for (const list of lists) {
        const all = request[list] as (string | Body)[]
        const isFaulty = (item: string | Body): boolean => {
          const { name, topicId } = named(item)
          return strike.isTopic(name, topicId)
        }
        taken.push(...all.filter(isFaulty).map(named))
        rest[list] = all.filter(item => !isFaulty(item))
      }
      if (taken.length === 0) return null
      const { errorCode, errorMessage } = strike
      const failed = taken.map(topic => ({ ...topic, errorCode, errorMessage }))
      const isEmpty = lists.every(list => (rest[list] as unknown[]).length === 0)
      return {
        rest: isEmpty ? null : rest,
        complete: body => ({
          ...body,
          [answered]: [...((body?.[answered] as Body[] | undefined) ?? []), ...failed],
        }),
      }
    },
  }
}

/** Only what names the topic, of an item that may have more. */
function named(item: string | Body): Body {
  if (typeof item === 'string') return { name: item }
  return 'topicId' in item ? { name: item.name, topicId: item.topicId } : { name: item.name }
}

export const topicLists = {
  CreateTopics: byTopic('topics', ['topics']),
  DeleteTopics: byTopic('responses', ['topics', 'topicNames']),
  CreatePartitions: byTopic('results', ['topics']),
} satisfies Partial<Record<ApiName, ErrorAnswer>>
