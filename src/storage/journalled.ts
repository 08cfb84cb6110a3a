import { ENTRY_HEADER_BYTES, ENTRY_PARTITION, ENTRY_TOPIC_ID } from '../shared/entry.ts'
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

  /** Notes the entries of one group, but for partitions of which they count no more. */
  add(group: GroupEntries, isFlushed: (key: string, sequence: number) => boolean): void {
    const { place } = group.source
    if (this.#sources.at(-1) !== place) this.#sources.push(place)
    const index = this.#sources.length - 1
    forEachHeader(group, (header, at, bytes) => {
      const key = keyOfEntry(header)
      if (isFlushed(key, group.sequence)) return
      const places = this.#places.get(key)
      if (places === undefined) this.#places.set(key, [index, at, bytes])
      else places.push(index, at, bytes)
    })
  }

  has(key: string): boolean {
    return this.#places.has(key)
  }

  /** Runs with the entries of a partition. Only as long as no journal is written to. */
  with<T>(key: string, use: (entries: readonly JournalledEntry[]) => T): T {
    const places = this.#places.get(key) ?? []
    const reader = new EntryReader(this.#files)
    try {
      return use(
        Array.from({ length: places.length / NUMBERS }, (_, i) => {
          const [index, at, bytes] = places.slice(i * NUMBERS, (i + 1) * NUMBERS)
          return new JournalledEntry(reader, this.#sources[index!]!, at!, bytes!)
        }),
      )
    } finally {
      reader.close()
    }
  }

  clear(): void {
    this.#places.clear()
    this.#sources.length = 0
  }
}

/** Reads entries into the same memory, one at a time. */
export class EntryReader {
  readonly #files: FileSystem
  readonly #open = new Map<string, number>()
  #buffer = Buffer.alloc(0)

  constructor(files: FileSystem) {
    this.#files = files
  }

  /** The bytes stay as they are until the next are read. */
  read(source: string | Buffer, at: number, bytes: number): Buffer {
    if (typeof source !== 'string') return source.subarray(at, at + bytes)
    let fd = this.#open.get(source)
    if (fd === undefined) {
      fd = this.#files.open(source, 'read')
      this.#open.set(source, fd)
    }
    if (this.#buffer.length < bytes) this.#buffer = Buffer.alloc(bytes)
    const read = this.#files.read(fd, this.#buffer, 0, bytes, at)
    if (read !== bytes) throw new Error(`${source} ends at byte ${at + read}: it has changed`)
    return this.#buffer.subarray(0, bytes)
  }

  close(): void {
    for (const fd of this.#open.values()) this.#files.close(fd)
  }
}

/** One entry of a journal, which is read when it is asked for. What is read stays as it is until the next reading. */
export class JournalledEntry {
  readonly bytes: number
  readonly #reader: EntryReader
  readonly #source: string | Buffer
  readonly #at: number

  constructor(reader: EntryReader, source: string | Buffer, at: number, bytes: number) {
    this.#reader = reader
    this.#source = source
    this.#at = at
    this.bytes = bytes
  }

  whole(): Buffer {
    return this.#reader.read(this.#source, this.#at, this.bytes)
  }

  header(): Buffer {
    return this.#reader.read(this.#source, this.#at, ENTRY_HEADER_BYTES)
  }

  payload(bytes: number): Buffer {
    return this.#reader.read(this.#source, this.#at + ENTRY_HEADER_BYTES, bytes)
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
