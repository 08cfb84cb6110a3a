import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'

/** Clock ticks a second in /proc. */
const TICKS = 100

const running = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

// A signal that nobody else sees to would end this process without that; SIGHUP comes when a terminal goes.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    if (process.listenerCount(signal) === 1) process.exit(1)
  })
}

/** It ends when this process does, at the latest. */
export function endAtExit(child: ChildProcess): void {
  running.add(child)
  child.once('exit', () => running.delete(child))
}

/** How a process ended. */
export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly ms: number
}

export const hasEnded = ({ exitCode, signalCode }: ChildProcess): boolean =>
  exitCode !== null || signalCode !== null

/** Sends the signal, and SIGKILL after so many ms. Resolves when it has ended. */
export async function end(
  child: ChildProcess,
  signal: NodeJS.Signals,
  msMax: number,
): Promise<Ended> {
  const started = performance.now()
  if (!hasEnded(child)) {
    const gone = once(child, 'exit')
    child.kill(signal)
    const timer = setTimeout(() => child.kill('SIGKILL'), msMax)
    await gone
    clearTimeout(timer)
  }
  const { exitCode: code, signalCode } = child
  return { code, signal: signalCode, ms: performance.now() - started }
}

/** CPU seconds used so far; NaN where the system has no /proc. */
export function cpuSecondsOf(pid: number): number {
  const path = `/proc/${pid}/stat`
  if (!existsSync(path)) return Number.NaN
  const stat = readFileSync(path, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS
}
