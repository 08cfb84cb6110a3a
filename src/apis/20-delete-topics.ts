/**
 * DeleteTopics (20), versions 1-6: by name, from v6 also by id. When it is answered the records and their files are gone;
 * the timeout is not looked at. With delete.topic.enable=false every topic is refused.
 */
import { brokerValue } from '../configs/values.ts'
import { BrokerError } from '../errors.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import { ZERO_UUID } from '../protocol/fields.ts'
import { type DeleteTopicsRequest, deleteTopicsApi } from '../protocol/messages/20-delete-topics.ts'
import type { Topic } from '../topics/registry.ts'
import { defineApi, type RequestContext } from './handler.ts'
import { eachPaced, Once } from './pace.ts'
import { duplicatesOf, outcomeOf } from './topic-checks.ts'

type Broker = RequestContext['broker']
type Asked = DeleteTopicsRequest['topics'][number]

const IDS_SINCE = 6
/** Clients of older versions do not know TOPIC_DELETION_DISABLED. */
const DISABLED_SINCE = 3

const invalidRequest = (message: string) => new BrokerError(ErrorCode.INVALID_REQUEST, message)

export const deleteTopics = defineApi(
  deleteTopicsApi,
  async (request, { broker, version, pace }) => {
    const asked: readonly Asked[] =
      version >= IDS_SINCE
        ? request.topics
        : await eachPaced(request.topicNames, pace, name => ({ name, topicId: ZERO_UUID }))
    const repeated = await duplicatesOf(asked, pace, keyOf)
    const once = new Once()
    const unique = await eachPaced(
      asked,
      pace,
      one => one,
      one => once.isFirst(keyOf(one)),
    )
    const namedTwice = await duplicatesOf(unique, pace, one => topicOf(one, broker))
    const responses = []
    for (const one of unique) {
      if (pace.isDue) await pace.rest()
      const topic = topicOf(one, broker)
      const outcome = await outcomeOf(() => {
        checkEnabled(version, broker)
        if (repeated.has(keyOf(one))) throw invalidRequest('The topic is in the request twice.')
        checkIdentity(one)
        if (topic === undefined) throw unknownTopic(one)
        if (namedTwice.has(topic)) throw invalidRequest('The topic is given by name and by id.')
        return broker.registry.delete(topic)
      }, broker)
      const topicId = one.topicId === ZERO_UUID ? topic?.id : one.topicId
      responses.push({ name: one.name ?? topic?.name ?? null, topicId, ...outcome })
    }
    return { body: { responses } }
  },
)

const keyOf = ({ name, topicId }: Asked): string => `${topicId} ${name ?? ''}`

function topicOf({ name, topicId }: Asked, { registry }: Broker): Topic | undefined {
  return name === null ? registry.topicById(topicId) : registry.topic(name)
}

function checkEnabled(version: number, broker: Broker): void {
  if (brokerValue('delete.topic.enable', broker.configs.view)) return
  const { INVALID_REQUEST, TOPIC_DELETION_DISABLED } = ErrorCode
  const code = version >= DISABLED_SINCE ? TOPIC_DELETION_DISABLED : INVALID_REQUEST
  throw new BrokerError(code, 'Topics cannot be deleted: delete.topic.enable is false.')
}

function checkIdentity({ name, topicId }: Asked): void {
  const hasId = topicId !== ZERO_UUID
  if (name !== null && hasId) throw invalidRequest('A topic has a name or an id here, not both.')
  if (name === null && !hasId) throw invalidRequest('A topic has neither name nor id.')
}

function unknownTopic({ name, topicId }: Asked): BrokerError {
  if (name === null) {
    return new BrokerError(ErrorCode.UNKNOWN_TOPIC_ID, `There is no topic of id ${topicId}.`)
  }
  const message = `There is no topic '${name}'.`
  return new BrokerError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, message)
}
