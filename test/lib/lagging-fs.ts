import type { FileSystem } from '../../src/storage/fs.ts'
import type { MemoryFs } from './memory-fs.ts'
import type { Random } from './random.ts'

/**
 * A file system whose calls return at once and reach the disk later: what a store does in one turn can so be cut short by a
 * crash at any call of it, although the turn is over.
 */
export class LaggingFs implements FileSystem {
  /** What the process sees. */
  readonly front: MemoryFs
  /** What is left if it ends now. */
  readonly #back: MemoryFs
  readonly #waiting: (() => void)[] = []
  /** Calls so far that reach the disk. */
  calls = 0
  readonly freedAtOnceBytes: number

  constructor(disk: MemoryFs, random: Random) {
    this.#back = disk
    this.front = disk.clone(random)
    this.freedAtOnceBytes = disk.freedAtOnceBytes
  }

  /** The first so many calls have reached the disk. */
  settle(calls: number): void {
    const count = this.#waiting.length - (this.calls - calls)
    if (count <= 0) return
    for (const call of this.#waiting.splice(0, count)) call()
  }

  /** The process is gone: any number of the calls that wait have been made. */
  crash(isPowerCut: boolean, random: Random): MemoryFs {
    this.settle(this.calls - random.below(this.#waiting.length + 1))
    return isPowerCut ? this.#back.image(random) : this.#back.clone(random)
  }

  open(path: string, mode: 'read' | 'write' | 'create'): number {
    // Both give out the same numbers, for both have opened the same.
    return this.#both(files => files.open(path, mode))
  }

  close(fd: number): void {
    this.#both(files => files.close(fd))
  }

  read(fd: number, target: Uint8Array, offset: number, length: number, position: number): number {
    return this.front.read(fd, target, offset, length, position)
  }

  write(fd: number, buffers: readonly Uint8Array[], position: number): void {
    const bytes = [Buffer.concat(buffers)]
    this.#both(files => files.write(fd, bytes, position))
  }

  truncate(fd: number, size: number): void {
    this.#both(files => files.truncate(fd, size))
  }

  fdatasync(fd: number): void {
    this.#both(files => files.fdatasync(fd))
  }

  size(fd: number): number {
    return this.front.size(fd)
  }

  modifiedMs(path: string): number {
    return this.front.modifiedMs(path)
  }

  setModifiedMs(path: string, ms: number): void {
    this.#both(files => files.setModifiedMs(path, ms))
  }

  rename(from: string, to: string): void {
    this.#both(files => files.rename(from, to))
  }

  unlink(path: string): void {
    this.#both(files => files.unlink(path))
  }

  mkdir(path: string): void {
    this.#both(files => files.mkdir(path))
  }

  rmdir(path: string): void {
    this.#both(files => files.rmdir(path))
  }

  readdir(path: string): string[] {
    return this.front.readdir(path)
  }

  exists(path: string): boolean {
    return this.front.exists(path)
  }

  fsyncDir(path: string): void {
    this.#both(files => files.fsyncDir(path))
  }

  #both<T>(call: (files: MemoryFs) => T): T {
    const result = call(this.front)
    this.calls++
    this.#waiting.push(() => call(this.#back))
    return result
  }
}
