/**
 * DeleteGroups (42): deletes groups without members, with their offsets (KIP-229).
 */
import { array, int16, int32, string } from '../fields.ts'
import { type Decoded, request, response } from '../schema.ts'

export const deleteGroupsRequest = request(
  'DeleteGroupsRequest',
  { apiKey: 42, versions: '0-3', flexible: '2+' },
  {
    groupsNames: array('0+', string),
  },
)

export const deleteGroupsResponse = response(
  'DeleteGroupsResponse',
  { apiKey: 42, versions: '0-3', flexible: '2+' },
  {
    throttleTimeMs: int32('0+'),
    results: array('0+', {
      groupId: string('0+'),
      errorCode: int16('0+'),
      errorMessage: string('3+', { nullable: '3+', default: null, ignorable: true }),
    }),
  },
)

export const deleteGroupsApi = { request: deleteGroupsRequest, response: deleteGroupsResponse }

export type DeleteGroupsRequest = Decoded<typeof deleteGroupsRequest>
export type DeleteGroupsResponse = Decoded<typeof deleteGroupsResponse>
