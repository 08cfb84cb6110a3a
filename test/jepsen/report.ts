import type { Case } from './checks/log.ts'
import type { RunOptions } from './options.ts'
import type { RunResult } from './run.ts'

/** Of each row, so many cases are printed. */
const CASES_MAX = 5
const TEXT_MAX = 400

const counts = (of: Readonly<Record<string, number>>): string =>
  Object.entries(of)
    .map(([name, count]) => `${count} ${name}`)
    .join(', ') || 'none'

/** Prints what a run was, and what was wrong with it. @returns whether nothing was */
export function report(options: RunOptions, result: RunResult): boolean {
  const { verdict, wrong, faults, errors, topics, failedStarts } = result
  const { sends, polls, recordsRead, worstLagMs, readTimes, keys } = verdict.metrics
  console.log(`seed ${options.seed}: ${keys} keys of ${topics} topics; faults: ${counts(faults)}`)
  console.log(`  sends: ${counts(sends)}; polls: ${counts(polls)}; records read: ${recordsRead}`)
  console.log(
    `  worst lag ${worstLagMs} ms; read by subscribers so often: ${JSON.stringify(readTimes)}`,
  )
  console.log(`  errors of clients: ${counts(errors)}`)
  if (failedStarts.length > 0) {
    console.log(
      `  ${failedStarts.length} starts were repeated, the last for ${reasonOf(failedStarts)}`,
    )
  }
  print('allowed', verdict.allowed)
  print('FAILING', verdict.failing)
  for (const line of wrong) console.log(`  WRONG ${line.slice(0, TEXT_MAX)}`)
  const isRight = verdict.isValid && wrong.length === 0
  console.log(isRight ? `  seed ${options.seed}: right` : `  seed ${options.seed}: WRONG`)
  return isRight
}

const reasonOf = (starts: readonly string[]): string =>
  starts.at(-1)!.trim().split('\n').at(-1)!.slice(0, TEXT_MAX)

function print(what: string, rows: Readonly<Record<string, readonly Case[]>>): void {
  for (const [name, cases] of Object.entries(rows)) {
    console.log(`  ${what} ${name}: ${cases.length}`)
    if (what !== 'FAILING') continue
    for (const one of cases.slice(0, CASES_MAX)) {
      console.log(`    ${JSON.stringify(one).slice(0, TEXT_MAX)}`)
    }
  }
}
