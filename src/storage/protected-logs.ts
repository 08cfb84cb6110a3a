import type { Checkpointer } from './checkpointer.ts'
import type { FileSystem } from './fs.ts'
import type { OwnedLog } from './group-commit.ts'
import { type Journal, journalPath } from './journal.ts'
import { keepEntriesOf } from './unreplayed.ts'

/** The share of a journal file after whose use everything that the other file protects is flushed. */
const FLUSHED_AHEAD_AT = 0.75

export interface ProtectedLogsOptions {
  readonly files: FileSystem
  readonly journalDir: string
  readonly journal: Journal
  readonly incarnation: number
  readonly checkpoint: Checkpointer
  /** Does something to a log: a failure takes it offline. */
  readonly guard: (owned: OwnedLog, action: () => void) => void
}

/**
 * The logs that have entries in a journal file and are not flushed since, by journal file. They are flushed before the file is
 * overwritten, some ahead of it, and the checkpoint says what of the journals counts no more.
 */
export class ProtectedLogs {
  readonly #o: ProtectedLogsOptions
  readonly #byFile: [Set<OwnedLog>, Set<OwnedLog>] = [new Set(), new Set()]
  /** Of the file that will be overwritten next: how many it protected when the current one was begun. */
  #atTurn = 0

  constructor(options: ProtectedLogsOptions) {
    this.#o = options
  }

  get #other(): 0 | 1 {
    return this.#o.journal.current === 0 ? 1 : 0
  }

  /** Entries of it have been written to the current file. */
  note(owned: OwnedLog): void {
    this.#byFile[this.#o.journal.current].add(owned)
  }

  forget(owned: OwnedLog): void {
    for (const set of this.#byFile) set.delete(owned)
  }

  /**
   * Some of the next turn's flushes, in step with the journal's filling, so that the turn itself finds little to do.
   * Called between groups, when the last one has been reported.
   */
  flushAhead(): void {
    const { journal, guard } = this.#o
    const ahead = this.#byFile[this.#other]
    const share = Math.max(0, 1 - journal.fill / FLUSHED_AHEAD_AT)
    const allowed = Math.floor(this.#atTurn * share)
    for (const owned of ahead) {
      if (ahead.size <= allowed) return
      if (owned.log.offline === null) guard(owned, () => owned.log.flush())
      if (owned.log.offline === null) ahead.delete(owned)
    }
  }

  /** The other file is about to be overwritten: what it protects is flushed, and the checkpoint says so. */
  beforeTurn(): void {
    const { journal, checkpoint, incarnation } = this.#o
    this.#flush(this.#other)
    this.#atTurn = this.#byFile[journal.current].size
    checkpoint.write(incarnation - 1, journal.sequenceBefore)
  }

  flush(): void {
    this.#flush(0)
    this.#flush(1)
  }

  /** The entries of those that have failed are put aside for the next start. */
  #flush(file: 0 | 1): void {
    const { files, journalDir, incarnation, guard } = this.#o
    const failed: OwnedLog[] = []
    for (const owned of this.#byFile[file]) {
      if (owned.log.offline === null) guard(owned, () => owned.log.flush())
      if (owned.log.offline !== null) failed.push(owned)
    }
    if (failed.length > 0) {
      keepEntriesOf(files, journalPath(journalDir, file), incarnation, failed)
    }
    this.#byFile[file].clear()
  }

  /** At an idle moment or between groups: what is journalled and in flushed segments counts no more. */
  checkpointIfStale(): void {
    const { journal, checkpoint, incarnation } = this.#o
    if (!checkpoint.isStale) return
    const { current, sequence, sequenceBefore } = journal
    const isOtherFlushed = this.#byFile[this.#other].size === 0
    const isFlushed = isOtherFlushed && this.#byFile[current].size === 0
    const flushedOther = isOtherFlushed ? sequenceBefore : checkpoint.flushedSequence
    checkpoint.write(incarnation - 1, isFlushed ? sequence : flushedOther)
  }
}
