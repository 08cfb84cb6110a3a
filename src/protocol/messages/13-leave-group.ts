/**
 * LeaveGroup (13): members leave a classic group. v3 several at once (KIP-345), v5 reason (KIP-800).
 */
import { array, int16, int32, string } from '../fields.ts'
import { type Decoded, request, response } from '../schema.ts'

export const leaveGroupRequest = request(
  'LeaveGroupRequest',
  { apiKey: 13, versions: '0-5', flexible: '4+' },
  {
    groupId: string('0+'),
    memberId: string('0-2'),
    members: array('3+', {
      memberId: string('3+'),
      groupInstanceId: string('3+', { nullable: '3+', default: null }),
      reason: string('5+', { nullable: '5+', default: null, ignorable: true }),
    }),
  },
)

export const leaveGroupResponse = response(
  'LeaveGroupResponse',
  { apiKey: 13, versions: '0-5', flexible: '4+' },
  {
    throttleTimeMs: int32('1+', { ignorable: true }),
    errorCode: int16('0+'),
    members: array('3+', {
      memberId: string('3+'),
      groupInstanceId: string('3+', { nullable: '3+' }),
      errorCode: int16('3+'),
    }),
  },
)

export const leaveGroupApi = { request: leaveGroupRequest, response: leaveGroupResponse }

export type LeaveGroupRequest = Decoded<typeof leaveGroupRequest>
export type LeaveGroupResponse = Decoded<typeof leaveGroupResponse>
