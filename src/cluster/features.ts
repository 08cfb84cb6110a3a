import { BrokerError } from '../errors.ts'
import { ErrorCode } from '../protocol/error-codes.ts'

/** Key of the metadata: the level of each feature that all brokers of the cluster go by. */
export const FEATURES = 'features'

/** The levels that this release can go by. Nobody can do without ELR: level 0, Kafka's "off", is none of them. */
export const SUPPORTED_FEATURES: readonly SupportedFeature[] = [
  { name: 'eligible.leader.replicas.version', minVersion: 1, maxVersion: 1 },
]

interface SupportedFeature {
  readonly name: string
  readonly minVersion: number
  readonly maxVersion: number
}

/** By name. */
export type FeatureLevels = Readonly<Record<string, number>>

/** What a new cluster goes by, and one that says nothing about it. */
export const FIRST_LEVELS: FeatureLevels = { 'eligible.leader.replicas.version': 1 }

export interface FinalizedFeatures {
  /** Rises when they are changed. */
  readonly epoch: number
  readonly levels: FeatureLevels
}

/** FeatureUpdate.UpgradeType of Kafka. */
export const UpgradeType = { UPGRADE: 1, SAFE_DOWNGRADE: 2, UNSAFE_DOWNGRADE: 3 } as const

export interface FeatureUpdate {
  readonly name: string
  readonly level: number
  /** An UpgradeType, or what a client takes for one. */
  readonly type: number
}

/**
 * The levels after an update, checked as Kafka's FeatureControlManager does it: all are changed, or none.
 * @throws BrokerError INVALID_UPDATE_VERSION
 */
export function updatedLevels(
  levels: FeatureLevels,
  updates: readonly FeatureUpdate[],
): FeatureLevels {
  for (const update of updates) {
    const problem = problemOf(update, levels[update.name] ?? 0)
    if (problem === null) continue
    const message = `Invalid update version ${update.level} for feature ${update.name}. ${problem}`
    throw new BrokerError(ErrorCode.INVALID_UPDATE_VERSION, message)
  }
  return { ...levels, ...Object.fromEntries(updates.map(({ name, level }) => [name, level])) }
}

function problemOf({ name, level, type }: FeatureUpdate, now: number): string | null {
  if (!Object.values<number>(UpgradeType).includes(type)) return 'There is no such upgrade type.'
  if (level < 0) return 'A feature version cannot be less than 0.'
  const unsupported = unsupportedBecause(name, level)
  if (unsupported !== null) return unsupported
  if (level < now && type === UpgradeType.UPGRADE) {
    return "Can't downgrade the version of this feature without setting the upgrade type to either safe or unsafe downgrade."
  }
  if (level > now && type !== UpgradeType.UPGRADE) return "Can't downgrade to a newer version."
  return null
}

/** Why this release cannot go by the level; null: it can. */
export function unsupportedBecause(name: string, level: number): string | null {
  const supported = SUPPORTED_FEATURES.find(one => one.name === name)
  if (supported === undefined) return 'The brokers do not support this feature.'
  const { minVersion, maxVersion } = supported
  if (level >= minVersion && level <= maxVersion) return null
  return `The brokers support versions ${minVersion}-${maxVersion}.`
}
