import { join } from 'node:path'
import { type FileSystem, readFile } from '../storage/fs.ts'
import { journalPath } from '../storage/journal.ts'
import { type JournalFlushed, readJournal } from '../storage/journal-groups.ts'
import { encodeJournal, salvageJournal } from '../storage/journal-salvage.ts'
import { JournalBytes } from '../storage/journal-source.ts'
import type { OverlayFs } from '../storage/overlay-fs.ts'
import { mendCopies } from '../storage/two-copies.ts'
import {
  checkpointPath,
  journalFlushed,
  readWorkerCheckpoint,
} from '../storage/worker-checkpoint.ts'
import { JOURNALS, missingJournals, namesIn } from '../topics/inventory.ts'
import { type Findings, messageOf } from './finding.ts'

/** What a worker's folder holds. */
const KNOWN = /^([01]\.journal|checkpoint(\.2)?|reserve|.*\.tmp)$/

/** Looks at the journals and checkpoints of all workers. `expected`: journals that the last start had. */
export function checkJournals(
  files: FileSystem,
  dir: string,
  clean: boolean,
  expected: number,
  findings: Findings,
): void {
  for (const path of missingJournals(files, dir, expected)) {
    const problem = clean
      ? 'it is missing: a start is refused; after a clean stop it held nothing that is needed'
      : 'it is missing: a start is refused; acknowledged records and deletions may have been in it and nowhere else'
    const verdict = clean ? 'damaged' : 'lost'
    const repair = 'an empty one is made'
    findings.add(
      { verdict, about: JOURNALS, file: path, problem, repair },
      { key: path, apply: to => makeEmpty(to, join(dir, path)) },
    )
  }
  const root = join(dir, JOURNALS)
  for (const name of namesIn(files, root).filter(one => /^\d+$/.test(one))) {
    new JournalCheck(files, join(root, name), join(JOURNALS, name), clean, findings).run()
  }
}

function makeEmpty(files: OverlayFs, path: string): void {
  files.mkdir(join(path, '..'))
  files.close(files.open(path, 'create'))
}

class JournalCheck {
  readonly #files: FileSystem
  readonly #dir: string
  readonly #about: string
  readonly #clean: boolean
  readonly #findings: Findings

  constructor(files: FileSystem, dir: string, about: string, clean: boolean, findings: Findings) {
    this.#files = files
    this.#dir = dir
    this.#about = about
    this.#clean = clean
    this.#findings = findings
  }

  run(): void {
    const about = this.#about
    const { checkpoint, copies } = readWorkerCheckpoint(this.#files, this.#dir)
    for (const fault of copies.faults) {
      const file = join(about, fault.slice(this.#dir.length + 1).replace(/ is \w+$/, ''))
      const problem = fault.replace(/^.* is /, 'it is ')
      const hasOther = checkpoint !== null
      const repair = hasOther
        ? 'written anew from the other copy'
        : 'nothing: without either a start verifies everything, and records that DeleteRecords took off the front of a segment may be there again'
      const mend = {
        key: `${about} checkpoint`,
        apply: (to: OverlayFs) => mendCopies(to, checkpointPath(this.#dir), copies),
      }
      const finding = { verdict: 'damaged' as const, about, file, problem, repair }
      this.#findings.add(finding, hasOther ? mend : undefined)
    }
    for (const name of namesIn(this.#files, this.#dir).filter(one => !KNOWN.test(one))) {
      const file = join(about, name)
      this.#findings.add({ verdict: 'note', about, file, problem: 'it is not of this program' })
    }
    if (this.#clean && checkpoint !== null) return
    this.#checkGroups(journalFlushed(checkpoint))
  }

  #checkGroups(flushed: JournalFlushed | null): void {
    const contents = [0, 1].map(i => {
      const path = journalPath(this.#dir, i)
      return new JournalBytes(
        this.#files.exists(path) ? readFile(this.#files, path) : Buffer.alloc(0),
      )
    })
    const about = this.#about
    const file = join(about, '0.journal, 1.journal')
    const apply = (to: OverlayFs): void => this.#rewrite(to, contents, flushed)
    const mend = { key: `${about} groups`, apply }
    try {
      const { salvaged } = readJournal(contents, flushed)
      if (salvaged === 0) return
      const problem = `${salvaged} groups are damaged; their batches must be in the segments`
      const repair = 'the journal is written anew'
      this.#findings.add({ verdict: 'damaged', about, file, problem, repair }, mend)
    } catch (error) {
      const { lost } = salvageJournal(contents, flushed)
      const what = messageOf(error).replace('journal damaged: ', '')
      const problem =
        lost === 0
          ? `it is damaged: a start is refused (${what}); the batches in it can all be told`
          : `it is damaged: a start is refused (${what}); whose batches were in ${lost} groups cannot be told: those that are not in the segments are lost, and their offsets may be given out again`
      const repair = 'written anew with the groups that are whole'
      const verdict = lost === 0 ? 'damaged' : 'lost'
      this.#findings.add({ verdict, about, file, problem, repair }, mend)
    }
  }

  #rewrite(to: OverlayFs, contents: readonly JournalBytes[], flushed: JournalFlushed | null): void {
    const salvaged = salvageJournal(contents, flushed)
    to.compose(journalPath(this.#dir, 0), [encodeJournal(salvaged, flushed?.sequence ?? 0)])
    to.compose(journalPath(this.#dir, 1), [])
  }
}
