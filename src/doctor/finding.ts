import type { OverlayFs } from '../storage/overlay-fs.ts'

/** `lost`: records that were acknowledged cannot be read; `damaged`: nothing is lost by it yet; `note`: a start sees to it, as after any crash. */
export type Verdict = 'lost' | 'damaged' | 'note'

/** Offsets, both ends included. */
export interface OffsetRange {
  readonly from: number
  readonly to: number
}

export interface Finding {
  readonly verdict: Verdict
  /** A partition, or a part of the folder. */
  readonly about: string
  /** From the data folder. */
  readonly file: string
  /** In the file, if it is about a place in it. */
  readonly position: number | null
  readonly problem: string
  readonly lost: OffsetRange | null
  /** What `--repair` does; null: nothing, or nothing that has to be done by hand. */
  readonly repair: string | null
}

/** A change that makes a part of the folder usable again. It is tried on an overlay before anything is written. */
export interface Mend {
  /** What is mended by it: one mend for each is enough. */
  readonly key: string
  apply(files: OverlayFs): void
}

/** What an examination has come to. */
export class Findings {
  readonly all: Finding[] = []
  readonly mends = new Map<string, Mend>()

  add(
    finding: Pick<Finding, 'verdict' | 'about' | 'file' | 'problem'> & Partial<Finding>,
    mend?: Mend,
  ): void {
    const { verdict, about, file, position = null, problem, lost = null, repair = null } = finding
    this.all.push({ verdict, about, file, position, problem, lost, repair })
    if (mend !== undefined && !this.mends.has(mend.key)) this.mends.set(mend.key, mend)
  }

  /** What is not well; what a start sees to after any crash does not count. */
  get faults(): Finding[] {
    return this.all.filter(({ verdict }) => verdict !== 'note')
  }
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
