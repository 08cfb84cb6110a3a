/**
 * Three brokers, and three nodes of Apache Kafka, on this machine, taking turns: replication factor 3, acks=all.
 *
 *   npm run build && LIVE_TOOLS=FOLDER node --import tsx bench/cluster/main.ts [ROW ...] [--runs 3] [--ours]
 *
 * FOLDER is what .ci/tools has filled. Prints the median of every number over the runs, and of its ratio; a first run, which warms
 * up, does not count. --ours: without Kafka.
 */
import { parseArgs } from 'node:util'
import { median, rounded } from '../harness.ts'
import { startKafka, startOurs } from './clusters.ts'
import { rows } from './rows.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    runs: { type: 'string', default: '3' },
    ours: { type: 'boolean', default: false },
  },
})
const names = positionals.length > 0 ? positionals : Object.keys(rows)
for (const name of names) {
  if (rows[name] === undefined) throw new Error(`no row ${name}; there are ${Object.keys(rows)}`)
}

const ours = await startOurs()
const kafka = values.ours ? null : await startKafka()
const sides = kafka === null ? [ours] : [ours, kafka]
try {
  for (const name of names) {
    const results = sides.map((): Record<string, number>[] => [])
    for (let run = -1; run < Number(values.runs); run++) {
      for (const [i, side] of sides.entries()) {
        const numbers = await rows[name]!(side, `${name}-${run + 1}`)
        if (run >= 0) results[i]!.push(numbers)
      }
    }
    for (const key of Object.keys(results[0]![0]!)) {
      const [mine, theirs] = results.map(side => side.map(numbers => numbers[key]!))
      const ratio =
        theirs === undefined ? '' : median(mine!.map((n, i) => n / theirs[i]!)).toFixed(2)
      const cells = `ours ${rounded(median(mine!)).padEnd(10)} kafka ${theirs === undefined ? '-' : rounded(median(theirs))}`
      process.stdout.write(`${name.padEnd(10)} ${key.padEnd(16)} ${cells.padEnd(32)} ${ratio}\n`)
    }
  }
} finally {
  await ours.cluster[Symbol.asyncDispose]()
  await kafka?.cluster[Symbol.asyncDispose]()
}
process.exit(0)
