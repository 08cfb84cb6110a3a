/**
 * The power cut of a whole cluster: brokers and their etcd, each on a file system of its own on a loop device, all of which
 * are shut down at the same moment under load (or those of one or two brokers, or of one before the others), mounted again,
 * and read against what was acknowledged. Needs root, etcd (LIVE_TOOLS) and what is built (dist):
 *   npm run test:cluster-power-cut -- [--brokers 3] [--cycles 10] [--seed N] [--flush-ms N] [--mutant NAME]
 */
import { rmSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { buildCopy } from '../lib/build-copy.ts'
import { Random } from '../lib/random.ts'
import { DiskCluster } from './cluster-cut/disk-cluster.ts'
import { clusterCutMutants, slowFlush } from './cluster-cut/mutants.ts'
import { CutRun } from './cluster-cut/run.ts'

/** A topic is loaded for so many cycles, then the next one. */
const CYCLES_A_TOPIC = 5
const WRONG_MAX = 20

const { values } = parseArgs({
  options: {
    brokers: { type: 'string', default: '3' },
    cycles: { type: 'string', default: '10' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    /** Brokers wait so long before they flush a journal, as on slow disks. */
    'flush-ms': { type: 'string', default: '0' },
    /** A bug to plant (cluster-cut/mutants.ts): then it must be found. */
    mutant: { type: 'string' },
  },
})
const seed = Number(values.seed)
const cycles = Number(values.cycles)
const random = new Random(seed)
const counts: Record<string, number> = {}
let acknowledged = 0
let commits = 0
let unknown = 0

/** @returns what is wrong */
async function loadTopic(cluster: DiskCluster, first: number): Promise<string[]> {
  const run = await CutRun.start(cluster, `cut-${first}`, random)
  const end = Math.min(first + CYCLES_A_TOPIC, cycles)
  for (let cycle = first; cycle < end; cycle++) {
    const { kind, wrong } = await run.cycle()
    counts[kind] = (counts[kind] ?? 0) + 1
    if (wrong.length === 0) continue
    const told = `of ${acknowledged + run.acknowledged} records acknowledged`
    return [`cycle ${cycle + 1} (${kind}), ${told}:`, ...wrong.slice(0, WRONG_MAX)]
  }
  await run.stop()
  acknowledged += run.acknowledged
  commits += run.commits
  unknown += run.unknown
  console.log(`${end} cycles: ${acknowledged} records and ${commits} commits acknowledged, 0 lost`)
  return []
}

async function main(root?: string): Promise<number> {
  await using cluster = await DiskCluster.start(Number(values.brokers), random, root)
  for (let first = 0; first < cycles; first += CYCLES_A_TOPIC) {
    const wrong = await loadTopic(cluster, first)
    if (wrong.length === 0) continue
    console.log(`seed ${seed}, ${wrong.join('\n')}`)
    return 1
  }
  console.log(
    `${cycles} power cuts ${JSON.stringify(counts)}, seed ${seed}: ${acknowledged} records and ${commits} commits ` +
      'acknowledged, 0 lost, doubled or out of order, all replicas equal, no error answered to a producer; ' +
      `${unknown} sends ended in an error of KafkaJS itself`,
  )
  return 0
}

console.log(`seed ${seed}`)
const { mutant } = values
const bug = mutant === undefined ? [] : clusterCutMutants[mutant]
if (bug === undefined) throw new Error(`there are ${Object.keys(clusterCutMutants).join(', ')}`)
const flushMs = Number(values['flush-ms'])
const edits = flushMs === 0 ? bug : [...bug, slowFlush(flushMs)]
const root = edits.length === 0 ? undefined : buildCopy(['build:esm'], edits)
if (root !== undefined) process.on('exit', () => rmSync(root, { recursive: true }))
// What KafkaJS has left does not hold it back.
process.exit(await main(root))
