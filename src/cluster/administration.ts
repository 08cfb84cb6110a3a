import {
  FEATURES,
  type FeatureLevels,
  type FeatureUpdate,
  FIRST_LEVELS,
  updatedLevels,
} from './features.ts'
import type { ImageFeed } from './feed.ts'
import type { ClusterImage } from './image.ts'
import { carryOut } from './proposals.ts'
import { brokerKey, nodeKey } from './registration.ts'
import { inUse, notRegistered } from './unregistered.ts'

/** What somebody who runs a cluster asks of it as a whole; what a partition is to be goes through its record (proposals.ts). */
export interface Administered {
  readonly image: ClusterImage
  readonly feed: Pick<ImageFeed, 'transact'>
}

/**
 * Forgets which disk has a broker's id: whoever comes with it next is a new broker. Kafka also lets go of one that runs; here
 * its registration says no more than that, and it would be back at once.
 *
 * @throws BrokerError BROKER_ID_NOT_REGISTERED, DUPLICATE_BROKER_REGISTRATION: the id is in use
 */
export function unregister(cluster: Administered, id: number): Promise<void> {
  const { image } = cluster
  return carryOut(cluster.feed, 'It', () => {
    const node = image.entry(nodeKey(id))
    if (node === null) throw notRegistered(id)
    if (image.broker(id) !== null) {
      throw inUse(`Broker ${id} is running: stop it, or it is back at once.`)
    }
    const held = [...image.partitionsOn(id)]
    if (held.length > 0) {
      const [{ topicId, index }] = held as [(typeof held)[number]]
      const example = `${image.topicById(topicId)?.name ?? topicId}-${index}`
      throw inUse(
        `Broker ${id} is a replica of ${held.length} partitions, ${example} for one: move them first.`,
      )
    }
    const { key, revision } = node
    return {
      compares: [
        { key, revision },
        { key: brokerKey(id), created: 0 },
      ],
      changes: [{ key, value: null }],
    }
  })
}

/** What the cluster goes by; a cluster older than the key goes by the first levels. */
export function finalizedFeatures(image: ClusterImage) {
  const entry = image.entry(FEATURES)
  const levels = (entry?.value as FeatureLevels | undefined) ?? FIRST_LEVELS
  return { epoch: entry?.revision ?? 0, levels }
}

/** @throws BrokerError INVALID_UPDATE_VERSION, REQUEST_TIMED_OUT */
export function updateFeatures(
  cluster: Administered,
  updates: readonly FeatureUpdate[],
  validateOnly: boolean,
): Promise<void> {
  return carryOut(cluster.feed, 'It', () => {
    const entry = cluster.image.entry(FEATURES)
    const value = updatedLevels(finalizedFeatures(cluster.image).levels, updates)
    if (validateOnly || JSON.stringify(value) === JSON.stringify(entry?.value)) return null
    return {
      compares: [{ key: FEATURES, revision: entry?.revision ?? 0 }],
      changes: [{ key: FEATURES, value }],
    }
  })
}
