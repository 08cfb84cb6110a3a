/**
 * ConsumerGroupDescribe (69): epochs, members and assignments of groups of the consumer protocol (KIP-848).
 * v1 member type (KIP-1099).
 */
import { array, bool, int8, int16, int32, string, struct, uuid } from '../fields.ts'
import { type Decoded, request, response } from '../schema.ts'

export const consumerGroupDescribeRequest = request(
  'ConsumerGroupDescribeRequest',
  { apiKey: 69, versions: '0-1', flexible: '0+' },
  {
    groupIds: array('0+', string),
    includeAuthorizedOperations: bool('0+'),
  },
)

export const consumerGroupDescribeResponse = response(
  'ConsumerGroupDescribeResponse',
  { apiKey: 69, versions: '0-1', flexible: '0+' },
  {
    throttleTimeMs: int32('0+'),
    groups: array('0+', {
      errorCode: int16('0+'),
      errorMessage: string('0+', { nullable: '0+', default: null }),
      groupId: string('0+'),
      groupState: string('0+'),
      groupEpoch: int32('0+'),
      assignmentEpoch: int32('0+'),
      assignorName: string('0+'),
      members: array('0+', {
        memberId: string('0+'),
        instanceId: string('0+', { nullable: '0+', default: null }),
        rackId: string('0+', { nullable: '0+', default: null }),
        memberEpoch: int32('0+'),
        clientId: string('0+'),
        clientHost: string('0+'),
        subscribedTopicNames: array('0+', string),
        subscribedTopicRegex: string('0+', { nullable: '0+', default: null }),
        assignment: struct('0+', {
          topicPartitions: array('0+', {
            topicId: uuid('0+'),
            topicName: string('0+'),
            partitions: array('0+', int32),
          }),
        }),
        targetAssignment: struct('0+', {
          topicPartitions: array('0+', {
            topicId: uuid('0+'),
            topicName: string('0+'),
            partitions: array('0+', int32),
          }),
        }),
        memberType: int8('1+', { default: -1, ignorable: true }),
      }),
      authorizedOperations: int32('0+', { default: -2147483648 }),
    }),
  },
)

export const consumerGroupDescribeApi = {
  request: consumerGroupDescribeRequest,
  response: consumerGroupDescribeResponse,
}

export type ConsumerGroupDescribeRequest = Decoded<typeof consumerGroupDescribeRequest>
export type ConsumerGroupDescribeResponse = Decoded<typeof consumerGroupDescribeResponse>
