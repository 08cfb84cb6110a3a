/**
 * AlterReplicaLogDirs (34): moves replicas between log directories of one broker (KIP-113).
 */
import { array, int16, int32, string } from '../fields.ts'
import { type Decoded, request, response } from '../schema.ts'

export const alterReplicaLogDirsRequest = request(
  'AlterReplicaLogDirsRequest',
  { apiKey: 34, versions: '1-2', flexible: '2+' },
  {
    dirs: array('0+', {
      path: string('0+'),
      topics: array('0+', {
        name: string('0+'),
        partitions: array('0+', int32),
      }),
    }),
  },
)

export const alterReplicaLogDirsResponse = response(
  'AlterReplicaLogDirsResponse',
  { apiKey: 34, versions: '1-2', flexible: '2+' },
  {
    throttleTimeMs: int32('0+'),
    results: array('0+', {
      topicName: string('0+'),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        errorCode: int16('0+'),
      }),
    }),
  },
)

export const alterReplicaLogDirsApi = {
  request: alterReplicaLogDirsRequest,
  response: alterReplicaLogDirsResponse,
}

export type AlterReplicaLogDirsRequest = Decoded<typeof alterReplicaLogDirsRequest>
