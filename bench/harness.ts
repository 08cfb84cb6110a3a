import { writeFileSync } from 'node:fs'
import { cpus, release, totalmem } from 'node:os'
import { Latencies } from '../src/cli/bench/latencies.ts'

/** How long and how large a bench is: `tiny` only shows that it runs, inside the tests. */
export interface Size {
  readonly tiny: boolean
}

/** One line of the table: what was measured, and numbers by name. */
export interface Row {
  readonly bench: string
  readonly parameters: string
  readonly numbers: Readonly<Record<string, number>>
}

export type Bench = (size: Size) => Promise<Row[]>

export function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[numbers.length >> 1]!
}

/** Latencies in ms: p50, p99, p99.9, off by half a percent at most. */
export function percentiles(latencies: readonly number[]): Record<string, number> {
  const all = new Latencies()
  for (const ms of latencies) all.add(ms)
  return { p50_ms: all.at(0.5), p99_ms: all.at(0.99), 'p99.9_ms': all.at(0.999) }
}

/** The machine, for people who read the numbers elsewhere. */
export function machine() {
  const [cpu] = cpus()
  return {
    cpu: cpu?.model ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    system: `${process.platform} ${release()}`,
    node: process.version,
  }
}

export const rounded = (value: number): string =>
  value >= 1000 ? Math.round(value).toLocaleString('en-US') : String(Number(value.toPrecision(3)))

/** A table for people. */
export function format(rows: readonly Row[]): string {
  const lines = rows.map(({ bench, parameters, numbers }) => {
    const cells = Object.entries(numbers).map(([name, value]) => `${name} ${rounded(value)}`)
    return `${bench.padEnd(26)} ${parameters.padEnd(44)} ${cells.join('  ')}`
  })
  return `${lines.join('\n')}\n`
}

export function writeJson(path: string, rows: readonly Row[]): void {
  writeFileSync(path, `${JSON.stringify({ machine: machine(), rows }, null, 1)}\n`)
}
