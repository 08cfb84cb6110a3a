import { type PairVerdict, wrongIn } from './fleet.ts'
import type { Entry } from './program.ts'

/** The p-th percentile, or NaN of nothing. */
export function percentile(values: readonly number[], p: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil((sorted.length * p) / 100) - 1)] ?? Number.NaN
}

export const p99Of = (entries: readonly Entry[]): number =>
  Math.round(
    percentile(
      entries.map(({ latency }) => latency),
      99,
    ),
  )

export const medianAndMax = (values: readonly number[]): string =>
  `${Math.round(percentile(values, 50))}, ${Math.round(Math.max(...values))}`

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
