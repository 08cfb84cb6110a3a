/**
 * UpdateFeatures (57), versions 0-2: which level of a feature all brokers go by. There is one level of each so far, so that an
 * update confirms it or is refused.
 */
import { type FeatureUpdate, UpgradeType } from '../cluster/features.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import {
  type UpdateFeaturesRequest,
  updateFeaturesApi,
} from '../protocol/messages/57-update-features.ts'
import { defineApi } from './handler.ts'
import { eachPaced, Once } from './pace.ts'
import { NO_ERROR, outcomeOf } from './topic-checks.ts'

const TYPES_SINCE = 1

export const updateFeatures = defineApi(
  updateFeaturesApi,
  async ({ featureUpdates, validateOnly }, { broker, pace, version }) => {
    const once = new Once()
    const updates = await eachPaced(
      featureUpdates,
      pace,
      update => updateOf(update, version),
      ({ feature }) => once.isFirst(feature),
    )
    const outcome = await outcomeOf(
      () => broker.cluster.updateFeatures(updates, validateOnly),
      broker,
    )
    // All were changed, or none: then the error is that of the whole.
    const isDone = outcome.errorCode === ErrorCode.NONE
    const results = isDone ? updates.map(({ name: feature }) => ({ feature, ...NO_ERROR })) : []
    return { body: { ...outcome, results } }
  },
)

/** The oldest version says only whether less than there is now is wanted. */
function updateOf(
  update: UpdateFeaturesRequest['featureUpdates'][number],
  version: number,
): FeatureUpdate {
  const { feature: name, maxVersionLevel: level, allowDowngrade, upgradeType } = update
  const old = allowDowngrade ? UpgradeType.SAFE_DOWNGRADE : UpgradeType.UPGRADE
  return { name, level, type: version < TYPES_SINCE ? old : upgradeType }
}
