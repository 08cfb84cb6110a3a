/**
 * The records of __consumer_offsets, in Kafka's own format: a key is its type (int16, the apiKey here) and the key's fields, a
 * value its version (int16) and its fields; a record without a value says that the key is gone. Versions past
 * the newest here differ in tagged fields only, by Kafka's promise (KIP-915).
 */
import { array, bytes, int8, int32, int64, string, struct, uuid } from './fields.ts'
import { record } from './schema.ts'

/** What a group has committed for one partition. */
export const offsetCommitKey = record(
  'OffsetCommitKey',
  { apiKey: 1, versions: '0', flexible: 'none' },
  {
    group: string('0'),
    topic: string('0'),
    partition: int32('0'),
  },
)

export const offsetCommitValue = record(
  'OffsetCommitValue',
  { apiKey: 1, versions: '0-4', flexible: '4+' },
  {
    offset: int64('0+'),
    leaderEpoch: int32('3+', { default: -1, ignorable: true }),
    metadata: string('0+'),
    commitTimestamp: int64('0+'),
    expireTimestamp: int64('1', { default: -1, ignorable: true }),
    topicId: uuid('4+', { ignorable: true, tag: 0, tagged: '4+' }),
  },
)

/** A classic group, whole: its generation and its members. */
export const groupMetadataKey = record(
  'GroupMetadataKey',
  { apiKey: 2, versions: '0', flexible: 'none' },
  {
    group: string('0'),
  },
)

export const groupMetadataValue = record(
  'GroupMetadataValue',
  { apiKey: 2, versions: '0-4', flexible: '4+' },
  {
    protocolType: string('0+'),
    generation: int32('0+'),
    protocol: string('0+', { nullable: '0+' }),
    leader: string('0+', { nullable: '0+' }),
    currentStateTimestamp: int64('2+', { default: -1, ignorable: true }),
    members: array('0+', {
      memberId: string('0+'),
      groupInstanceId: string('3+', { nullable: '3+', default: null, ignorable: true }),
      clientId: string('0+'),
      clientHost: string('0+'),
      rebalanceTimeout: int32('1+', { default: -1, ignorable: true }),
      sessionTimeout: int32('0+'),
      subscription: bytes('0+'),
      assignment: bytes('0+'),
    }),
  },
)

/** The epoch of a group of the consumer protocol (KIP-848). */
export const consumerGroupMetadataKey = record(
  'ConsumerGroupMetadataKey',
  { apiKey: 3, versions: '0', flexible: 'none' },
  {
    groupId: string('0'),
  },
)

export const consumerGroupMetadataValue = record(
  'ConsumerGroupMetadataValue',
  { apiKey: 3, versions: '0', flexible: '0+' },
  {
    epoch: int32('0+'),
    metadataHash: int64('0+', { tag: 0, tagged: '0+' }),
  },
)

/** A member of such a group, as it described itself. */
export const consumerGroupMemberMetadataKey = record(
  'ConsumerGroupMemberMetadataKey',
  { apiKey: 5, versions: '0', flexible: 'none' },
  {
    groupId: string('0'),
    memberId: string('0'),
  },
)

export const consumerGroupMemberMetadataValue = record(
  'ConsumerGroupMemberMetadataValue',
  { apiKey: 5, versions: '0', flexible: '0+' },
  {
    instanceId: string('0+', { nullable: '0+' }),
    rackId: string('0+', { nullable: '0+' }),
    clientId: string('0+'),
    clientHost: string('0+'),
    subscribedTopicNames: array('0+', string),
    subscribedTopicRegex: string('0+', { nullable: '0+' }),
    rebalanceTimeoutMs: int32('0+', { default: -1 }),
    serverAssignor: string('0+', { nullable: '0+' }),
    classicMemberMetadata: struct(
      '0+',
      {
        sessionTimeoutMs: int32('0+'),
        supportedProtocols: array('0+', {
          name: string('0+'),
          metadata: bytes('0+'),
        }),
      },
      { nullable: '0+', tag: 0, tagged: '0+' },
    ),
  },
)

/** The epoch that the target assignment is for. */
export const consumerGroupTargetAssignmentMetadataKey = record(
  'ConsumerGroupTargetAssignmentMetadataKey',
  { apiKey: 6, versions: '0', flexible: 'none' },
  {
    groupId: string('0'),
  },
)

export const consumerGroupTargetAssignmentMetadataValue = record(
  'ConsumerGroupTargetAssignmentMetadataValue',
  { apiKey: 6, versions: '0', flexible: '0+' },
  {
    assignmentEpoch: int32('0+'),
    assignmentTimestamp: int64('0+', { ignorable: true, tag: 0, tagged: '0+' }),
  },
)

/** What one member is to have. */
export const consumerGroupTargetAssignmentMemberKey = record(
  'ConsumerGroupTargetAssignmentMemberKey',
  { apiKey: 7, versions: '0', flexible: 'none' },
  {
    groupId: string('0'),
    memberId: string('0'),
  },
)

export const consumerGroupTargetAssignmentMemberValue = record(
  'ConsumerGroupTargetAssignmentMemberValue',
  { apiKey: 7, versions: '0', flexible: '0+' },
  {
    topicPartitions: array('0+', {
      topicId: uuid('0+'),
      partitions: array('0+', int32),
    }),
  },
)

/** What one member has, and has still to give up. */
export const consumerGroupCurrentMemberAssignmentKey = record(
  'ConsumerGroupCurrentMemberAssignmentKey',
  { apiKey: 8, versions: '0', flexible: 'none' },
  {
    groupId: string('0'),
    memberId: string('0'),
  },
)

export const consumerGroupCurrentMemberAssignmentValue = record(
  'ConsumerGroupCurrentMemberAssignmentValue',
  { apiKey: 8, versions: '0', flexible: '0+' },
  {
    memberEpoch: int32('0+'),
    previousMemberEpoch: int32('0+'),
    state: int8('0+'),
    assignedPartitions: array('0+', {
      topicId: uuid('0+'),
      partitions: array('0+', int32),
      assignmentEpochs: array('0+', int32, { nullable: '0+', tag: 0, tagged: '0+' }),
    }),
    partitionsPendingRevocation: array('0+', {
      topicId: uuid('0+'),
      partitions: array('0+', int32),
      assignmentEpochs: array('0+', int32, { nullable: '0+', tag: 0, tagged: '0+' }),
    }),
  },
)

/** The topics that a regular expression stood for (KIP-848). */
export const consumerGroupRegularExpressionKey = record(
  'ConsumerGroupRegularExpressionKey',
  { apiKey: 16, versions: '0', flexible: 'none' },
  {
    groupId: string('0'),
    regularExpression: string('0'),
  },
)

export const consumerGroupRegularExpressionValue = record(
  'ConsumerGroupRegularExpressionValue',
  { apiKey: 16, versions: '0', flexible: '0+' },
  {
    topics: array('0+', string),
    version: int64('0+'),
    timestamp: int64('0+'),
  },
)
