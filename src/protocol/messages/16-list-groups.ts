/**
 * ListGroups (16): the groups of a coordinator. v4 states (KIP-518), v5 types (KIP-848).
 */
import { array, int16, int32, string } from '../fields.ts'
import { type Decoded, request, response } from '../schema.ts'

export const listGroupsRequest = request(
  'ListGroupsRequest',
  { apiKey: 16, versions: '0-5', flexible: '3+' },
  {
    statesFilter: array('4+', string),
    typesFilter: array('5+', string),
  },
)

export const listGroupsResponse = response(
  'ListGroupsResponse',
  { apiKey: 16, versions: '0-5', flexible: '3+' },
  {
    throttleTimeMs: int32('1+', { ignorable: true }),
    errorCode: int16('0+'),
    groups: array('0+', {
      groupId: string('0+'),
      protocolType: string('0+'),
      groupState: string('4+', { ignorable: true }),
      groupType: string('5+', { ignorable: true }),
    }),
  },
)

export const listGroupsApi = { request: listGroupsRequest, response: listGroupsResponse }

export type ListGroupsRequest = Decoded<typeof listGroupsRequest>
export type ListGroupsResponse = Decoded<typeof listGroupsResponse>
