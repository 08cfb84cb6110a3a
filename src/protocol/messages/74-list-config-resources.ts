/**
 * ListConfigResources (74): what has configs, by kind (KIP-714, KIP-1142).
 */
import { array, int8, int16, int32, string } from '../fields.ts'
import { request, response } from '../schema.ts'

export const listConfigResourcesRequest = request(
  'ListConfigResourcesRequest',
  { apiKey: 74, versions: '0-1', flexible: '0+' },
  {
    resourceTypes: array('1+', int8),
  },
)

export const listConfigResourcesResponse = response(
  'ListConfigResourcesResponse',
  { apiKey: 74, versions: '0-1', flexible: '0+' },
  {
    throttleTimeMs: int32('0+'),
    errorCode: int16('0+'),
    configResources: array('0+', {
      resourceName: string('0+'),
      resourceType: int8('1+', { ignorable: true, default: 16 }),
    }),
  },
)

export const listConfigResourcesApi = {
  request: listConfigResourcesRequest,
  response: listConfigResourcesResponse,
}
