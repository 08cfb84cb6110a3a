import { basename, dirname } from 'node:path'
import type { FileSystem } from '../../src/storage/fs.ts'
import { MemoryDir, MemoryFile } from './memory-disk.ts'
import { Random } from './random.ts'

export type Call =
  | 'open'
  | 'close'
  | 'read'
  | 'write'
  | 'truncate'
  | 'fdatasync'
  | 'size'
  | 'rename'
  | 'unlink'
  | 'mkdir'
  | 'rmdir'
  | 'readdir'
  | 'fsyncDir'

/** The process has died: every further call throws this too. */
export class Crashed extends Error {
  override readonly name = 'Crashed'
}

export interface Fault {
  /** Counts from 1, over calls of `kind` only if it is given. */
  readonly at: number
  readonly kind?: Call
  /** `crash`: the process dies in this call; `short`: part of a write is done; else an errno's name. */
  readonly code: string
}

function errorOf(code: string, call: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${call} ${path}`), { code })
}

/**
 * A file system in memory that knows what a power cut would leave: per file the flushed content and the pages written
 * since, per folder the flushed names and the changes since. `image` builds what one power cut might leave, `clone` what
 * a killed process leaves (all that was written, still not flushed).
 */
export class MemoryFs implements FileSystem {
  /** Little, so that logs of both kinds, larger and not, are removed. */
  readonly freedAtOnceBytes = 512
  root = new MemoryDir()
  fault: Fault | null = null
  /** Calls that change something or can fail, so far. */
  calls = 0
  hasCrashed = false
  /** Whether the fault has struck. */
  hasFailed = false
  /** Where the fault has struck. */
  failedPath = ''
  /** ms since the epoch, for modification times. */
  nowMs = 0
  /** Paths whose flush failed and that were flushed again without being written: an engine must not do that. */
  readonly retriedFlushes: string[] = []
  readonly #open = new Map<number, { file: MemoryFile; path: string }>()
  #nextFd = 3
  #ofKind = 0
  readonly random: Random

  constructor(random = new Random(1)) {
    this.random = random
  }

  pathOf(fd: number): string {
    return this.#at(fd).path
  }

  get openFiles(): string[] {
    return [...this.#open.values()].map(o => o.path)
  }

  /** Arms a fault; calls are counted from now on. */
  arm(fault: Fault): void {
    this.fault = fault
    this.calls = 0
    this.#ofKind = 0
    this.hasFailed = false
  }

  /** Returns the fault's code if this call is the one to fail. */
  #struck(call: Call, path: string): string | null {
    if (this.hasCrashed) throw new Crashed(call)
    this.calls++
    const { fault } = this
    if (fault === null || this.hasFailed) return null
    if (fault.kind !== undefined && fault.kind !== call) return null
    if (++this.#ofKind !== fault.at) return null
    this.hasFailed = true
    this.failedPath = path
    if (fault.code === 'crash') this.hasCrashed = true
    return fault.code
  }

  #check(call: Call, path: string): void {
    const code = this.#struck(call, path)
    if (code === 'crash') throw new Crashed(call)
    if (code !== null) throw errorOf(code === 'short' ? 'EIO' : code, call, path)
  }

  open(path: string, mode: 'read' | 'write' | 'create'): number {
    this.#check('open', path)
    const dir = this.#dir(dirname(path))
    let file = dir.names.get(basename(path))
    if (file === undefined && mode === 'create') {
      file = new MemoryFile()
      file.modifiedMs = this.nowMs
      dir.change({ set: basename(path), node: file })
    }
    if (!(file instanceof MemoryFile)) throw errorOf('ENOENT', 'open', path)
    this.#open.set(this.#nextFd, { file, path })
    return this.#nextFd++
  }

  close(fd: number): void {
    const { path } = this.#at(fd)
    this.#open.delete(fd)
    this.#check('close', path)
  }

  read(fd: number, target: Uint8Array, offset: number, length: number, position: number): number {
    const { file, path } = this.#at(fd)
    this.#check('read', path)
    const end = Math.max(position, Math.min(file.size, position + length))
    target.set(file.data.subarray(position, end), offset)
    return end - position
  }

  write(fd: number, buffers: readonly Uint8Array[], position: number): void {
    const { file, path } = this.#at(fd)
    const code = this.#struck('write', path)
    let bytes = Buffer.concat(buffers)
    if (code !== null) bytes = bytes.subarray(0, this.random.below(bytes.length + 1))
    if (code === null || code === 'short' || code === 'crash' || code === 'ENOSPC') {
      file.write(bytes, position)
      file.modifiedMs = this.nowMs
    }
    if (code === 'crash') throw new Crashed('write')
    if (code !== null) throw errorOf(code === 'short' ? 'ESHORTWRITE' : code, 'write', path)
  }

  truncate(fd: number, size: number): void {
    const { file, path } = this.#at(fd)
    this.#check('truncate', path)
    file.truncate(size)
  }

  fdatasync(fd: number): void {
    const { file, path } = this.#at(fd)
    const code = this.#struck('fdatasync', path)
    if (code === 'crash') throw new Crashed('fdatasync')
    if (code !== null) {
      file.loseDirty()
      throw errorOf(code === 'short' ? 'EIO' : code, 'fdatasync', path)
    }
    if (file.isLost) this.retriedFlushes.push(path)
    file.flush()
  }

  size(fd: number): number {
    const { file, path } = this.#at(fd)
    this.#check('size', path)
    return file.size
  }

  modifiedMs(path: string): number {
    const file = this.#find(path)
    if (!(file instanceof MemoryFile)) throw errorOf('ENOENT', 'stat', path)
    return file.modifiedMs
  }

  setModifiedMs(path: string, ms: number): void {
    const file = this.#find(path)
    if (!(file instanceof MemoryFile)) throw errorOf('ENOENT', 'utimes', path)
    file.modifiedMs = ms
  }

  rename(from: string, to: string): void {
    this.#check('rename', from)
    const dir = this.#dir(dirname(from))
    if (dirname(from) !== dirname(to)) throw errorOf('EXDEV', 'rename', to)
    const node = dir.names.get(basename(from))
    if (node === undefined) throw errorOf('ENOENT', 'rename', from)
    const target = dir.names.get(basename(to))
    if (target instanceof MemoryDir && target.names.size > 0)
      throw errorOf('ENOTEMPTY', 'rename', to)
    dir.change({ remove: basename(from), set: basename(to), node })
  }

  unlink(path: string): void {
    this.#check('unlink', path)
    const dir = this.#dir(dirname(path))
    if (!(dir.names.get(basename(path)) instanceof MemoryFile)) {
      throw errorOf('ENOENT', 'unlink', path)
    }
    dir.change({ remove: basename(path) })
  }

  mkdir(path: string): void {
    this.#check('mkdir', path)
    let dir = this.root
    for (const name of path.split('/').filter(Boolean)) {
      const found = dir.names.get(name)
      if (found instanceof MemoryFile) throw errorOf('ENOTDIR', 'mkdir', path)
      const next: MemoryDir = found ?? new MemoryDir()
      if (found === undefined) dir.change({ set: name, node: next })
      dir = next
    }
  }

  rmdir(path: string): void {
    this.#check('rmdir', path)
    if (this.#dir(path).names.size > 0) throw errorOf('ENOTEMPTY', 'rmdir', path)
    this.#dir(dirname(path)).change({ remove: basename(path) })
  }

  readdir(path: string): string[] {
    this.#check('readdir', path)
    return [...this.#dir(path).names.keys()]
  }

  exists(path: string): boolean {
    if (this.hasCrashed) throw new Crashed('exists')
    return this.#find(path) !== undefined
  }

  fsyncDir(path: string): void {
    this.#check('fsyncDir', path)
    this.#dir(path).flush()
  }

  /** What a power cut now might leave; which of all possibilities, `random` decides. */
  image(random: Random): MemoryFs {
    const after = new MemoryFs(random)
    // Journalling file systems keep the order of names' changes; a bad one keeps any of them.
    after.root = this.root.image(random, random.chance(0.5))
    after.nowMs = this.nowMs
    return after
  }

  /** What a killed process leaves to the next one: everything written, none of it flushed by that. */
  clone(random: Random): MemoryFs {
    const after = new MemoryFs(random)
    after.root = this.root.clone(new Map())
    after.nowMs = this.nowMs
    return after
  }

  /** A file's bytes, to look at or to damage; null if it is missing. */
  peek(path: string): MemoryFile | null {
    const file = this.#find(path)
    return file instanceof MemoryFile ? file : null
  }

  /** All file paths. */
  list(dir = this.root, prefix = ''): string[] {
    return [...dir.names].flatMap(([name, node]) =>
      node instanceof MemoryDir ? this.list(node, `${prefix}/${name}`) : [`${prefix}/${name}`],
    )
  }

  #at(fd: number): { file: MemoryFile; path: string } {
    const open = this.#open.get(fd)
    if (open === undefined) throw errorOf('EBADF', 'fd', String(fd))
    return open
  }

  #find(path: string): MemoryDir | MemoryFile | undefined {
    let node: MemoryDir | MemoryFile | undefined = this.root
    for (const name of path.split('/').filter(Boolean)) {
      node = node instanceof MemoryDir ? node.names.get(name) : undefined
    }
    return node
  }

  #dir(path: string): MemoryDir {
    const dir = this.#find(path)
    if (dir === undefined) throw errorOf('ENOENT', 'dir', path)
    if (dir instanceof MemoryFile) throw errorOf('ENOTDIR', 'dir', path)
    return dir
  }
}
