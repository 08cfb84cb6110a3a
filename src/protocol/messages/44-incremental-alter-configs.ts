/**
 * IncrementalAlterConfigs (44): sets, deletes, appends, subtracts single configs (KIP-339).
 */
import { array, bool, int8, int16, int32, string } from '../fields.ts'
import { type Decoded, request, response } from '../schema.ts'

export const incrementalAlterConfigsRequest = request(
  'IncrementalAlterConfigsRequest',
  { apiKey: 44, versions: '0-1', flexible: '1+' },
  {
    resources: array('0+', {
      resourceType: int8('0+'),
      resourceName: string('0+'),
      configs: array('0+', {
        name: string('0+'),
        configOperation: int8('0+'),
        value: string('0+', { nullable: '0+' }),
      }),
    }),
    validateOnly: bool('0+'),
  },
)

export const incrementalAlterConfigsResponse = response(
  'IncrementalAlterConfigsResponse',
  { apiKey: 44, versions: '0-1', flexible: '1+' },
  {
    throttleTimeMs: int32('0+'),
    responses: array('0+', {
      errorCode: int16('0+'),
      errorMessage: string('0+', { nullable: '0+' }),
      resourceType: int8('0+'),
      resourceName: string('0+'),
    }),
  },
)

export const incrementalAlterConfigsApi = {
  request: incrementalAlterConfigsRequest,
  response: incrementalAlterConfigsResponse,
}

export type IncrementalAlterConfigsRequest = Decoded<typeof incrementalAlterConfigsRequest>
export type IncrementalAlterConfigsResponse = Decoded<typeof incrementalAlterConfigsResponse>
