import { LocalMetadataStore } from '../metadata/local.ts'
import type { FileSystem } from '../storage/fs.ts'
import { OverlayFs } from '../storage/overlay-fs.ts'
import { hasMetadata } from './inventory.ts'
import { TOPIC_PREFIX } from './topic-record.ts'

/** Topics that the metadata of a data folder itself has: a broker alone left them. Needs no lock, and changes nothing. */
export async function countOwnTopics(files: FileSystem, dir: string): Promise<number> {
  if (!hasMetadata(files, dir)) return 0
  const store = new LocalMetadataStore(new OverlayFs(files, dir), dir)
  try {
    return (await store.list(TOPIC_PREFIX)).entries.length
  } finally {
    await store.close()
  }
}
