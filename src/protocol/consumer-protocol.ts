/**
 * What consumers put into the opaque bytes of JoinGroup and SyncGroup under the protocol type "consumer": a version (int16)
 * and these fields. A newer version is read as the newest one known; its extra bytes are left.
 */
import { array, bytes, int32, string } from './fields.ts'
import { record } from './schema.ts'

/** What a consumer tells the leader of its group: subscription, owned partitions. */
export const consumerProtocolSubscription = record(
  'ConsumerProtocolSubscription',
  { apiKey: -1, versions: '0-3', flexible: 'none' },
  {
    topics: array('0+', string),
    userData: bytes('0+', { nullable: '0+', default: null }),
    ownedPartitions: array(
      '1+',
      {
        topic: string('1+'),
        partitions: array('1+', int32),
      },
      { ignorable: true },
    ),
    generationId: int32('2+', { default: -1, ignorable: true }),
    rackId: string('3+', { nullable: '3+', default: null, ignorable: true }),
  },
)

/** What the leader gives a consumer. */
export const consumerProtocolAssignment = record(
  'ConsumerProtocolAssignment',
  { apiKey: -1, versions: '0-3', flexible: 'none' },
  {
    assignedPartitions: array('0+', {
      topic: string('0+'),
      partitions: array('0+', int32),
    }),
    userData: bytes('0+', { nullable: '0+', default: null }),
  },
)
