import { duration } from './time.ts'

/** Often enough to be seen moving. */
const REDRAW_MS = 500

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
 * `isOn` says whether it is wanted: not when the work itself prints to the same terminal.
 */
export function showProgress(done: () => Done, isOn = true): Disposable {
  if (!process.stderr.isTTY || !isOn) return { [Symbol.dispose]: () => {} }
  const start = performance.now()
  const draw = (): void => {
    process.stderr.write(`\r\x1b[K${progressLine(done(), performance.now() - start)}`)
  }
  const timer = setInterval(draw, REDRAW_MS)
  timer.unref()
  return {
    [Symbol.dispose]: () => {
      clearInterval(timer)
      draw()
      process.stderr.write('\n')
    },
  }
}
