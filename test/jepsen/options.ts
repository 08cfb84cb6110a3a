import { parseArgs } from 'node:util'
import { CLIENTS, type ClientName } from './clients/workers.ts'
import { FAULTS, type FaultName } from './nemesis/schedule.ts'
import type { Mode } from './workload/thread.ts'

/** What a run is. The same seed has the same faults at the same times, and draws the same operations. */
export interface RunOptions {
  readonly seconds: number
  readonly seed: number
  readonly faults: readonly FaultName[]
  readonly clients: readonly ClientName[]
  readonly mode: Mode
  /** Processes at a time. */
  readonly threads: number
  /** Operations a second, of all together. */
  readonly rate: number
}

export interface Options {
  readonly runs: number
  readonly run: RunOptions
  readonly mutant: string | undefined
}

const MODES = ['assign', 'subscribe', 'both'] as const

export function optionsOf(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      runs: { type: 'string', default: '1' },
      seconds: { type: 'string', default: '120' },
      /** Of the first run; each next has the next one. */
      seed: { type: 'string', default: String(Date.now() % 1_000_000) },
      faults: { type: 'string', default: FAULTS.join() },
      client: { type: 'string', default: CLIENTS.join() },
      mode: { type: 'string', default: 'both' },
      threads: { type: 'string', default: '9' },
      rate: { type: 'string', default: '100' },
      /** A bug to plant (mutants.ts): then rows have to fail. */
      mutant: { type: 'string' },
    },
  })
  return {
    runs: Number(values.runs),
    run: {
      seconds: Number(values.seconds),
      seed: Number(values.seed),
      faults: listOf('faults', values.faults, FAULTS),
      clients: listOf('client', values.client, CLIENTS),
      mode: listOf('mode', values.mode, MODES)[0]!,
      threads: Number(values.threads),
      rate: Number(values.rate),
    },
    mutant: values.mutant,
  }
}

function listOf<T extends string>(name: string, given: string, known: readonly T[]): T[] {
  return given
    .split(',')
    .filter(one => one !== '' && one !== 'none')
    .map(one => {
      const found = known.find(k => k === one)
      if (found === undefined) throw new Error(`--${name}: ${one} is none of ${known.join(', ')}`)
      return found
    })
}
