import { InvalidArgumentError } from 'commander'

const UNIT_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 7 * 86_400_000,
}
const DURATION = /^(\d+(?:\.\d+)?)(ms|s|m|h|d|w)$/
/** A timer of Node holds no more. */
const DURATION_MS_MAX = 2 ** 31 - 1

/** A Date holds no more. */
const DATE_MS_MAX = 8.64e15

function durationOf(text: string): number | null {
  const match = DURATION.exec(text)
  return match === null ? null : Math.round(Number(match[1]) * UNIT_MS[match[2]!]!)
}

/** 500ms, 10s, 5m, ... as ms. */
export function parseDuration(text: string): number {
  const ms = durationOf(text)
  if (ms !== null && ms >= 1 && ms <= DURATION_MS_MAX) return ms
  throw new InvalidArgumentError('It must be a number with ms, s, m, h or d, such as 10s.')
}

/** A point in time as ms since 1970: so long ago (1h), or an ISO date. Without a zone it is local time. */
export function parseTime(text: string): number {
  const ago = durationOf(text)
  const time = ago === null ? isoTime(text) : Date.now() - ago
  if (!Number.isNaN(time)) return time
  throw new InvalidArgumentError(
    'It must be how long ago (30s, 5m, 1h, 2d) or a time such as 2026-11-26T01:00:00Z.',
  )
}

/** ms since 1970, or NaN. Date.parse takes a lot more than ISO dates, such as "1". */
export function isoTime(text: string): number {
  return /^\d{4}-\d\d-\d\d([T ]\d\d:\d\d.*)?$/.test(text) ? Date.parse(text) : Number.NaN
}

/** ms since 1970 as an ISO time; null if a Date cannot hold it, or it is -1 for none. */
export function isoOf(ms: number): string | null {
  return ms < 0 || ms > DATE_MS_MAX ? null : new Date(ms).toISOString()
}

/** 1h 5m, 12s: for people. */
export function duration(ms: number): string {
  const seconds = Math.round(ms / 1000)
  if (seconds < 60) return `${seconds}s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes}m ${seconds % 60}s`
  return `${Math.floor(minutes / 60)}h ${minutes % 60}m`
}
