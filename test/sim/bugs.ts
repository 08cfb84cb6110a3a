/** What can be wrong in the modelled parts: disk, worker and shell. Bugs of the machines are edits of their sources (mutants.ts). */
export interface Bugs {
  readonly cutNotJournalled?: boolean
  readonly workerIgnoresEpoch?: boolean
  readonly epochNotNoted?: boolean
  readonly duplicateAckedAtOnce?: boolean
  readonly resetWithoutDeletions?: boolean
}
