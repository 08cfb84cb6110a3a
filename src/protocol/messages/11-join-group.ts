/**
 * JoinGroup (11): becomes or stays a member of a classic group.
 * v1 rebalance timeout, v4 MEMBER_ID_REQUIRED (KIP-394), v5 static members (KIP-345), v7 protocol type (KIP-559), v8 reason (KIP-800),
 * v9 skip assignment (KIP-814).
 */
import { array, bool, bytes, int16, int32, string } from '../fields.ts'
import { type Decoded, request, response } from '../schema.ts'

export const joinGroupRequest = request(
  'JoinGroupRequest',
  { apiKey: 11, versions: '0-9', flexible: '6+' },
  {
    groupId: string('0+'),
    sessionTimeoutMs: int32('0+'),
    rebalanceTimeoutMs: int32('1+', { default: -1, ignorable: true }),
    memberId: string('0+'),
    groupInstanceId: string('5+', { nullable: '5+', default: null }),
    protocolType: string('0+'),
    protocols: array('0+', {
      name: string('0+'),
      metadata: bytes('0+'),
    }),
    reason: string('8+', { nullable: '8+', default: null, ignorable: true }),
  },
)

export const joinGroupResponse = response(
  'JoinGroupResponse',
  { apiKey: 11, versions: '0-9', flexible: '6+' },
  {
    throttleTimeMs: int32('2+', { ignorable: true }),
    errorCode: int16('0+'),
    generationId: int32('0+', { default: -1 }),
    protocolType: string('7+', { nullable: '7+', default: null, ignorable: true }),
    protocolName: string('0+', { nullable: '7+' }),
    leader: string('0+'),
    skipAssignment: bool('9+'),
    memberId: string('0+'),
    members: array('0+', {
      memberId: string('0+'),
      groupInstanceId: string('5+', { nullable: '5+', default: null, ignorable: true }),
      metadata: bytes('0+'),
    }),
  },
)

export const joinGroupApi = { request: joinGroupRequest, response: joinGroupResponse }

export type JoinGroupRequest = Decoded<typeof joinGroupRequest>
export type JoinGroupResponse = Decoded<typeof joinGroupResponse>
