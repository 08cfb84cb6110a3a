/**
 * UpdateFeatures (57): which level of a feature the whole cluster uses (KIP-584).
 * v1 kinds of upgrades and trying it out (KIP-778), v2 one result for all.
 */
import { array, bool, int8, int16, int32, string } from '../fields.ts'
import { type Decoded, request, response } from '../schema.ts'

export const updateFeaturesRequest = request(
  'UpdateFeaturesRequest',
  { apiKey: 57, versions: '0-2', flexible: '0+' },
  {
    timeoutMs: int32('0+', { default: 60_000 }),
    featureUpdates: array('0+', {
      feature: string('0+'),
      maxVersionLevel: int16('0+'),
      allowDowngrade: bool('0'),
      upgradeType: int8('1+', { default: 1 }),
    }),
    validateOnly: bool('1+'),
  },
)

export const updateFeaturesResponse = response(
  'UpdateFeaturesResponse',
  { apiKey: 57, versions: '0-2', flexible: '0+' },
  {
    throttleTimeMs: int32('0+'),
    errorCode: int16('0+'),
    errorMessage: string('0+', { nullable: '0+' }),
    results: array(
      '0-1',
      {
        feature: string('0+'),
        errorCode: int16('0+'),
        errorMessage: string('0+', { nullable: '0+' }),
      },
      { ignorable: true },
    ),
  },
)

export const updateFeaturesApi = {
  request: updateFeaturesRequest,
  response: updateFeaturesResponse,
}

export type UpdateFeaturesRequest = Decoded<typeof updateFeaturesRequest>
