import { basename, dirname } from 'node:path'
import type { FileSystem } from './fs.ts'
import { OverlayDir, OverlayFile, type OverlayNode } from './overlay-nodes.ts'

/** Bytes that were written over what is there, in all. What one start writes beyond what is there is a journal's content at most. */
const MEMORY_BYTES_MAX = 1024 * 1024 * 1024

/** What differs from the file system below. */
export interface OverlayChange {
  readonly path: string
  /** `write`: the file is new or has other content; `remove`: it is gone. */
  readonly kind: 'write' | 'remove'
}

interface OpenFile {
  readonly file: OverlayFile
  readonly path: string
  readonly isWritable: boolean
}

const errorOf = (code: string, call: string, path: string): Error =>
  Object.assign(new Error(`${code}: ${call} '${path}'`), { code })

/**
 * A file system over another one, of which it changes nothing: what is written, renamed or removed stays in memory, as pieces
 * in the place of those below. A write of the bytes that are there already takes no memory.
 */
export class OverlayFs implements FileSystem {
  readonly freedAtOnceBytes = Number.POSITIVE_INFINITY
  readonly #below: FileSystem
  readonly #top: string
  readonly #root: OverlayDir
  readonly #open = new Map<number, OpenFile>()
  #nextFd = 3
  #memory = 0

  /** `top`: the folder that it is about; what is above is not looked at. */
  constructor(below: FileSystem, top: string) {
    this.#below = below
    this.#top = top
    this.#root = new OverlayDir(below, top)
  }

  open(path: string, mode: 'read' | 'write' | 'create'): number {
    let node = this.#find(path)
    if (node === undefined && mode === 'create') {
      node = new OverlayFile(this.#below, null)
      this.#dir(dirname(path)).names.set(basename(path), node)
    }
    if (node === undefined) throw errorOf('ENOENT', 'open', path)
    if (node instanceof OverlayDir) throw errorOf('EISDIR', 'open', path)
    node.retain()
    this.#open.set(this.#nextFd, { file: node, path, isWritable: mode !== 'read' })
    return this.#nextFd++
  }

  close(fd: number): void {
    this.#at(fd).file.release()
    this.#open.delete(fd)
  }

  read(fd: number, target: Uint8Array, offset: number, length: number, position: number): number {
    return this.#at(fd).file.read(target, offset, length, position)
  }

  write(fd: number, buffers: readonly Uint8Array[], position: number): void {
    const { file } = this.#writable(fd, 'write')
    let at = position
    for (const bytes of buffers) {
      this.#count(file.write(bytes, at))
      at += bytes.length
    }
  }

  #count(bytes: number): void {
    this.#memory += bytes
    if (this.#memory > MEMORY_BYTES_MAX) {
      throw new Error(
        `more than ${MEMORY_BYTES_MAX} bytes would be written, which is more than is kept in memory`,
      )
    }
  }

  truncate(fd: number, size: number): void {
    this.#count(this.#writable(fd, 'truncate').file.truncate(size))
  }

  /**
   * Puts another file in a path's place that consists of pieces of the one that is there, and of bytes. Pieces of files take no
   * memory, however large.
   */
  compose(path: string, parts: readonly (Uint8Array | { from: number; to: number })[]): void {
    const node = this.#find(path)
    const file = node instanceof OverlayFile ? node : new OverlayFile(this.#below, null)
    const composed = file.composed(parts)
    this.#dir(dirname(path)).names.set(basename(path), composed)
    for (const part of parts) if (part instanceof Uint8Array) this.#count(part.length)
  }

  fdatasync(fd: number): void {
    this.#at(fd)
  }

  size(fd: number): number {
    return this.#at(fd).file.size
  }

  modifiedMs(path: string): number {
    return this.#file(path, 'stat').modifiedMs
  }

  setModifiedMs(path: string, ms: number): void {
    this.#file(path, 'utimes').modifiedMs = ms
  }

  rename(from: string, to: string): void {
    const source = this.#dir(dirname(from))
    const node = source.child(basename(from))
    if (node === undefined) throw errorOf('ENOENT', 'rename', from)
    const target = this.#dir(dirname(to))
    source.names.delete(basename(from))
    target.names.set(basename(to), node)
  }

  unlink(path: string): void {
    this.#file(path, 'unlink')
    this.#dir(dirname(path)).names.delete(basename(path))
  }

  mkdir(path: string): void {
    let dir = this.#root
    for (const name of this.#namesOf(path)) {
      let next = dir.child(name)
      if (next === undefined) {
        next = new OverlayDir(this.#below, null)
        dir.names.set(name, next)
      }
      if (!(next instanceof OverlayDir)) throw errorOf('ENOTDIR', 'mkdir', path)
      dir = next
    }
  }

  rmdir(path: string): void {
    if (this.#dir(path).names.size > 0) throw errorOf('ENOTEMPTY', 'rmdir', path)
    this.#dir(dirname(path)).names.delete(basename(path))
  }

  readdir(path: string): string[] {
    return [...this.#dir(path).names.keys()]
  }

  exists(path: string): boolean {
    return this.#find(path) !== undefined
  }

  fsyncDir(path: string): void {
    this.#dir(path)
  }

  /** Everything that differs below the top folder. No folder is ever moved by what asks for this. */
  changes(): OverlayChange[] {
    return this.#root.changes(this.#top)
  }

  #at(fd: number): OpenFile {
    const open = this.#open.get(fd)
    if (open === undefined) throw errorOf('EBADF', 'fd', String(fd))
    return open
  }

  #writable(fd: number, call: string): OpenFile {
    const open = this.#at(fd)
    if (!open.isWritable) throw errorOf('EBADF', call, open.path)
    return open
  }

  /** The names that lead from the top folder to a path. */
  #namesOf(path: string): string[] {
    if (path === this.#top) return []
    const prefix = this.#top.endsWith('/') ? this.#top : `${this.#top}/`
    if (!path.startsWith(prefix)) throw errorOf('EACCES', 'outside of the folder', path)
    return path.slice(prefix.length).split('/').filter(Boolean)
  }

  #find(path: string): OverlayNode | undefined {
    let node: OverlayNode | undefined = this.#root
    for (const name of this.#namesOf(path)) {
      node = node instanceof OverlayDir ? node.child(name) : undefined
    }
    return node
  }

  #file(path: string, call: string): OverlayFile {
    const node = this.#find(path)
    if (!(node instanceof OverlayFile)) throw errorOf('ENOENT', call, path)
    return node
  }

  #dir(path: string): OverlayDir {
    const node = this.#find(path)
    if (node === undefined) throw errorOf('ENOENT', 'folder', path)
    if (!(node instanceof OverlayDir)) throw errorOf('ENOTDIR', 'folder', path)
    return node
  }
}
