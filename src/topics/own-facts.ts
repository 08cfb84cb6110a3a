import { LocalMetadataStore } from '../metadata/local.ts'
import type { FileSystem } from '../storage/fs.ts'
import { OverlayFs } from '../storage/overlay-fs.ts'
import { JOINED, SEEN } from './data-dir.ts'
import { hasMetadata } from './inventory.ts'
import { TOPIC_PREFIX } from './topic-record.ts'

/** What the metadata of a data folder itself says. */
export interface OwnFacts {
  /** Topics of its own: a broker alone left them. */
  readonly topics: number
  /** The address of the cluster's metadata that its broker was part of last; null: of none. */
  readonly cluster: string | null
  /** The newest revision of that metadata that it has noted; 0: none. */
  readonly revision: number
}

/** Needs no lock, and changes nothing. */
export async function ownFactsOf(files: FileSystem, dir: string): Promise<OwnFacts> {
  if (!hasMetadata(files, dir)) return { topics: 0, cluster: null, revision: 0 }
  const store = new LocalMetadataStore(new OverlayFs(files, dir), dir)
  try {
    const { entries } = await store.list(TOPIC_PREFIX)
    const cluster = store.peek(JOINED) as string | null
    const revision = (store.peek(SEEN) as number | null) ?? 0
    return { topics: entries.length, cluster, revision }
  } finally {
    await store.close()
  }
}
