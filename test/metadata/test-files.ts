import { Buffer } from 'node:buffer'
import * as assert from 'uvu/assert'
import { BrokerError } from '../../src/errors.ts'
import { LocalMetadataStore } from '../../src/metadata/local.ts'
import type { FileSystem } from '../../src/storage/fs.ts'

export const DIR = '/data'
export const LOG = '/data/metadata.log'
export const SECOND = '/data/metadata.2.log'

interface File {
  bytes: Buffer
  flushed: Buffer
}

/** Files in memory that know what a power cut would leave, and fail at the n-th call. */
export class TestFiles implements FileSystem {
  readonly freedAtOnceBytes = 0
  names = new Map<string, File>()
  #flushedNames = new Map<string, File>()
  #open = new Map<number, File>()
  #nextFd = 3
  calls = 0
  flushes = 0
  failAt = 0
  failWith = 'EIO'

  /** Without a second copy of the log, unless it is given. */
  static of(log: Uint8Array, second: Uint8Array | null = null): TestFiles {
    const files = new TestFiles()
    files.names.set(LOG, { bytes: Buffer.from(log), flushed: Buffer.from(log) })
    if (second !== null) {
      files.names.set(SECOND, { bytes: Buffer.from(second), flushed: Buffer.from(second) })
    }
    files.fsyncDir(DIR)
    files.calls = 0
    return files
  }

  /** The disk after a power cut now: flushed names, flushed bytes. */
  afterPowerCut(): TestFiles {
    const after = new TestFiles()
    for (const [name, { flushed }] of this.#flushedNames) {
      after.names.set(name, { bytes: Buffer.from(flushed), flushed: Buffer.from(flushed) })
    }
    after.fsyncDir(DIR)
    return after
  }

  content(path = LOG): Buffer {
    return this.names.get(path)!.bytes
  }

  get openFiles(): number {
    return this.#open.size
  }

  #step(): void {
    this.calls++
    if (this.calls !== this.failAt) return
    throw Object.assign(new Error(`${this.failWith}: planned`), { code: this.failWith })
  }

  open(path: string, mode: 'read' | 'write' | 'create'): number {
    this.#step()
    let file = this.names.get(path)
    if (file === undefined) {
      if (mode !== 'create') throw new Error(`ENOENT: ${path}`)
      file = { bytes: Buffer.alloc(0), flushed: Buffer.alloc(0) }
      this.names.set(path, file)
    }
    this.#open.set(this.#nextFd, file)
    return this.#nextFd++
  }

  close(fd: number): void {
    assert.ok(this.#open.delete(fd), 'closes an open file')
  }

  read(fd: number, target: Uint8Array, offset: number, length: number, position: number): number {
    this.#step()
    const part = this.#open.get(fd)!.bytes.subarray(position, position + length)
    target.set(part, offset)
    return part.length
  }

  write(fd: number, buffers: readonly Uint8Array[], position: number): void {
    this.#step()
    const file = this.#open.get(fd)!
    file.bytes = Buffer.concat([file.bytes.subarray(0, position), ...buffers])
  }

  truncate(fd: number, size: number): void {
    this.#step()
    const file = this.#open.get(fd)!
    file.bytes = Buffer.from(file.bytes.subarray(0, size))
  }

  fdatasync(fd: number): void {
    this.#step()
    this.flushes++
    const file = this.#open.get(fd)!
    file.flushed = Buffer.from(file.bytes)
  }

  size(fd: number): number {
    return this.#open.get(fd)!.bytes.length
  }

  rename(from: string, to: string): void {
    this.#step()
    this.names.set(to, this.names.get(from)!)
    this.names.delete(from)
  }

  unlink(path: string): void {
    this.names.delete(path)
  }

  mkdir(): void {}
  rmdir(): void {}

  readdir(): string[] {
    return [...this.names.keys()]
  }

  modifiedMs(): number {
    return 0
  }

  setModifiedMs(): void {}

  exists(path: string): boolean {
    return this.names.has(path)
  }

  fsyncDir(_path: string): void {
    this.#step()
    this.#flushedNames = new Map(this.names)
  }
}

export async function stateOf(store: LocalMetadataStore): Promise<Record<string, unknown>> {
  return Object.fromEntries((await store.list('')).entries.map(({ key, value }) => [key, value]))
}

/** Opens the disk, reads everything, closes. */
export async function stateOnDisk(files: TestFiles): Promise<Record<string, unknown>> {
  const store = new LocalMetadataStore(files, DIR)
  const state = await stateOf(store)
  await store.close()
  return state
}

export const rejects = async (promise: Promise<unknown>, pattern: RegExp): Promise<void> => {
  const error = await promise.then(
    () => null,
    (thrown: unknown) => thrown,
  )
  assert.instance(error, BrokerError)
  assert.match((error as Error).message, pattern)
}
