const TRACE_LINES_MAX = 20_000

/** What a storm counts, and what in it broke a promise. */
export class Report {
  readonly violations: string[] = []
  readonly counts = new Map<string, number>()
  readonly #trace: string[] = []
  readonly #start = performance.now()

  count(what: string, by = 1): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + by)
  }

  violate(what: string): void {
    this.violations.push(`${this.#at} ${what}`)
    this.trace(`VIOLATION ${what}`)
  }

  /** A line of what happened, to look into violations with. */
  trace(line: string): void {
    if (this.#trace.length >= TRACE_LINES_MAX) this.#trace.splice(0, TRACE_LINES_MAX / 2)
    this.#trace.push(`${this.#at} ${line}`)
  }

  get lines(): readonly string[] {
    return this.#trace
  }

  get #at(): string {
    return `+${Math.round(performance.now() - this.#start)} ms`
  }
}
