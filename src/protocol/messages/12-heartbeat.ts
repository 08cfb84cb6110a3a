/**
 * Heartbeat (12): keeps a member of a classic group alive. v3 static members (KIP-345).
 */
import { int16, int32, string } from '../fields.ts'
import { type Decoded, request, response } from '../schema.ts'

export const heartbeatRequest = request(
  'HeartbeatRequest',
  { apiKey: 12, versions: '0-4', flexible: '4+' },
  {
    groupId: string('0+'),
    generationId: int32('0+'),
    memberId: string('0+'),
    groupInstanceId: string('3+', { nullable: '3+', default: null }),
  },
)

export const heartbeatResponse = response(
  'HeartbeatResponse',
  { apiKey: 12, versions: '0-4', flexible: '4+' },
  {
    throttleTimeMs: int32('1+', { ignorable: true }),
    errorCode: int16('0+'),
  },
)

export const heartbeatApi = { request: heartbeatRequest, response: heartbeatResponse }

export type HeartbeatRequest = Decoded<typeof heartbeatRequest>
export type HeartbeatResponse = Decoded<typeof heartbeatResponse>
