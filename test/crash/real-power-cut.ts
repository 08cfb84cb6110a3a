/**
 * A real power cut: a file system of its own on a loop device is shut down under the broker (the ioctl that file systems have
 * for their own tests drops all that was not flushed, like a cut of the power), mounted again and looked at. The client
 * is librdkafka, with a ledger of its own. Needs root and confluent-kafka:
 *   npm run test:power-cut -- --python VENV/bin/python --cycles 100 [--compacted] [--seed N] [--mutant NAME]
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { Client } from '../../src/client/client.ts'
import { createTopicsApi } from '../../src/protocol/messages/19-create-topics.ts'
import { BrokerProcess } from '../lib/broker-process.ts'
import { buildCopy } from '../lib/build-copy.ts'
import { Random } from '../lib/random.ts'
import { LoopDisk, LoopDisks, run } from './loop-disk.ts'
import { mutants } from './mutants.ts'

const { values } = parseArgs({
  options: {
    python: { type: 'string', default: 'python3' },
    cycles: { type: 'string', default: '10' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    compacted: { type: 'boolean', default: false },
    /** A bug to plant (mutants.ts): then it must be found. */
    mutant: { type: 'string' },
  },
})
const CLIENT = fileURLToPath(new URL('real_power_cut.py', import.meta.url))
const PARTITIONS = 4
/** A topic is loaded for so many cycles, then the next one. */
const CYCLES_A_TOPIC = 10
const LOAD_MS_MIN = 50
const LOAD_MS_MAX = 800
const WORKERS_MAX = 3
/** Far above what one load can send; the client sends small and large batches in turn by it. */
const SEQUENCE_STEP = 10_000_000

const seed = Number(values.seed)
const random = new Random(seed)
const work = mkdtempSync(join(tmpdir(), 'odradek-power-'))
using disks = new LoopDisks()
const disk = disks.add('disk')
const ledgerOf = (topic: string): string => join(work, `${topic}.ledger`)
const kind = values.compacted ? 'compacted' : 'plain'
const { mutant } = values
/** The broker with the bug in it. */
const copy = mutant === undefined ? {} : { root: buildCopy(['build:esm'], mutants[mutant]!.edits) }
let sequence = 0

function start(): Promise<BrokerProcess> {
  const workers = 1 + random.below(WORKERS_MAX)
  const overrides = [
    `odradek.partition.workers=${workers}`,
    'odradek.journal.bytes=8388608',
    'log.cleaner.backoff.ms=100',
  ]
  return BrokerProcess.start({ dir: disk.data, overrides, ...copy })
}

async function createTopic(broker: BrokerProcess, name: string): Promise<void> {
  const compaction = [
    { name: 'cleanup.policy', value: 'compact' },
    { name: 'min.cleanable.dirty.ratio', value: '0.01' },
  ]
  const configs = [{ name: 'segment.bytes', value: '1048576' }]
  if (values.compacted) configs.push(...compaction)
  const client = await Client.connect({ host: '127.0.0.1', port: broker.port })
  const topic = { name, numPartitions: PARTITIONS, replicationFactor: 1, configs }
  const { topics } = await client.send(createTopicsApi, 5, { topics: [topic] })
  if (topics[0]!.errorCode !== 0) throw new Error(`${name}: error ${topics[0]!.errorCode}`)
  await client.close()
  writeFileSync(ledgerOf(name), '')
}

/** Loads the topic until some of it is acknowledged and for a moment more, and cuts the power. */
async function loadAndCut(broker: BrokerProcess, topic: string): Promise<void> {
  const args = [
    'load',
    broker.address,
    topic,
    String(PARTITIONS),
    String(sequence),
    ledgerOf(topic),
  ]
  const client = spawn(values.python, [CLIENT, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = once(client, 'exit')
  await once(client.stdout, 'data')
  await sleep(LOAD_MS_MIN + random.below(LOAD_MS_MAX - LOAD_MS_MIN))
  LoopDisk.cut([disk], [broker.pid])
  await broker.kill()
  client.kill('SIGKILL')
  await ended
  sequence += SEQUENCE_STEP
  disk.remount()
}

/** @returns acknowledged records, and what is wrong */
function check(broker: BrokerProcess, topic: string): { records: number; wrong: string[] } {
  const args = ['check', broker.address, topic, String(PARTITIONS), kind, ledgerOf(topic)]
  const lines = run(values.python, CLIENT, ...args)
    .trim()
    .split('\n')
  const records = Number(lines.at(-1)!.split(' ')[1])
  return { records, wrong: lines.slice(0, -1) }
}

async function main(): Promise<number> {
  let broker = await start()
  let total = 0
  const cycles = Number(values.cycles)
  for (let cycle = 0; cycle < cycles; cycle++) {
    const topic = `cut-${Math.floor(cycle / CYCLES_A_TOPIC)}`
    if (cycle % CYCLES_A_TOPIC === 0) await createTopic(broker, topic)
    await loadAndCut(broker, topic)
    broker = await start()
    const { records, wrong } = check(broker, topic)
    if (wrong.length > 0 || broker.output.includes('offline')) {
      console.log(
        `cycle ${cycle}, seed ${seed}: ${wrong.slice(0, 20).join('\n')}\n${broker.output}`,
      )
      await broker.kill()
      return 1
    }
    if (cycle % CYCLES_A_TOPIC === CYCLES_A_TOPIC - 1 || cycle === cycles - 1) total += records
    if (cycle % 10 === 9) console.log(`${cycle + 1} cycles, ${total} records`)
  }
  await broker.kill()
  console.log(`${cycles} power cuts (${kind}, seed ${seed}): ${total} records acknowledged, 0 lost`)
  return 0
}

try {
  process.exitCode = await main()
} finally {
  rmSync(work, { recursive: true, force: true })
  if (copy.root !== undefined) rmSync(copy.root, { recursive: true, force: true })
}
