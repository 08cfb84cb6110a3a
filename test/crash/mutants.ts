import type { Edit } from '../lib/build-copy.ts'

/** A bug planted in a copy of the broker, to show that the crash test would find it. */
export interface Mutant {
  readonly edits: readonly Edit[]
  /** Whether it takes a power cut, which also loses what the system had not flushed, to show. */
  readonly powerCut: boolean
}

const groupCommit = 'src/storage/group-commit.ts'
const journal = 'src/storage/journal.ts'
const recovery = 'src/storage/recovery.ts'
const replay = 'src/storage/replay.ts'
const store = 'src/storage/partition-store.ts'

export const mutants: Readonly<Record<string, Mutant>> = {
  /** Acknowledges a group, and writes it 20 ms later. */
  'ack-before-write': {
    powerCut: false,
    edits: [
      {
        file: groupCommit,
        from: 'commit(post: (ring: Ring, entry: number) => void): void {',
        to: 'commit(post: (ring: Ring, entry: number) => void): void { this.#report(post); post(null as never, -1)',
      },
      {
        file: groupCommit,
        from: 'this.#report(post)\n    for (const owned',
        to: 'for (const owned',
      },
      {
        file: store,
        from: 'commit((ring, at) => this.#out.complete(ring, at, ring === requests))',
        to: `commit((ring, at) => {
          if (at !== -1) return this.#out.complete(ring, at, ring === requests)
          this.#out.publish()
          this.#o.waitForSpace()
          Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20)
        })`,
      },
    ],
  },
  /** Acknowledges what is in the journal's page cache. */
  'ack-before-flush': {
    powerCut: true,
    edits: [{ file: journal, from: 'if (flush) this.#flush()', to: 'void flush' }],
  },
  /** Replays whatever stands in the journal, torn or not. */
  'no-crc-check': {
    powerCut: true,
    edits: [{ file: 'src/storage/journal-groups.ts', from: 'crc === stored', to: 'crc >= 0' }],
  },
  /** Takes the segment for all there is, and cuts at the first bad batch, as Kafka does. */
  'cut-too-early': {
    powerCut: true,
    edits: [
      {
        file: replay,
        from: 'this.#files.write(this.#fd, [content], entry.position)',
        to: 'void content',
      },
      {
        file: recovery,
        from: 'if (nextOffset < durable.endOffset || scan.isMisplaced) {',
        to: 'if (nextOffset < 0) {',
      },
    ],
  },
  /** Leaves it to the system when a checkpoint takes the place of the one before. */
  'names-not-flushed': {
    powerCut: true,
    edits: [
      { file: 'src/storage/fs.ts', from: 'files.fsyncDir(dirname(paths[0]!))', to: 'void dirname' },
    ],
  },
  /** Forgets after a crash which sequences the idempotent producers had reached. */
  'forget-producers': {
    powerCut: false,
    edits: [
      {
        file: 'src/storage/learning.ts',
        from: 'if (baseOffset >= offset) {',
        to: 'if (baseOffset < 0) {',
      },
    ],
  },
}
