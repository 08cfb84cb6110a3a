import { duration } from './time.ts'

/** Often enough to be seen moving. */
const REDRAW_MS = 500
const CLEAR_LINE = '\r\x1b[K'

/** Whether the last line on stderr is a progress that is not ended. */
let isDrawn = false

/** Says on stderr what is worth a line but no failure. */
export function note(line: string): void {
  process.stderr.write(`${isDrawn ? CLEAR_LINE : ''}odradek: ${line}\n`)
}

export interface Done {
  readonly records: number
  readonly bytes: number
  /** From 0 to 1, or null if nobody knows how much there is. */
  readonly share: number | null
}

/** "12,000 records, 1.5 MB, 6,000/s, 40%, 3s left" */
export function progressLine({ records, bytes, share }: Done, elapsedMs: number): string {
  const rate = elapsedMs === 0 ? 0 : Math.round((records * 1000) / elapsedMs)
  const parts = [
    `${records.toLocaleString('en')} records`,
    `${(bytes / 1e6).toFixed(1)} MB`,
    `${rate.toLocaleString('en')}/s`,
  ]
  if (share !== null) parts.push(`${Math.floor(share * 100)}%`)
  if (share !== null && share > 0 && share < 1) {
    parts.push(`${duration((elapsedMs * (1 - share)) / share)} left`)
  }
  return parts.join(', ')
}

/**
 * Redraws one line on stderr while long work goes on, if that is a terminal. The last line stays.
 * `isOn` says whether it is wanted: not when the work itself prints to the same terminal, or reads what is typed there.
 */
export function showProgress(
  done: () => Done,
  isOn = true,
  lineOf: (done: Done, elapsedMs: number) => string = progressLine,
): Disposable {
  if (!process.stderr.isTTY || !isOn) return { [Symbol.dispose]: () => {} }
  const start = performance.now()
  const draw = (): void => {
    process.stderr.write(`${CLEAR_LINE}${lineOf(done(), performance.now() - start)}`)
    isDrawn = true
  }
  const timer = setInterval(draw, REDRAW_MS)
  timer.unref()
  return {
    [Symbol.dispose]: () => {
      clearInterval(timer)
      draw()
      process.stderr.write('\n')
      isDrawn = false
    },
  }
}
