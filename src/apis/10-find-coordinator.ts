/**
 * FindCoordinator (10), versions 0-6: who leads the group's partition of the offsets topic, which is made inside the first request,
 * so that the client that is sent here finds its coordinator ready. Transactions and share groups are not coordinated
 * here yet: their keys are answered COORDINATOR_NOT_AVAILABLE, which clients retry. What Kafka refuses as malformed is
 * refused the same way.
 */
import { toKafkaError } from '../errors.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import { findCoordinatorApi } from '../protocol/messages/10-find-coordinator.ts'
import { defineApi, type RequestContext } from './handler.ts'
import { eachPaced, Once } from './pace.ts'
import { NO_ERROR } from './topic-checks.ts'

const KeyType = { GROUP: 0, TRANSACTION: 1, SHARE: 2 } as const
const BATCHES_SINCE = 4
const SHARE_SINCE = 6
/** `group:topicId:partition`; the group may hold colons. */
const SHARE_KEY = /^.+:[\w-]{22}:\d+$/s
const NOBODY = { nodeId: -1, host: '', port: -1 }

/** Clients that the log has named, by broker. */
const told = new WeakMap<object, Set<string>>()
const TOLD_CLIENTS_MAX = 100

export const findCoordinator = defineApi(
  findCoordinatorApi,
  async (request, context) => {
    const { keyType, key, coordinatorKeys } = request
    if (context.version < BATCHES_SINCE) return { body: await answerFor(key, keyType, context) }
    const once = new Once()
    const coordinators = await eachPaced(
      coordinatorKeys,
      context.pace,
      async one => ({ key: one, ...(await answerFor(one, keyType, context)) }),
      one => once.isFirst(one),
    )
    return { body: { coordinators } }
  },
  { sideBySide: true },
)

async function answerFor(key: string, keyType: number, context: RequestContext) {
  const refuse = (errorCode: ErrorCode, errorMessage: string) => ({
    ...NOBODY,
    errorCode,
    errorMessage,
  })
  const invalid = (message: string) => refuse(ErrorCode.INVALID_REQUEST, message)
  if (keyType === KeyType.GROUP) return coordinatorOf(key, context)
  if (keyType === KeyType.SHARE) {
    if (context.version < SHARE_SINCE) return invalid(`Share groups need version ${SHARE_SINCE}.`)
    if (!SHARE_KEY.test(key)) return invalid('A share key must be group:topicId:partition.')
  } else if (keyType !== KeyType.TRANSACTION) {
    return invalid(`There is no coordinator of key type ${keyType}.`)
  }
  tell(context)
  const message = 'This broker does not coordinate transactions and share groups yet.'
  return refuse(ErrorCode.COORDINATOR_NOT_AVAILABLE, message)
}

/** Clients ask again until their time is over, and say only that it is: the log has the reason, once a client. */
function tell({ broker, clientId }: RequestContext): void {
  const known = told.get(broker) ?? new Set<string>()
  told.set(broker, known)
  if (known.has(clientId) || known.size === TOLD_CLIENTS_MAX) return
  known.add(clientId)
  broker.log.warn(
    { client: clientId },
    'a client waits for the coordinator of its transactions or share group: there are none here yet',
  )
}

async function coordinatorOf(groupId: string, { broker, listener }: RequestContext) {
  try {
    const nodeId = await broker.groups.coordinatorOf(groupId)
    const node = broker.cluster.brokers(listener).find(one => one.nodeId === nodeId)
    if (node !== undefined) return { nodeId, host: node.host, port: node.port, ...NO_ERROR }
    const errorMessage = 'The coordinator of the group cannot be reached by this listener now.'
    return { ...NOBODY, errorCode: ErrorCode.COORDINATOR_NOT_AVAILABLE, errorMessage }
  } catch (error) {
    return { ...NOBODY, ...toKafkaError(error, broker.log) }
  }
}
