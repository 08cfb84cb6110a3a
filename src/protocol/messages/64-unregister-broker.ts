/**
 * UnregisterBroker (64): forgets a broker that will not come back (KIP-631).
 */
import { int16, int32, string } from '../fields.ts'
import { request, response } from '../schema.ts'

export const unregisterBrokerRequest = request(
  'UnregisterBrokerRequest',
  { apiKey: 64, versions: '0', flexible: '0+' },
  { brokerId: int32('0+') },
)

export const unregisterBrokerResponse = response(
  'UnregisterBrokerResponse',
  { apiKey: 64, versions: '0', flexible: '0+' },
  {
    throttleTimeMs: int32('0+'),
    errorCode: int16('0+'),
    errorMessage: string('0+', { nullable: '0+' }),
  },
)

export const unregisterBrokerApi = {
  request: unregisterBrokerRequest,
  response: unregisterBrokerResponse,
}
