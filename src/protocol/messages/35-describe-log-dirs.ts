/**
 * DescribeLogDirs (35): size and lag of replicas per log directory (KIP-113).
 * v3 top-level error, v4 total and usable bytes (KIP-827), v5 cordoned flag.
 */
import { array, bool, int16, int32, int64, string } from '../fields.ts'
import { type Decoded, request, response } from '../schema.ts'

export const describeLogDirsRequest = request(
  'DescribeLogDirsRequest',
  { apiKey: 35, versions: '1-5', flexible: '2+' },
  {
    topics: array(
      '0+',
      {
        topic: string('0+'),
        partitions: array('0+', int32),
      },
      { nullable: '0+' },
    ),
  },
)

export const describeLogDirsResponse = response(
  'DescribeLogDirsResponse',
  { apiKey: 35, versions: '1-5', flexible: '2+' },
  {
    throttleTimeMs: int32('0+'),
    errorCode: int16('3+', { ignorable: true }),
    results: array('0+', {
      errorCode: int16('0+'),
      logDir: string('0+'),
      topics: array('0+', {
        name: string('0+'),
        partitions: array('0+', {
          partitionIndex: int32('0+'),
          partitionSize: int64('0+'),
          offsetLag: int64('0+'),
          isFutureKey: bool('0+'),
        }),
      }),
      totalBytes: int64('4+', { default: -1, ignorable: true }),
      usableBytes: int64('4+', { default: -1, ignorable: true }),
      isCordoned: bool('5+', { ignorable: true }),
    }),
  },
)

export const describeLogDirsApi = {
  request: describeLogDirsRequest,
  response: describeLogDirsResponse,
}

export type DescribeLogDirsRequest = Decoded<typeof describeLogDirsRequest>
export type DescribeLogDirsResponse = Decoded<typeof describeLogDirsResponse>
