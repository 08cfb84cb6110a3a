import type { FileSystem } from '../storage/fs.ts'
import { readAround } from './unreadable.ts'

/** Read at once. */
const READ_BYTES = 1024 * 1024

/** Reads a file from its beginning to its end, any number of bytes at a time, and somewhat back and forth. */
export class FileWindow {
  readonly size: number
  readonly #files: FileSystem
  readonly #fd: number
  #buffer = Buffer.allocUnsafe(READ_BYTES)
  #start = 0
  #filled = 0

  constructor(files: FileSystem, path: string) {
    this.#files = files
    this.#fd = files.open(path, 'read')
    this.size = files.size(this.#fd)
  }

  /** Fewer bytes only at the end of the file. Valid until the next call. */
  bytes(position: number, length: number): Buffer {
    const count = Math.max(0, Math.min(length, this.size - position))
    const isHere = position >= this.#start && position + count <= this.#start + this.#filled
    if (!isHere) this.#read(position, count)
    const at = position - this.#start
    return this.#buffer.subarray(at, at + count)
  }

  #read(position: number, count: number): void {
    if (count > this.#buffer.length) this.#buffer = Buffer.allocUnsafe(count)
    this.#start = position
    const length = Math.min(this.#buffer.length, this.size - position)
    this.#filled = readAround(this.#files, this.#fd, this.#buffer, length, position)
  }

  close(): void {
    this.#files.close(this.#fd)
  }
}
