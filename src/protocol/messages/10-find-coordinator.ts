/**
 * FindCoordinator (10): the broker that coordinates a group, transaction or share partition.
 * v1 key type (KIP-98), v4 several keys at once (KIP-699), v5 TRANSACTION_ABORTABLE (KIP-890), v6
 * share groups (KIP-932).
 */
import { array, int8, int16, int32, string } from '../fields.ts'
import { type Decoded, request, response } from '../schema.ts'

export const findCoordinatorRequest = request(
  'FindCoordinatorRequest',
  { apiKey: 10, versions: '0-6', flexible: '3+' },
  {
    key: string('0-3'),
    keyType: int8('1+'),
    coordinatorKeys: array('4+', string),
  },
)

export const findCoordinatorResponse = response(
  'FindCoordinatorResponse',
  { apiKey: 10, versions: '0-6', flexible: '3+' },
  {
    throttleTimeMs: int32('1+', { ignorable: true }),
    errorCode: int16('0-3'),
    errorMessage: string('1-3', { nullable: '1-3', ignorable: true }),
    nodeId: int32('0-3'),
    host: string('0-3'),
    port: int32('0-3'),
    coordinators: array('4+', {
      key: string('4+'),
      nodeId: int32('4+'),
      host: string('4+'),
      port: int32('4+'),
      errorCode: int16('4+'),
      errorMessage: string('4+', { nullable: '4+', ignorable: true }),
    }),
  },
)

export const findCoordinatorApi = {
  request: findCoordinatorRequest,
  response: findCoordinatorResponse,
}

export type FindCoordinatorRequest = Decoded<typeof findCoordinatorRequest>
export type FindCoordinatorResponse = Decoded<typeof findCoordinatorResponse>
