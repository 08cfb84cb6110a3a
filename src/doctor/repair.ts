import type { FileSystem } from '../storage/fs.ts'
import { type Examination, examine } from './examine.ts'
import { type Finding, messageOf } from './finding.ts'

/** A mend may bring to light what another one mends; it never takes more rounds than that. */
const ROUNDS_MAX = 4

/** A file, from the data folder. */
export interface PlannedChange {
  readonly file: string
  readonly kind: 'make' | 'replace' | 'remove'
}

/** What a repair would do, and what would be left. Nothing is written yet. */
export interface Plan {
  /** What is wrong, in the order in which it came to light. */
  readonly findings: readonly Finding[]
  readonly changes: readonly PlannedChange[]
  /** What is wrong after it. */
  readonly left: readonly Finding[]
  /** What could not be mended, and why. */
  readonly failed: ReadonlyMap<string, string>
  /** The folder as it would be. */
  readonly mended: FileSystem
}

/**
 * Tries all mends in memory, and looks at the outcome as at any folder, until nothing is left that can be mended: what is
 * written later has been proved by then.
 */
export async function planRepair(
  files: FileSystem,
  dir: string,
  first: Examination,
  failed: ReadonlyMap<string, string> = new Map(),
): Promise<Plan> {
  const findings = [...first.findings.all]
  const touched = new Set<string>()
  let last = first
  for (let round = 0; ; round++) {
    for (const mend of last.findings.mends.values()) {
      if (failed.has(mend.key)) continue
      try {
        mend.apply(last.mended)
      } catch (error) {
        // What it has left half done is forgotten, with all the rest.
        const known = new Map([...failed, [mend.key, messageOf(error)]])
        return planRepair(files, dir, await examine(files, dir), known)
      }
    }
    const changed = last.mended.changes()
    for (const { path } of changed) touched.add(path)
    if (changed.length === 0 || round === ROUNDS_MAX) break
    last = await examine(last.mended, dir)
    const known = new Set(findings.map(one => JSON.stringify(one)))
    findings.push(...last.findings.faults.filter(one => !known.has(JSON.stringify(one))))
  }
  const { mended } = last
  const changes = [...touched]
    .filter(path => mended.exists(path) || files.exists(path))
    .map(path => ({ file: path.slice(dir.length + 1), kind: kindOf(files, mended, path) }))
  return { findings, changes: inOrder(changes), left: last.findings.faults, failed, mended }
}

function kindOf(files: FileSystem, mended: FileSystem, path: string): PlannedChange['kind'] {
  if (!mended.exists(path)) return 'remove'
  return files.exists(path) ? 'replace' : 'make'
}

/**
 * The order in which a repair may be interrupted at any point: segments with their gaps before the one in which the log goes on, both
 * before the checkpoint that explains the gaps, and what may still be needed is removed last. Done again, it finds the rest.
 */
function inOrder(changes: readonly PlannedChange[]): PlannedChange[] {
  const rank = ({ file, kind }: PlannedChange): number => {
    if (/index$/.test(file)) return 0
    if (kind === 'remove') return 4
    if (/\d\.log$/.test(file)) return kind === 'make' ? 2 : 1
    return 3
  }
  return [...changes].sort((a, b) => rank(a) - rank(b) || (a.file < b.file ? -1 : 1))
}
