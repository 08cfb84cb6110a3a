/**
 * AlterConfigs (33): replaces all configs of a resource, the older way (KIP-133).
 */
import { array, bool, int8, int16, int32, string } from '../fields.ts'
import { type Decoded, request, response } from '../schema.ts'

export const alterConfigsRequest = request(
  'AlterConfigsRequest',
  { apiKey: 33, versions: '0-2', flexible: '2+' },
  {
    resources: array('0+', {
      resourceType: int8('0+'),
      resourceName: string('0+'),
      configs: array('0+', {
        name: string('0+'),
        value: string('0+', { nullable: '0+' }),
      }),
    }),
    validateOnly: bool('0+'),
  },
)

export const alterConfigsResponse = response(
  'AlterConfigsResponse',
  { apiKey: 33, versions: '0-2', flexible: '2+' },
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

export const alterConfigsApi = { request: alterConfigsRequest, response: alterConfigsResponse }

export type AlterConfigsRequest = Decoded<typeof alterConfigsRequest>
export type AlterConfigsResponse = Decoded<typeof alterConfigsResponse>
