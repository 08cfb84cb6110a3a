import { ENTRY_PARTITION, ENTRY_TOPIC_ID } from '../shared/entry.ts'
import type { FileSystem } from './fs.ts'
import { forEachHeader, type GroupEntries } from './journal-groups.ts'

/** Numbers that an entry takes in a list: its source, where it starts there, its bytes. */
const NUMBERS = 3

/**
 * Where the journal entries of each partition are, oldest first. They stay in the journals' files until they are asked for:
 * every worker looks at all journals, and must not hold them all.
 */
export class Journalled {
  readonly #files: FileSystem
  /** Paths of files, or what was salvaged and is in none as it should be. */
  readonly #sources: (string | Buffer)[] = []
  readonly #places = new Map<string, number[]>()

  constructor(files: FileSystem) {
    this.#files = files
  }

  /** Notes the entries of one group. */
  add(group: GroupEntries): void {
    const { place } = group.source
    if (this.#sources.at(-1) !== place) this.#sources.push(place)
    const index = this.#sources.length - 1
    forEachHeader(group, (header, at, bytes) => {
      const key = keyOfEntry(header)
      const places = this.#places.get(key)
      if (places === undefined) this.#places.set(key, [index, at, bytes])
      else places.push(index, at, bytes)
    })
  }

  has(key: string): boolean {
    return this.#places.has(key)
  }

  /** The entries of a partition. Only as long as no journal is written to. */
  of(key: string): Buffer[] {
    const places = this.#places.get(key) ?? []
    const open = new Map<string, number>()
    try {
      return Array.from({ length: places.length / NUMBERS }, (_, i) => {
        const [index, at, bytes] = places.slice(i * NUMBERS, (i + 1) * NUMBERS)
        return this.#read(open, this.#sources[index!]!, at!, bytes!)
      })
    } finally {
      for (const fd of open.values()) this.#files.close(fd)
    }
  }

  #read(open: Map<string, number>, source: string | Buffer, at: number, bytes: number): Buffer {
    if (typeof source !== 'string') return source.subarray(at, at + bytes)
    let fd = open.get(source)
    if (fd === undefined) {
      fd = this.#files.open(source, 'read')
      open.set(source, fd)
    }
    const entry = Buffer.allocUnsafe(bytes)
    const read = this.#files.read(fd, entry, 0, bytes, at)
    if (read !== bytes) throw new Error(`${source} ends at byte ${at + read}: it has changed`)
    return entry
  }

  clear(): void {
    this.#places.clear()
    this.#sources.length = 0
  }
}

/** Names a partition across deletions and re-creations of its topic. */
export function keyOf(topicId: string, partition: number): string {
  return `${topicId}-${partition}`
}

export function keyOfEntry(entry: Buffer): string {
  const topicId = entry.toString('base64url', ENTRY_TOPIC_ID * 4, ENTRY_TOPIC_ID * 4 + 16)
  return keyOf(topicId, entry.readUInt32LE(ENTRY_PARTITION * 4))
}
