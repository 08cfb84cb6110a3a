import { join } from 'node:path'
import type { FileSystem } from './fs.ts'

export type OverlayNode = OverlayDir | OverlayFile

/** Compared at once with what is there. */
const COMPARE_BYTES = 1024 * 1024

/** A folder as it would be. Its content is looked up below when it is first asked for. */
export class OverlayDir {
  readonly #below: FileSystem
  readonly #path: string | null
  #names: Map<string, OverlayNode | null> | null = null

  /** `path`: of the folder below that it begins as; null: a new one. */
  constructor(below: FileSystem, path: string | null) {
    this.#below = below
    this.#path = path
  }

  /** Null: there, and not looked at yet. */
  get names(): Map<string, OverlayNode | null> {
    if (this.#names === null) {
      const names = this.#path === null ? [] : this.#below.readdir(this.#path)
      this.#names = new Map(names.map(name => [name, null]))
    }
    return this.#names
  }

  child(name: string): OverlayNode | undefined {
    const known = this.names.get(name)
    if (known !== null) return known
    const path = join(this.#path!, name)
    const node = isFolder(this.#below, path)
      ? new OverlayDir(this.#below, path)
      : new OverlayFile(this.#below, path)
    this.names.set(name, node)
    return node
  }

  changes(path: string): { path: string; kind: 'write' | 'remove' }[] {
    if (this.#names === null) return []
    const before = this.#path === null ? [] : this.#below.readdir(this.#path)
    const removed = before
      .filter(name => !this.names.has(name))
      .map(name => ({ path: join(path, name), kind: 'remove' as const }))
    const written = [...this.names].flatMap(([name, node]) => {
      const at = join(path, name)
      if (node instanceof OverlayDir) return node.changes(at)
      return node === null || node.isAsBelow(at) ? [] : [{ path: at, kind: 'write' as const }]
    })
    return [...written, ...removed]
  }
}

function isFolder(files: FileSystem, path: string): boolean {
  try {
    files.readdir(path)
    return true
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOTDIR' || code === 'ENOENT') return false
    throw error
  }
}

/** Bytes of a file: in memory, or where they are below. */
interface Piece {
  /** Where in the file it starts. */
  readonly start: number
  readonly length: number
  readonly bytes: Uint8Array | null
  /** Where it starts in the file below, if it has no bytes. */
  readonly at: number
}

/** A file as it would be: a row of pieces. */
export class OverlayFile {
  readonly #below: FileSystem
  readonly #path: string | null
  #pieces: Piece[] = []
  #isChanged: boolean
  #modifiedMs: number | null = null
  /** Of the file below, while it is open here. */
  #fd = -1
  #openings = 0

  /** `path`: of the file below that it begins as; null: a new and empty one. */
  constructor(below: FileSystem, path: string | null) {
    this.#below = below
    this.#path = path
    this.#isChanged = path === null
    if (path === null) return
    this.retain()
    const length = below.size(this.#belowFd())
    this.release()
    if (length > 0) this.#pieces = [{ start: 0, length, bytes: null, at: 0 }]
  }

  get size(): number {
    const last = this.#pieces.at(-1)
    return last === undefined ? 0 : last.start + last.length
  }

  get modifiedMs(): number {
    if (this.#modifiedMs !== null) return this.#modifiedMs
    return this.#path === null || this.#isChanged ? Date.now() : this.#below.modifiedMs(this.#path)
  }

  set modifiedMs(ms: number) {
    this.#modifiedMs = ms
  }

  /** Whether there is the same file at this path below. */
  isAsBelow(path: string): boolean {
    return !this.#isChanged && this.#path === path
  }

  retain(): void {
    this.#openings++
  }

  release(): void {
    if (--this.#openings > 0 || this.#fd === -1) return
    this.#below.close(this.#fd)
    this.#fd = -1
  }

  #belowFd(): number {
    if (this.#fd === -1) this.#fd = this.#below.open(this.#path!, 'read')
    return this.#fd
  }

  read(target: Uint8Array, offset: number, length: number, position: number): number {
    const end = Math.min(this.size, position + length)
    let at = position
    for (let i = this.#pieceAt(position); at < end; i++) {
      const piece = this.#pieces[i]!
      const skip = at - piece.start
      const count = Math.min(piece.length - skip, end - at)
      const into = offset + at - position
      if (piece.bytes !== null) target.set(piece.bytes.subarray(skip, skip + count), into)
      else this.#below.read(this.#belowFd(), target, into, count, piece.at + skip)
      at += count
    }
    return Math.max(0, at - position)
  }

  /** The last piece that starts at or before the position. */
  #pieceAt(position: number): number {
    let low = 0
    let high = this.#pieces.length
    while (high - low > 1) {
      const middle = (low + high) >>> 1
      if (this.#pieces[middle]!.start <= position) low = middle
      else high = middle
    }
    return low
  }

  /** @returns bytes of memory that it took */
  write(bytes: Uint8Array, position: number): number {
    if (bytes.length === 0 || this.#isThere(bytes, position)) return 0
    let taken = 0
    if (position > this.size) taken += this.truncate(position)
    const copy = Uint8Array.from(bytes)
    const end = position + copy.length
    const piece = { start: position, length: copy.length, bytes: copy, at: 0 }
    // What is appended, piece after piece, copies no list.
    if (position === this.size) this.#pieces.push(piece)
    else this.#pieces = [...this.#cut(0, position), piece, ...this.#cut(end, this.size)]
    this.#isChanged = true
    return taken + copy.length
  }

  #isThere(bytes: Uint8Array, position: number): boolean {
    try {
      return this.#hasBytes(bytes, position)
    } catch (error) {
      // What cannot be read can be written over all the same.
      if ((error as NodeJS.ErrnoException).code === 'EIO') return false
      throw error
    }
  }

  #hasBytes(bytes: Uint8Array, position: number): boolean {
    if (position + bytes.length > this.size) return false
    const found = Buffer.allocUnsafe(Math.min(bytes.length, COMPARE_BYTES))
    for (let done = 0; done < bytes.length; done += found.length) {
      const count = Math.min(found.length, bytes.length - done)
      this.read(found, 0, count, position + done)
      if (!found.subarray(0, count).equals(bytes.subarray(done, done + count))) return false
    }
    return true
  }

  /** @returns bytes of memory that it took */
  truncate(size: number): number {
    const before = this.size
    if (size === before) return 0
    this.#isChanged = true
    this.#pieces = this.#cut(0, Math.min(size, before))
    if (size <= before) return 0
    const zeros = new Uint8Array(size - before)
    this.#pieces.push({ start: before, length: zeros.length, bytes: zeros, at: 0 })
    return zeros.length
  }

  /** The pieces, or parts of them, between two positions. */
  #cut(from: number, to: number): Piece[] {
    const pieces: Piece[] = []
    for (const piece of this.#pieces) {
      const start = Math.max(from, piece.start)
      const end = Math.min(to, piece.start + piece.length)
      if (start >= end) continue
      const skip = start - piece.start
      const bytes = piece.bytes?.subarray(skip, skip + end - start) ?? null
      pieces.push({ start, length: end - start, bytes, at: piece.at + skip })
    }
    return pieces
  }

  /** Another file, of pieces of this one and of bytes. */
  composed(parts: readonly (Uint8Array | { from: number; to: number })[]): OverlayFile {
    const file = new OverlayFile(this.#below, this.#path)
    file.#isChanged = true
    file.#pieces = []
    for (const part of parts) {
      const pieces =
        part instanceof Uint8Array
          ? [{ start: 0, length: part.length, bytes: part, at: 0 }]
          : this.#cut(part.from, part.to)
      for (const piece of pieces) {
        if (piece.length > 0) file.#pieces.push({ ...piece, start: file.size })
      }
    }
    return file
  }
}
