/**
 * ConsumerGroupHeartbeat (68): joins, keeps up and leaves a group of the consumer protocol, and reconciles its assignment (KIP-848).
 * v1 regular expressions (KIP-848) and member ids made by the client (KIP-1082).
 */
import { array, int16, int32, string, struct, uuid } from '../fields.ts'
import { type Decoded, request, response } from '../schema.ts'

export const consumerGroupHeartbeatRequest = request(
  'ConsumerGroupHeartbeatRequest',
  { apiKey: 68, versions: '0-1', flexible: '0+' },
  {
    groupId: string('0+'),
    memberId: string('0+'),
    memberEpoch: int32('0+'),
    instanceId: string('0+', { nullable: '0+', default: null }),
    rackId: string('0+', { nullable: '0+', default: null }),
    rebalanceTimeoutMs: int32('0+', { default: -1 }),
    subscribedTopicNames: array('0+', string, { nullable: '0+', default: null }),
    subscribedTopicRegex: string('1+', { nullable: '1+', default: null }),
    serverAssignor: string('0+', { nullable: '0+', default: null }),
    topicPartitions: array(
      '0+',
      {
        topicId: uuid('0+'),
        partitions: array('0+', int32),
      },
      { nullable: '0+', default: null },
    ),
  },
)

export const consumerGroupHeartbeatResponse = response(
  'ConsumerGroupHeartbeatResponse',
  { apiKey: 68, versions: '0-1', flexible: '0+' },
  {
    throttleTimeMs: int32('0+'),
    errorCode: int16('0+'),
    errorMessage: string('0+', { nullable: '0+', default: null }),
    memberId: string('0+', { nullable: '0+', default: null }),
    memberEpoch: int32('0+'),
    heartbeatIntervalMs: int32('0+'),
    assignment: struct(
      '0+',
      {
        topicPartitions: array('0+', {
          topicId: uuid('0+'),
          partitions: array('0+', int32),
        }),
      },
      { nullable: '0+', default: null },
    ),
  },
)

export const consumerGroupHeartbeatApi = {
  request: consumerGroupHeartbeatRequest,
  response: consumerGroupHeartbeatResponse,
}

export type ConsumerGroupHeartbeatRequest = Decoded<typeof consumerGroupHeartbeatRequest>
export type ConsumerGroupHeartbeatResponse = Decoded<typeof consumerGroupHeartbeatResponse>
