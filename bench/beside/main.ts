/**
 * Groups, consumers that keep up, and Kafka's own perf tools, on two brokers, with the same driver, taking turns:
 *
 *   node --import tsx bench/beside/main.ts --ours 127.0.0.1:9392 --ours-pid PID --other 127.0.0.1:29092 --other-pid PID
 *
 * Both need group.initial.rebalance.delay.ms=0. Prints the median of every number over the runs, and of its ratio.
 */
import { parseArgs } from 'node:util'
import { median, rounded } from '../harness.ts'
import { measureCommits } from './commits.ts'
import { measureTools } from './kafka-tools.ts'
import { measureLarge } from './large.ts'
import { measureMany } from './many.ts'
import { measureTail } from './tail.ts'
import type { Target } from './target.ts'

type Measure = (target: Target, run: string) => Promise<Record<string, number>>

const rows: Readonly<Record<string, Measure>> = {
  commits: (target, run) => measureCommits(target, { groups: 200, inFlight: 64, seconds: 4 }, run),
  'many-groups': (target, run) => measureMany(target, { groups: 10_000, heartbeats: 5 }, run),
  'large-classic': (target, run) =>
    measureLarge(target, { members: 500, partitions: 1000 }, 'classic', run),
  'large-consumer': (target, run) =>
    measureLarge(target, { members: 500, partitions: 1000 }, 'consumer', run),
  'tools-100': (target, run) => measureTools(target, { records: 2_000_000, valueBytes: 100 }, run),
  'tools-1k': (target, run) => measureTools(target, { records: 300_000, valueBytes: 1_024 }, run),
  'tail-1': (target, run) => measureTail(target, { rate: 1_000, consumers: 1, seconds: 10 }, run),
  'tail-10': (target, run) => measureTail(target, { rate: 300, consumers: 10, seconds: 10 }, run),
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    ours: { type: 'string' },
    'ours-pid': { type: 'string' },
    other: { type: 'string' },
    'other-pid': { type: 'string' },
    runs: { type: 'string', default: '3' },
  },
})

function targetOf(address: string | undefined, pid: string | undefined): Target | null {
  if (address === undefined || pid === undefined) return null
  const [host, port] = address.split(':')
  return { host: host!, port: Number(port), pid: Number(pid) }
}

const ours = targetOf(values.ours, values['ours-pid'])
const other = targetOf(values.other, values['other-pid'])
const stamp = Date.now().toString(36)
for (const name of positionals.length > 0 ? positionals : Object.keys(rows)) {
  const measure = rows[name]
  if (measure === undefined) throw new Error(`no row ${name}; there are ${Object.keys(rows)}`)
  const results: { ours: Record<string, number>[]; other: Record<string, number>[] } = {
    ours: [],
    other: [],
  }
  for (let run = 0; run < Number(values.runs); run++) {
    const id = `${name}-${stamp}-${run}`
    if (ours !== null) results.ours.push(await measure(ours, id))
    if (other !== null) results.other.push(await measure(other, id))
  }
  for (const key of Object.keys((results.ours[0] ?? results.other[0])!)) {
    const mine = results.ours.map(result => result[key]!)
    const theirs = results.other.map(result => result[key]!)
    const cells = [mine, theirs].map(numbers =>
      numbers.length > 0 ? rounded(median(numbers)) : '-',
    )
    const ratios = mine.length > 0 ? mine.map((value, i) => value / (theirs[i] ?? Number.NaN)) : []
    const ratio = ratios.length > 0 && theirs.length > 0 ? median(ratios).toFixed(2) : '-'
    process.stdout.write(
      `${name.padEnd(16)} ${key.padEnd(22)} ours ${cells[0]!.padEnd(10)} other ${cells[1]!.padEnd(10)} ratio ${ratio}\n`,
    )
  }
}
process.exit(0)
