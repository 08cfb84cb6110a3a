/**
 * ApiVersions (18): the APIs, versions and features this broker has (KIP-35).
 * v3 client software name (KIP-511) and features (KIP-584), v5 cluster and node check (KIP-1242).
 * Its response header is always version 0.
 */
import { array, bool, int16, int32, int64, string } from '../fields.ts'
import { type Decoded, request, response } from '../schema.ts'

export const apiVersionsRequest = request(
  'ApiVersionsRequest',
  { apiKey: 18, versions: '0-5', flexible: '3+' },
  {
    clientSoftwareName: string('3+', { ignorable: true }),
    clientSoftwareVersion: string('3+', { ignorable: true }),
    clusterId: string('5+', { nullable: '5+', default: null, ignorable: true }),
    nodeId: int32('5+', { default: -1, ignorable: true }),
  },
)

export const apiVersionsResponse = response(
  'ApiVersionsResponse',
  { apiKey: 18, versions: '0-5', flexible: '3+' },
  {
    errorCode: int16('0+'),
    apiKeys: array('0+', {
      apiKey: int16('0+'),
      minVersion: int16('0+'),
      maxVersion: int16('0+'),
    }),
    throttleTimeMs: int32('1+', { ignorable: true }),
    supportedFeatures: array(
      '3+',
      {
        name: string('3+'),
        minVersion: int16('3+'),
        maxVersion: int16('3+'),
      },
      { ignorable: true, tag: 0, tagged: '3+' },
    ),
    finalizedFeaturesEpoch: int64('3+', { default: -1, ignorable: true, tag: 1, tagged: '3+' }),
    finalizedFeatures: array(
      '3+',
      {
        name: string('3+'),
        maxVersionLevel: int16('3+'),
        minVersionLevel: int16('3+'),
      },
      { ignorable: true, tag: 2, tagged: '3+' },
    ),
    zkMigrationReady: bool('3+', { ignorable: true, tag: 3, tagged: '3+' }),
  },
)

export const apiVersionsApi = { request: apiVersionsRequest, response: apiVersionsResponse }

export type ApiVersionsRequest = Decoded<typeof apiVersionsRequest>
export type ApiVersionsResponse = Decoded<typeof apiVersionsResponse>
