import { join } from 'node:path'
import type { PartitionToOpen } from './commands.ts'
import { clearWay } from './folders.ts'
import type { FileSystem } from './fs.ts'
import { keyOf } from './journalled.ts'
import { type LeftBehind, NOWHERE } from './left-behind.ts'
import { isOfOtherTopic } from './partition-metadata.ts'
import { type Recovered, recover } from './recovery.ts'

/** What is known of a partition beyond its folder. */
export interface KnownOfPartitions {
  readonly left: LeftBehind
  /** Ids of topics of the same names that were deleted for certain. */
  readonly deleted: ReadonlySet<string>
  /** Whether the last stop was clean. */
  readonly clean: boolean
  /** Takes one sentence for each thing that was done beyond opening. */
  readonly notes: string[]
}

/**
 * Opens a partition as a broker does: at its start with recovery, later as a new and empty one.
 * @throws CorruptLog and others: it stays offline
 */
export function openPartition(
  files: FileSystem,
  dataDir: string,
  { name, topicId, partition, config }: PartitionToOpen,
  recovering: boolean,
  { left, deleted, clean, notes }: KnownOfPartitions,
): Recovered {
  const key = keyOf(topicId, partition)
  const dir = join(dataDir, name)
  const safe = left.safePoints.get(key)
  const isKnown = safe !== undefined || left.journalled.has(key)
  if (!recovering || (!isKnown && isOfOtherTopic(files, dir, topicId))) {
    const note = clearWay(files, dir, { deleted, journalled: left.journalled })
    if (note !== null) notes.push(note)
  }
  const recovered = left.journalled.with(key, journal =>
    recover(files, {
      ...{ ...(safe ?? NOWHERE), isStartKnown: left.isComplete, dir },
      ...{ topicId, name, config, journal },
      clean: clean || !recovering,
    }),
  )
  notes.push(...recovered.notes)
  return recovered
}
