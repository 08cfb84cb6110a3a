import { join } from 'node:path'
import * as batch from '../protocol/record-batch.ts'
import type { FileSystem } from '../storage/fs.ts'
import { IndexFile } from '../storage/index-file.ts'
import { fileName } from '../storage/segment.ts'
import type { WalkedBatch } from './segment-walk.ts'
import { isUnreadable } from './unreadable.ts'

/**
 * Compares the indexes of a segment with its batches, as they pass by: each entry must be what an append of that batch has
 * written. That entries are missing is no fault: those of the last segment may not be on the disk yet.
 */
export class IndexCheck {
  readonly #base: number
  readonly #index: Buffer
  readonly #times: Buffer
  #at = 0
  #timesAt = 0
  #maxTimestamp = -1
  /** What is wrong, by the file's ending. */
  readonly problems = new Map<'index' | 'timeindex', string>()

  constructor(files: FileSystem, dir: string, base: number) {
    this.#base = base
    const read = (extension: 'index' | 'timeindex'): Buffer => {
      try {
        return IndexFile.read(files, join(dir, fileName(base, extension))) ?? Buffer.alloc(0)
      } catch (error) {
        if (!isUnreadable(error)) throw error
        this.problems.set(extension, 'it cannot be read')
        return Buffer.alloc(0)
      }
    }
    this.#index = read('index')
    this.#times = read('timeindex')
    if (this.#index.length % 8 !== 0) this.problems.set('index', 'an entry is cut off')
    if (this.#times.length % 12 !== 0) this.problems.set('timeindex', 'an entry is cut off')
  }

  visit({ position, bytes, lastOffset }: WalkedBatch): void {
    const relative = lastOffset - this.#base
    if (this.#at + 8 <= this.#index.length) this.#visitIndex(position, relative)
    const timestamp = batch.maxTimestamp(bytes)
    if (batch.recordsCount(bytes) > 0) this.#maxTimestamp = Math.max(this.#maxTimestamp, timestamp)
    if (this.#timesAt + 12 <= this.#times.length) this.#visitTimes(timestamp, relative)
  }

  #visitIndex(position: number, relative: number): void {
    const entry = this.#index.readUInt32BE(this.#at + 4)
    if (entry > position) return
    const isRight = entry === position && this.#index.readInt32BE(this.#at) === relative
    if (!isRight) this.#wrong('index', this.#at)
    this.#at += 8
  }

  #visitTimes(timestamp: number, relative: number): void {
    const entry = this.#times.readInt32BE(this.#timesAt + 8)
    if (entry > relative) return
    const time = batch.readInt64(this.#times, this.#timesAt)
    const isRight = entry === relative && time === timestamp && time === this.#maxTimestamp
    if (!isRight) this.#wrong('timeindex', this.#timesAt)
    this.#timesAt += 12
  }

  /** All batches have passed by. */
  end(): void {
    if (this.#at + 8 <= this.#index.length) this.#wrong('index', this.#at)
    if (this.#timesAt + 12 <= this.#times.length) this.#wrong('timeindex', this.#timesAt)
  }

  #wrong(file: 'index' | 'timeindex', at: number): void {
    if (!this.problems.has(file)) {
      this.problems.set(file, `its entry at byte ${at} is not that of a batch`)
    }
  }
}
