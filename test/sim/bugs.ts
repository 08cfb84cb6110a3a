/** What can be wrong in the modelled parts: disk, worker and shell. Bugs of the machines are edits of their sources (mutants.ts). */
export interface Bugs {
  /** A cut that is done is done again when the journal is replayed. */
  readonly cutAgainAtReplay?: boolean
  readonly compactsAboveHw?: boolean
  readonly workerIgnoresEpoch?: boolean
  readonly epochNotNoted?: boolean
  readonly duplicateAckedAtOnce?: boolean
  readonly resetWithoutDeletions?: boolean
  /** A read of what only the leader may say is answered without asking whether it still is. */
  readonly readWithoutConfirm?: boolean
  /** A coordinator reads its log up to the high watermark of the moment. */
  readonly loadedToHw?: boolean
}
