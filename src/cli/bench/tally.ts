import { table } from '../base/output.ts'
import type { Done } from '../base/progress.ts'
import { Latencies } from './latencies.ts'
import type { Amount } from './turns.ts'

export type Phase = 'produce' | 'consume'

/** What was measured of a phase. */
export interface Result {
  readonly phase: Phase
  readonly records: number
  readonly bytes: number
  readonly requests: number
  readonly seconds: number
  readonly recordsPerSecond: number
  readonly megabytesPerSecond: number
  readonly latencyMs: { p50: number; p99: number; 'p99.9': number; max: number }
}

/** Counts what is answered; its clock runs from when it is made to the last answer. */
export class Tally {
  records = 0
  bytes = 0
  readonly #latencies = new Latencies()
  readonly #startMs = performance.now()
  #lastMs = this.#startMs

  /** @param sinceMs when the request was sent or, with a rate, was to be sent */
  add(records: number, bytes: number, sinceMs: number): void {
    this.#lastMs = performance.now()
    this.#latencies.add(this.#lastMs - sinceMs)
    this.records += records
    this.bytes += bytes
  }

  get elapsedSeconds(): number {
    return (performance.now() - this.#startMs) / 1000
  }

  /** Against whichever of the amounts is reached first. */
  done({ records, seconds }: Amount): Done {
    const ofRecords = records === undefined ? 0 : this.records / records
    const ofSeconds = seconds === undefined ? 0 : this.elapsedSeconds / seconds
    const share = Math.min(1, Math.max(ofRecords, ofSeconds))
    return { records: this.records, bytes: this.bytes, share }
  }

  result(phase: Phase): Result {
    const seconds = (this.#lastMs - this.#startMs) / 1000
    const all = this.#latencies
    return {
      phase,
      records: this.records,
      bytes: this.bytes,
      requests: all.count,
      seconds,
      recordsPerSecond: this.records / seconds,
      megabytesPerSecond: this.bytes / seconds / 1e6,
      latencyMs: { p50: all.at(0.5), p99: all.at(0.99), 'p99.9': all.at(0.999), max: all.max },
    }
  }
}

const HEADER = [
  '',
  'RECORDS',
  'SECONDS',
  'RECORDS/S',
  'MB/S',
  'P50 MS',
  'P99 MS',
  'P99.9 MS',
  'MAX MS',
]

/** Three digits are more than two runs agree on. */
const rounded = (value: number): number =>
  value >= 1000 ? Math.round(value) : Number(value.toPrecision(3))

export function resultsTable(results: readonly Result[]): string {
  const rows = results.map(r => {
    const { p50, p99, 'p99.9': p999, max } = r.latencyMs
    const numbers = [r.seconds, r.recordsPerSecond, r.megabytesPerSecond, p50, p99, p999, max]
    return [r.phase, r.records, ...numbers.map(rounded)]
  })
  return table(HEADER, rows)
}
