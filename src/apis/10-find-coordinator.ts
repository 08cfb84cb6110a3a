/**
 * FindCoordinator (10), versions 0-6. Groups, transactions and share groups are not coordinated here yet: every key is
 * answered COORDINATOR_NOT_AVAILABLE, which clients retry. What Kafka refuses as malformed is refused the same way.
 */
import { ErrorCode } from '../protocol/error-codes.ts'
import { findCoordinatorApi } from '../protocol/messages/10-find-coordinator.ts'
import { defineApi } from './handler.ts'

const KeyType = { GROUP: 0, TRANSACTION: 1, SHARE: 2 } as const
const BATCHES_SINCE = 4
const SHARE_SINCE = 6
/** `group:topicId:partition`; the group may hold colons. */
const SHARE_KEY = /^.+:[\w-]{22}:\d+$/s
const NOBODY = { nodeId: -1, host: '', port: -1 }

export const findCoordinator = defineApi(findCoordinatorApi, (request, { version }) => {
  const { keyType, key, coordinatorKeys } = request
  if (version < BATCHES_SINCE) return { body: { ...NOBODY, ...answerFor(key, keyType, version) } }
  const coordinators = coordinatorKeys.map(one => ({
    key: one,
    ...NOBODY,
    ...answerFor(one, keyType, version),
  }))
  return { body: { coordinators } }
})

function answerFor(key: string, keyType: number, version: number) {
  const invalid = (errorMessage: string) => ({ errorCode: ErrorCode.INVALID_REQUEST, errorMessage })
  if (keyType === KeyType.SHARE) {
    if (version < SHARE_SINCE) return invalid(`Share groups need version ${SHARE_SINCE}.`)
    if (!SHARE_KEY.test(key)) return invalid('A share key must be group:topicId:partition.')
  } else if (keyType !== KeyType.GROUP && keyType !== KeyType.TRANSACTION) {
    return invalid(`There is no coordinator of key type ${keyType}.`)
  }
  return {
    errorCode: ErrorCode.COORDINATOR_NOT_AVAILABLE,
    errorMessage: 'This broker does not coordinate groups and transactions yet.',
  }
}
