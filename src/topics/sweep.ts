import { realFileSystem } from '../storage/fs.ts'
import type { Partition } from './partition.ts'
import type { ReplicasOptions } from './replicas.ts'
import type { Tombstones } from './tombstones.ts'
import { PARTITION_FOLDER } from './topic-record.ts'

/** Folders of no topic: what a crash left of deleted ones goes, the others are set aside. */
export async function sweepStrays(
  { dataDir, workers, log }: Pick<ReplicasOptions, 'dataDir' | 'workers' | 'log'>,
  partitions: readonly Partition[],
  tombstones: Tombstones,
): Promise<void> {
  const known = new Set(partitions.map(({ name }) => name))
  const folders = realFileSystem
    .readdir(dataDir)
    .filter(name => PARTITION_FOLDER.test(name) && !known.has(name))
  if (folders.length > 0) {
    const input = { folders, deleted: tombstones.ids }
    const { notes } = await workers[0]!.command('sweep', input)
    for (const note of notes) log.warn({}, note)
  }
  await tombstones.clear()
}
