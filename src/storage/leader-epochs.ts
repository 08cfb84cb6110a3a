import type { EpochStart } from '../shared/epochs.ts'
import { readCheckpoint, writeCheckpoint } from './checkpoint.ts'
import type { FileSystem } from './fs.ts'

export { type EpochStart, endOffsetFor } from '../shared/epochs.ts'

export const LEADER_EPOCHS = 'leader-epoch-checkpoint'

/**
 * Which leader epoch began at which offset (KIP-101; LeaderEpochFileCache.java), kept in `leader-epoch-checkpoint`.
 * Epochs and offsets only rise. The batches themselves carry their epoch, so what began after the file was last written is
 * learnt again from them.
 */
export class LeaderEpochs {
  /** Whether the file is there and whole; if not, the epochs have to be learnt from all batches. */
  readonly file: 'whole' | 'missing' | 'damaged'
  readonly #files: FileSystem
  readonly #path: string
  #entries: EpochStart[] = []
  #isWritten = true
  /** The offset of a batch that cannot be of the epoch that it names, in the order of those around it; null: none was seen. */
  misplacedAt: number | null = null

  constructor(files: FileSystem, path: string) {
    this.#files = files
    this.#path = path
    const entries = readEpochs(files, path)
    this.file = typeof entries === 'string' ? entries : 'whole'
    if (typeof entries !== 'string') this.#entries = entries
  }

  get entries(): readonly EpochStart[] {
    return this.#entries
  }

  /** A batch of this epoch is at `offset`; remembered if the epoch is new. */
  note(epoch: number, offset: number): void {
    const last = this.#entries[this.#entries.length - 1]
    if (last !== undefined && epoch <= last.epoch) {
      if (epoch < last.epoch || offset < last.startOffset) this.#checkPlace(epoch, offset)
      return
    }
    this.#replace([
      ...this.#entries.filter(e => e.startOffset < offset),
      { epoch, startOffset: offset },
    ])
  }

  /** No checksum covers the epoch of a batch. */
  #checkPlace(epoch: number, offset: number): void {
    const holding = this.#entries.findLast(e => e.startOffset <= offset)
    if (holding !== undefined && holding.epoch !== epoch) this.misplacedAt ??= offset
  }

  /** The log now ends here: epochs that began at or after it are gone. */
  truncateFromEnd(endOffset: number): void {
    const kept = this.#entries.filter(e => e.startOffset < endOffset)
    if (kept.length !== this.#entries.length) this.#replace(kept)
  }

  /** The log now starts here: the epoch that holds the offset begins with it. */
  truncateFromStart(startOffset: number): void {
    const after = this.#entries.filter(e => e.startOffset > startOffset)
    const holding = this.#entries.findLast(e => e.startOffset <= startOffset)
    if (holding !== undefined) after.unshift({ epoch: holding.epoch, startOffset })
    this.#replace(after)
  }

  #replace(entries: EpochStart[]): void {
    this.#entries = entries
    this.#isWritten = false
  }

  /** Makes the file what the entries are; durable when it returns. */
  write(): void {
    if (this.#isWritten) return
    const lines = this.#entries.map(e => `${e.epoch} ${e.startOffset}`)
    writeCheckpoint(this.#files, this.#path, lines)
    this.#isWritten = true
  }
}

function readEpochs(files: FileSystem, path: string): EpochStart[] | 'missing' | 'damaged' {
  const read = readCheckpoint(files, path)
  if (typeof read === 'string') return read
  const entries: EpochStart[] = []
  for (const line of read) {
    const [, epoch, startOffset] = /^(\d+) (\d+)$/.exec(line)?.map(Number) ?? []
    const last = entries.at(-1) ?? { epoch: -1, startOffset: -1 }
    if (epoch === undefined || startOffset === undefined) return 'damaged'
    if (epoch <= last.epoch || startOffset <= last.startOffset) return 'damaged'
    entries.push({ epoch, startOffset })
  }
  return entries
}
