import { type PairVerdict, wrongIn } from './fleet.ts'
import type { Entry } from './program.ts'

/** The p-th percentile, rounded; NaN of nothing. */
export function percentile(values: readonly number[], p: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  const at = Math.max(0, Math.ceil((sorted.length * p) / 100) - 1)
  return Math.round(sorted[at] ?? Number.NaN)
}

export const latencyOf = (entries: readonly Entry[], p: number): number =>
  percentile(
    entries.map(({ latency }) => latency),
    p,
  )

export const medianAndMax = (values: readonly number[]): string =>
  `${percentile(values, 50)}, ${percentile(values, 100)}`

/** Prints one line for each client; whether nothing is wrong. */
export function report(verdicts: readonly PairVerdict[]): boolean {
  console.table(
    Object.fromEntries(
      verdicts.map(({ name, acknowledged, errors, producer, consumer }) => {
        return [name, { acknowledged, errors: errors.length, ...producer, ...consumer }]
      }),
    ),
  )
  const wrong = verdicts.flatMap(wrongIn)
  for (const line of wrong) console.log(line)
  return wrong.length === 0
}
