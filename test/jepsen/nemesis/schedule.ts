import { Random } from '../../lib/random.ts'

/** `files`: segments of one broker are cut or removed. `bits`: bits of them are flipped. */
export const FAULTS = ['kill', 'pause', 'partition', 'clock', 'files', 'etcd', 'bits'] as const
export type FaultName = (typeof FAULTS)[number]

/** Nothing is broken for so long at the beginning. */
const QUIET_MS = 5_000
const INTERVAL_MS = 10_000

/** At a moment of the run, what is broken is healed, and what is not is broken. */
export interface Turn {
  readonly atMs: number
  readonly fault: FaultName
  /** Of what is drawn for it. */
  readonly seed: number
}

/** The same for the same seed: a turn every ten seconds, more or less, of any of the faults. */
export function scheduleOf(seed: number, ms: number, faults: readonly FaultName[]): Turn[] {
  const random = new Random(seed)
  const turns: Turn[] = []
  if (faults.length === 0) return turns
  for (let atMs = QUIET_MS; atMs < ms; atMs += INTERVAL_MS * (0.5 + random.next())) {
    turns.push({ atMs, fault: random.pick(faults), seed: random.below(2 ** 31) })
  }
  return turns
}
