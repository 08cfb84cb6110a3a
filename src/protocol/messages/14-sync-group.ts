/**
 * SyncGroup (14): the leader of a classic group gives, every member gets its assignment.
 * v3 static members (KIP-345), v5 protocol type and name (KIP-559).
 */
import { array, bytes, int16, int32, string } from '../fields.ts'
import { type Decoded, request, response } from '../schema.ts'

export const syncGroupRequest = request(
  'SyncGroupRequest',
  { apiKey: 14, versions: '0-5', flexible: '4+' },
  {
    groupId: string('0+'),
    generationId: int32('0+'),
    memberId: string('0+'),
    groupInstanceId: string('3+', { nullable: '3+', default: null }),
    protocolType: string('5+', { nullable: '5+', default: null, ignorable: true }),
    protocolName: string('5+', { nullable: '5+', default: null, ignorable: true }),
    assignments: array('0+', {
      memberId: string('0+'),
      assignment: bytes('0+'),
    }),
  },
)

export const syncGroupResponse = response(
  'SyncGroupResponse',
  { apiKey: 14, versions: '0-5', flexible: '4+' },
  {
    throttleTimeMs: int32('1+', { ignorable: true }),
    errorCode: int16('0+'),
    protocolType: string('5+', { nullable: '5+', default: null, ignorable: true }),
    protocolName: string('5+', { nullable: '5+', default: null, ignorable: true }),
    assignment: bytes('0+'),
  },
)

export const syncGroupApi = { request: syncGroupRequest, response: syncGroupResponse }

export type SyncGroupRequest = Decoded<typeof syncGroupRequest>
export type SyncGroupResponse = Decoded<typeof syncGroupResponse>
