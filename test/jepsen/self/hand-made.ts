import type { Completed, HistoryEvent, Micro, Read } from '../history.ts'

/** An operation of a hand-made history. */
interface Made {
  readonly process: number
  readonly f: string
  readonly value: unknown
  readonly type: Completed
}

export const send = (process: number, key: number, at: number | null, value: number): Made =>
  txn(process, [sends(key, at, value)], 'ok', 'send')
export const poll = (process: number, key: number, ...reads: Read[]): Made =>
  txn(process, [polls({ [key]: reads })], 'ok', 'poll')
export const txn = (process: number, value: Micro[], type: Completed = 'ok', f = 'txn'): Made => ({
  ...{ process, f, value, type },
})
export const choose = (process: number, f: 'assign' | 'subscribe', ...value: number[]): Made => ({
  ...{ process, f, value, type: 'ok' },
})
export const sends = (key: number, at: number | null, value: number): Micro => [
  'send',
  key,
  [at, value],
]
export const polls = (reads: Record<string, Read[]>): Micro => ['poll', reads]
export const but = (made: Made, type: Completed): Made => ({ ...made, type })

/** One after the other; those in a list at the same time. */
export function historyOf(...steps: (Made | Made[])[]): HistoryEvent[] {
  const events: HistoryEvent[] = []
  const note = (event: object): void => {
    events.push({ index: events.length, time: events.length * 1e6, ...event } as HistoryEvent)
  }
  for (const step of steps) {
    const together = Array.isArray(step) ? step : [step]
    for (const op of together) note({ ...op, type: 'invoke' })
    for (const op of together) note(op)
  }
  return events
}
