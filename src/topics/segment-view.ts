import * as fs from 'node:fs'
import type { SegmentExtent } from '../storage/commands.ts'
import { isOffsetIndex, positionFor } from '../storage/index-file.ts'
import type { OpenFiles } from '../storage/open-files.ts'
import { INDEX_INTERVAL_BYTES } from '../storage/segment.ts'

/** Index entries for what was appended since the segment was opened: pairs of offset - base and position. */
class TailIndex {
  #pairs = new Int32Array(32)
  #length = 0
  #bytesSince = INDEX_INTERVAL_BYTES

  note(relative: number, position: number, bytes: number): void {
    if (this.#bytesSince >= INDEX_INTERVAL_BYTES) {
      if (this.#length === this.#pairs.length) {
        const grown = new Int32Array(this.#pairs.length * 2)
        grown.set(this.#pairs)
        this.#pairs = grown
      }
      this.#pairs[this.#length] = relative
      this.#pairs[this.#length + 1] = position
      this.#length += 2
      this.#bytesSince = 0
    }
    this.#bytesSince += bytes
  }

  /** Position of the last entry at or below the offset, or -1. */
  position(relative: number): number {
    let low = 0
    let high = this.#length / 2
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#pairs[middle * 2]! <= relative) low = middle + 1
      else high = middle
    }
    return low === 0 ? -1 : this.#pairs[(low - 1) * 2 + 1]!
  }
}

/** How the main thread reads one segment: its readable size, its index, and a file descriptor while it is in use. */
export class SegmentView {
  readonly base: number
  readonly path: string
  /** Of the segment: another one means other bytes under the same name. */
  readonly version: number
  /** Bytes that readers may see. */
  size: number
  /** Bytes of its index of aborted transactions that readers may see. */
  abortedBytes: number
  #tail: TailIndex | null = new TailIndex()
  #index: Buffer | null = null
  readonly #open: OpenFiles<SegmentView>
  #fd: Promise<number> | null = null
  #users = 0
  #isHeld = false
  #heldAborted: Promise<fs.promises.FileHandle> | null = null
  #closing = false
  /** Readers have been told of other segments: under its name there may be another file by now. */
  isReplaced = false
  /** Damaged index: the caller has the worker build it again. */
  onBadIndex: (base: number) => void = () => {}

  constructor(
    { base, size, version, abortedBytes }: SegmentExtent,
    path: string,
    open: OpenFiles<SegmentView>,
  ) {
    this.#open = open
    this.base = base
    this.path = path
    this.size = size
    this.version = version
    this.abortedBytes = abortedBytes
  }

  /** Batches may still come. */
  get isActive(): boolean {
    return this.#tail !== null
  }

  /** A batch became readable. */
  note(offset: number, position: number, bytes: number): void {
    this.#tail?.note(offset - this.base, position, bytes)
    this.size = position + bytes
  }

  /** No more batches come: the index file is complete, the entries in memory are not needed any more. */
  seal(): void {
    this.#tail = null
    this.#index = null
  }

  /** A position at or before the batch that holds the offset, and not far before it. */
  async locate(offset: number): Promise<number> {
    const relative = offset - this.base
    const recent = this.#tail?.position(relative) ?? -1
    if (recent !== -1) return recent
    this.#index ??= await this.#loadIndex()
    return positionFor(this.#index, relative)
  }

  /** From now on it can be read as it is, whatever becomes of the files under its name: compaction is about to change them. */
  async hold(): Promise<void> {
    this.#index ??= await this.#loadIndex()
    this.#isHeld = true
    await this.#descriptor()
    if (this.abortedBytes > 0) this.#heldAborted ??= this.#openAborted()
    await this.#heldAborted
  }

  #openAborted(): Promise<fs.promises.FileHandle> {
    return fs.promises.open(this.path.replace(/\.log$/, '.txnindex'), 'r')
  }

  /** Runs with its index of aborted transactions, as it belongs to the batches that are read. */
  async withAborted<T>(use: (file: fs.promises.FileHandle) => Promise<T>): Promise<T> {
    if (this.#heldAborted !== null) return use(await this.#heldAborted)
    const file = await this.#openAborted()
    try {
      return await use(file)
    } finally {
      await file.close()
    }
  }

  get #isIdle(): boolean {
    return this.#users === 0 && !this.#isHeld
  }

  /** Closes what is too much; also when a file has become idle, for there may have been none before. */
  #closeExcess(): void {
    for (const oldest of this.#open.excess(view => view.#isIdle)) {
      oldest.#index = null
      oldest.#release()
    }
  }

  #descriptor(): Promise<number> {
    this.#open.touch(this)
    this.#closeExcess()
    this.#fd ??= open(this.path)
    return this.#fd
  }

  async #loadIndex(): Promise<Buffer> {
    const path = this.path.replace(/\.log$/, '.index')
    let index: Buffer | null = null
    try {
      index = await fs.promises.readFile(path)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
    // The worker may be ahead of what we know of the segment: entries behind our end are not ours yet.
    if (index !== null && this.isActive) index = cutIndex(index, this.size)
    if (index !== null && isOffsetIndex(index, this.size)) return index
    if (!this.isActive) this.onBadIndex(this.base)
    return Buffer.alloc(0)
  }

  /** Reads up to `length` bytes at `position`; fewer only where the file ends. */
  async read(target: Buffer, length: number, position: number): Promise<number> {
    this.#users++
    try {
      const fd = await this.#descriptor()
      let done = 0
      while (done < length) {
        const n = await read(fd, target, done, length - done, position + done)
        if (n === 0) break
        done += n
      }
      return done
    } catch (error) {
      if (!this.#closing) this.#fd = null
      throw error
    } finally {
      this.#users--
      if (this.#closing) this.close()
      else if (this.#users === 0) this.#closeExcess()
    }
  }

  /** Closes the file once nobody reads it. */
  close(): void {
    this.#closing = this.#users > 0
    if (this.#closing) return
    this.#heldAborted?.then(file => file.close()).catch(() => {})
    this.#heldAborted = null
    this.#open.forget(this)
    this.#release()
  }

  #release(): void {
    if (this.#fd === null) return
    const fd = this.#fd
    this.#fd = null
    fd.then(
      n => fs.close(n, () => {}),
      () => {},
    )
  }
}

/** The index up to the first entry that is not whole or not below `size`. */
function cutIndex(index: Buffer, size: number): Buffer {
  let end = 0
  while (end + 8 <= index.length && index.readUInt32BE(end + 4) < size) end += 8
  return index.subarray(0, end)
}

function open(path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.open(path, 'r', (error, fd) => (error === null ? resolve(fd) : reject(error)))
  })
}

function read(fd: number, target: Buffer, at: number, length: number, position: number) {
  return new Promise<number>((resolve, reject) => {
    fs.read(fd, target, at, length, position, (error, n) =>
      error === null ? resolve(n) : reject(error),
    )
  })
}
