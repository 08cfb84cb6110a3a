/**
 * ElectLeaders (43): elects the preferred replica as leader, or the first live one (KIP-183, KIP-460).
 */
import { array, int8, int16, int32, string } from '../fields.ts'
import { type Decoded, request, response } from '../schema.ts'

export const electLeadersRequest = request(
  'ElectLeadersRequest',
  { apiKey: 43, versions: '0-2', flexible: '2+' },
  {
    electionType: int8('1+'),
    topicPartitions: array(
      '0+',
      {
        topic: string('0+'),
        partitions: array('0+', int32),
      },
      { nullable: '0+' },
    ),
    timeoutMs: int32('0+', { default: 60_000 }),
  },
)

export const electLeadersResponse = response(
  'ElectLeadersResponse',
  { apiKey: 43, versions: '0-2', flexible: '2+' },
  {
    throttleTimeMs: int32('0+'),
    errorCode: int16('1+'),
    replicaElectionResults: array('0+', {
      topic: string('0+'),
      partitionResult: array('0+', {
        partitionId: int32('0+'),
        errorCode: int16('0+'),
        errorMessage: string('0+', { nullable: '0+' }),
      }),
    }),
  },
)

export const electLeadersApi = { request: electLeadersRequest, response: electLeadersResponse }

export type ElectLeadersRequest = Decoded<typeof electLeadersRequest>
