import {
  apiNameOf,
  type Body,
  errorAnswer,
  failedTopics,
  type PartitionList,
  partitionLists,
} from '../../apis/error-answers.ts'
import type { ApiHandler } from '../../apis/handler.ts'
import { servedApis } from '../../apis/index.ts'
import type { ApiName } from '../releases.ts'
import type { ErrorAnswer, Strike } from './answers.ts'

const byName = new Map<string, ApiHandler>(servedApis.map(api => [apiNameOf(api), api]))

/** The answer to a request of which everything is faulty; without a place for the error, an empty one. */
export function failedAnswer(api: ApiName, request: Body, strike: Strike): Body {
  return errorAnswer(byName.get(api)!, strike.version, request, strike) ?? {}
}

/** @param hurry what is changed in the rest of the request, so that it is answered at once */
function byPartition(list: PartitionList, hurry: Body = {}): ErrorAnswer {
  return {
    scope: 'partition',
    split(request, strike) {
      const { rest, taken } = takeOut(request, list, strike)
      if (taken.length === 0) return null
      return {
        rest: rest.length === 0 ? null : { ...request, ...hurry, [list.topics]: rest },
        complete: body => completed(body, list, failedTopics(list, taken, strike)),
      }
    },
  }
}

function takeOut(
  request: Body,
  { topics, name, partitions, index }: PartitionList,
  strike: Strike,
) {
  const rest: Body[] = []
  const taken: Body[] = []
  for (const topic of request[topics] as Body[]) {
    const all = topic[partitions] as Body[]
    const isTopic = strike.isTopic(topic[name], topic.topicId)
    const isFaulty = (p: Body): boolean => isTopic && strike.isPartition(p[index])
    const faulty = all.filter(isFaulty)
    if (faulty.length > 0) taken.push({ ...topic, [partitions]: faulty })
    const others = all.filter(p => !isFaulty(p))
    if (others.length > 0) rest.push({ ...topic, [partitions]: others })
  }
  return { rest, taken }
}

/** The errors among the answers to the rest: a topic stays one entry, since clients may keep only one of two. */
function completed(
  body: Body | null,
  { name, answered, answeredPartitions }: PartitionList,
  failed: readonly Body[],
): Body {
  const topics = [...((body?.[answered] as Body[] | undefined) ?? [])]
  for (const topic of failed) {
    const at = topics.findIndex(t => t[name] === topic[name] && t.topicId === topic.topicId)
    const known = topics[at]
    if (known === undefined) {
      topics.push(topic)
    } else {
      const both = [known, topic].flatMap(t => t[answeredPartitions] as Body[])
      topics[at] = { ...known, [answeredPartitions]: both }
    }
  }
  return { ...body, [answered]: topics }
}

export const partitionAnswers = {
  Produce: byPartition(partitionLists.Produce),
  Fetch: byPartition(partitionLists.Fetch, { maxWaitMs: 0 }),
  ListOffsets: byPartition(partitionLists.ListOffsets),
  OffsetCommit: byPartition(partitionLists.OffsetCommit),
  DeleteRecords: byPartition(partitionLists.DeleteRecords),
  OffsetForLeaderEpoch: byPartition(partitionLists.OffsetForLeaderEpoch),
} satisfies Partial<Record<ApiName, ErrorAnswer>>

/** Of an API whose request and answer list topics: where the request has them, by name alone or with more. */
function byTopic(api: ApiName, answered: string, lists: readonly string[]): ErrorAnswer {
  return {
    scope: 'topic',
    split(request, strike) {
      const faulty: Body = {}
      const rest: Body = { ...request }
      for (const list of lists) {
        const all = request[list] as (string | Body)[]
        const isFaulty = (item: string | Body): boolean =>
          typeof item === 'string'
            ? strike.isTopic(item, undefined)
            : strike.isTopic(item.name, item.topicId)
        faulty[list] = all.filter(isFaulty)
        rest[list] = all.filter(item => !isFaulty(item))
      }
      const isEmpty = (part: Body): boolean =>
        lists.every(list => (part[list] as unknown[]).length === 0)
      if (isEmpty(faulty)) return null
      const failed = failedAnswer(api, faulty, strike)[answered] as Body[]
      return {
        rest: isEmpty(rest) ? null : rest,
        complete: body => ({
          ...body,
          [answered]: [...((body?.[answered] as Body[] | undefined) ?? []), ...failed],
        }),
      }
    },
  }
}

export const topicAnswers = {
  CreateTopics: byTopic('CreateTopics', 'topics', ['topics']),
  DeleteTopics: byTopic('DeleteTopics', 'responses', ['topics', 'topicNames']),
  CreatePartitions: byTopic('CreatePartitions', 'results', ['topics']),
} satisfies Partial<Record<ApiName, ErrorAnswer>>
