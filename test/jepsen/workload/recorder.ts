import { writeFileSync } from 'node:fs'
import type { HistoryEvent } from '../history.ts'

/** An event without what the recorder gives it. */
type Told = { readonly process: number; readonly type: HistoryEvent['type'] } & Readonly<
  Record<string, unknown>
>

/** The history of a run, as it comes about. */
export class Recorder {
  readonly events: HistoryEvent[] = []

  note(told: Told): void {
    const time = Math.round(performance.now() * 1e6)
    this.events.push({ index: this.events.length, time, ...told } as unknown as HistoryEvent)
  }

  write(path: string): void {
    writeFileSync(path, this.events.map(event => `${JSON.stringify(event)}\n`).join(''))
  }
}
