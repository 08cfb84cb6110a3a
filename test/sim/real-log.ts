import { join } from 'node:path'
import * as batch from '../../src/protocol/record-batch.ts'
import type { LogFacts } from '../../src/replication/log-facts.ts'
import type { LogView, PartitionToOpen } from '../../src/storage/commands.ts'
import { fileName, parseFileName } from '../../src/storage/segment.ts'
import { idOf } from '../lib/batches.ts'
import type { MemoryFs } from '../lib/memory-fs.ts'
import { DATA_DIR } from '../lib/store-driver.ts'
import { type Batch, LogContent } from './log-content.ts'
import { Violation } from './world.ts'

/** A log of storage as its files have it. */
export class RealLog extends LogContent {
  readonly partition: PartitionToOpen
  readonly #files: MemoryFs
  readonly #dir: string
  /** The segment that is read from, and how far. */
  #base = 0
  #position = 0

  constructor(key: string, partition: PartitionToOpen, files: MemoryFs) {
    super(key, false)
    this.partition = partition
    this.#files = files
    this.#dir = join(DATA_DIR, partition.name)
  }

  /** The log has been opened, or cut: all of it is read. */
  take(view: LogView): void {
    if (view.offline !== null) throw new Violation(`${this.key} is offline: ${view.offline}`)
    this.start = view.logStartOffset
    this.batches = []
    this.seqs.clear()
    this.#base = view.segments[0]!.base
    this.#position = 0
    this.readOn()
    if (this.end !== view.nextOffset) {
      throw new Violation(`${this.key} ends at ${view.nextOffset}, and its files at ${this.end}`)
    }
    this.#note(view)
    this.flushed = Math.min(this.flushed, this.end)
    this.written = Math.min(this.written, this.end)
  }

  /** Its start has moved, or its role. */
  moved(view: LogView): void {
    if (view.offline !== null) throw new Violation(`${this.key} is offline: ${view.offline}`)
    this.start = view.logStartOffset
    this.batches = this.batches.filter(({ baseOffset }) => baseOffset >= this.start)
    // The segment that was read from may be gone: all of it was read.
    const { base } = view.segments[0]!
    if (this.#base < base) {
      this.#base = base
      this.#position = 0
    }
    this.#note(view)
  }

  /** All that is there is on the disk. */
  settle(): void {
    this.reported(this.end)
  }

  facts({ logStartOffset, nextOffset, highWatermark, epochs }: LogView): LogFacts {
    const hw = Math.min(highWatermark ?? 0, nextOffset)
    return { start: logStartOffset, end: nextOffset, hw, hwEpoch: -1, epochs: [...epochs] }
  }

  /** Reads what has been appended since. */
  readOn(): void {
    for (;;) {
      const path = join(this.#dir, fileName(this.#base, 'log'))
      const { data, size } = this.#files.peek(path)!
      while (this.#position < size) {
        const bytes = batch.batchBytes(data, this.#position)
        const one = data.subarray(this.#position, this.#position + bytes)
        this.#position += bytes
        if (batch.baseOffset(one) >= this.start) this.push(batchOf(Buffer.from(one)))
      }
      const bases = this.#files.readdir(this.#dir).map(name => parseFileName(name, 'log') ?? -1)
      const next = Math.min(...bases.filter(base => base > this.#base))
      if (!Number.isFinite(next)) return
      this.#base = next
      this.#position = 0
    }
  }

  #note({ epochs, highWatermark }: LogView): void {
    this.epochs = [...epochs]
    this.savedHw = Math.min(highWatermark ?? 0, this.end)
  }
}

function batchOf(bytes: Buffer): Batch {
  const pid = batch.producerId(bytes)
  const seq = batch.baseSequence(bytes)
  if (batch.computeCrc(bytes) !== batch.storedCrc(bytes)) {
    throw new Violation(`a batch of producer ${pid} is damaged`)
  }
  const baseOffset = batch.baseOffset(bytes)
  const epoch = batch.leaderEpoch(bytes)
  const facts = { baseOffset, lastOffset: batch.lastOffset(bytes), epoch, isWhole: true }
  return { ...facts, pid, seq, value: idOf(bytes), bytes }
}
