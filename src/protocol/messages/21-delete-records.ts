/**
 * DeleteRecords (21): advances the log start offset of partitions (KIP-107).
 */
import { array, int16, int32, int64, string } from '../fields.ts'
import { type Decoded, request, response } from '../schema.ts'

export const deleteRecordsRequest = request(
  'DeleteRecordsRequest',
  { apiKey: 21, versions: '0-2', flexible: '2+' },
  {
    topics: array('0+', {
      name: string('0+'),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        offset: int64('0+'),
      }),
    }),
    timeoutMs: int32('0+'),
  },
)

export const deleteRecordsResponse = response(
  'DeleteRecordsResponse',
  { apiKey: 21, versions: '0-2', flexible: '2+' },
  {
    throttleTimeMs: int32('0+'),
    topics: array('0+', {
      name: string('0+'),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        lowWatermark: int64('0+'),
        errorCode: int16('0+'),
      }),
    }),
  },
)

export const deleteRecordsApi = { request: deleteRecordsRequest, response: deleteRecordsResponse }

export type DeleteRecordsRequest = Decoded<typeof deleteRecordsRequest>
export type DeleteRecordsResponse = Decoded<typeof deleteRecordsResponse>
