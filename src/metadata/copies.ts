import { join } from 'node:path'
import { type FileSystem, readFile, replaceFile, replaceFiles } from '../storage/fs.ts'
import { isDiskFull } from '../storage/reserve.ts'
import { type CopyContent, NO_STATE, readCopy, type Transaction } from './log-file.ts'

/** Both hold all of it: what is lost or damaged in one is in the other. */
export const COPIES = ['metadata.log', 'metadata.2.log'] as const

/** What was durable is in neither copy. */
export class MetadataCorrupt extends Error {
  override readonly name = 'MetadataCorrupt'
}

/** What the two copies say together. */
export interface CopiesFound {
  readonly transactions: readonly Transaction[]
  readonly revision: number
  /** Both are whole and the same: they can be appended to. */
  readonly isSame: boolean
  /** One sentence each, for the operator. */
  readonly notes: readonly string[]
}

interface Copy {
  readonly name: string
  /** Null: there is no such file, or it cannot be read. */
  readonly bytes: Buffer | null
  readonly content: CopyContent
}

const absent = (problem: string): CopyContent => ({
  transactions: [],
  revision: NO_STATE,
  end: 0,
  ending: 'damaged',
  problem,
})

/**
 * The two files of the metadata log. Every group is written to both and both are flushed before anybody hears of it, so
 * that each alone has all that was ever acknowledged. A start believes the newest revision that is whole in a copy which
 * ends as a crash may leave it; if there is anything wrong with one, both are written anew from that.
 */
export class MetadataCopies {
  readonly #files: FileSystem
  readonly #dir: string
  #fds: number[] = []
  /** Of each of the two. */
  bytes = 0
  /** What they hold is not known any more. */
  hasFailed = false

  constructor(files: FileSystem, dir: string) {
    this.#files = files
    this.#dir = dir
  }

  /** Whether there is at least one of them. */
  static exist(files: FileSystem, dir: string): boolean {
    return COPIES.some(name => files.exists(join(dir, name)))
  }

  /** @throws MetadataCorrupt */
  read(): CopiesFound {
    const first = this.#read(COPIES[0])
    const second = this.#read(COPIES[1], first)
    const copies = [first, second]
    const revision = Math.max(...copies.map(copy => copy.content.revision))
    const best = copies.find(
      ({ content }) => content.revision === revision && content.ending !== 'damaged',
    )
    if (revision === NO_STATE || best === undefined) {
      const problems = copies.map(({ name, content }) => `${name} ${problemOf(content)}`)
      throw new MetadataCorrupt(
        `The metadata in ${this.#dir} is corrupt: ${problems.join('; ')}. Nothing was changed; restore one of the two from a copy.`,
      )
    }
    const notes = copies.flatMap(copy => this.#keepBad(copy, best))
    this.bytes = best.content.end
    const isSame = notes.length === 0 && first.content === second.content
    return { transactions: best.content.transactions, revision, isSame, notes }
  }

  #read(name: string, other?: Copy): Copy {
    const path = join(this.#dir, name)
    if (!this.#files.exists(path)) return { name, bytes: null, content: absent('is missing') }
    let bytes: Buffer
    try {
      bytes = readFile(this.#files, path)
    } catch (error) {
      return { name, bytes: null, content: absent(`cannot be read: ${(error as Error).message}`) }
    }
    const content = other?.bytes?.equals(bytes) ? other.content : readCopy(bytes)
    return { name, bytes, content }
  }

  /** Saves what is wrong in a copy and is about to be written over. @returns what to say of it */
  #keepBad({ name, bytes, content }: Copy, best: Copy): string[] {
    if (bytes === null) return [`${name} ${content.problem}: it is written anew from ${best.name}`]
    if (content.ending === 'whole') {
      const isBehind = content.revision < best.content.revision
      return isBehind ? [`${name} ends at revision ${content.revision}: it is written anew`] : []
    }
    const savedAs = `${name}.${content.ending}-${content.end}`
    replaceFile(this.#files, join(this.#dir, savedAs), bytes.subarray(content.end))
    const count = bytes.length - content.end
    return [
      `${name} is ${content.ending} ${content.problem}: ${count} bytes are kept as ${savedAs}`,
    ]
  }

  /** Opens both to append to, as they are. */
  open(): void {
    this.#fds = COPIES.map(name => this.#files.open(join(this.#dir, name), 'write'))
  }

  /**
   * Writes to both, then flushes both: the second flush finds most of its work done by the first. If the disk is full
   * before anything is flushed, both are as they were.
   */
  append(line: Buffer): void {
    try {
      for (const fd of this.#fds) this.#files.write(fd, [line], this.bytes)
    } catch (error) {
      this.hasFailed = true
      for (const fd of this.#fds) this.#files.truncate(fd, this.bytes)
      this.hasFailed = !isDiskFull(error)
      throw error
    }
    this.hasFailed = true
    for (const fd of this.#fds) this.#files.fdatasync(fd)
    this.hasFailed = false
    this.bytes += line.length
  }

  /** Writes both anew; at every moment each of them is whole. */
  replace(content: Buffer): void {
    this.close()
    const paths = COPIES.map(name => join(this.#dir, name))
    replaceFiles(this.#files, paths, content)
    this.bytes = content.length
    this.open()
  }

  close(): void {
    for (const fd of this.#fds.splice(0)) this.#files.close(fd)
  }
}

const problemOf = ({ ending, problem, revision }: CopyContent): string =>
  ending === 'damaged' ? problem : `ends at revision ${revision}`
