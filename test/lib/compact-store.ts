import { join } from 'node:path'
import type { LogView, PartitionToOpen } from '../../src/storage/commands.ts'
import { Compactor } from '../../src/storage/compaction/compactor.ts'
import { swapIn } from '../../src/storage/compaction/swap.ts'
import type { FileSystem } from '../../src/storage/fs.ts'
import { DATA_DIR, type StoreDriver } from './store-driver.ts'

/** Compacts all closed segments of a partition, as the cleaner and its task do together. */
export async function compactStore(
  driver: StoreDriver,
  files: FileSystem,
  { handle, name }: PartitionToOpen,
  view: LogView,
  segmentBytes: number,
): Promise<void> {
  driver.command('settle', { handle })
  const dir = join(DATA_DIR, name)
  const firstDirtyOffset = view.logStartOffset
  const plan = {
    ...{ dir, name, segments: view.segments.slice(0, -1), firstDirtyOffset, now: 1_000_000 },
    firstUncleanableOffset: view.segments.at(-1)!.base,
    producers: new Map(),
    ...{ deleteRetentionMs: 1_000, segmentBytes },
    ...{ keyBytesMax: 256 * 1024, contentBytesMax: 1024 * 1024 },
  }
  const run = new Compactor(files, plan, { spent: () => {}, flush: action => action() }).run()
  let step = await run.next()
  for (; !step.done; step = await run.next()) {
    swapIn(files, dir, step.value, firstDirtyOffset)
    driver.command('swapped', { handle, cleaned: step.value })
  }
  driver.command('compacted', { handle, cleanedOffset: step.value.endOffset })
}
