import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { Client } from '../../src/client/client.ts'
import { createTopicsApi } from '../../src/protocol/messages/19-create-topics.ts'
import { BrokerProcess, type BrokerProcessOptions } from '../lib/broker-process.ts'
import { buildCopy, type Edit } from '../lib/build-copy.ts'
import { Random } from '../lib/random.ts'
import { checkAll, follow } from './consumer.ts'
import { Ledger } from './ledger.ts'
import { Producer, type Target } from './load.ts'
import { mutants } from './mutants.ts'
import { cutPower } from './power-cut.ts'

export interface KillOptions {
  readonly cycles: number
  readonly seed: number
  /** A bug to plant: see mutants.ts. */
  readonly mutant?: string
  /** Also take back what was not flushed. */
  readonly powerCut?: boolean
  /** The kill comes this long after the load began, at the latest. */
  readonly killMsMax?: number
  readonly log?: (line: string) => void
}

export interface KillReport {
  readonly cycles: number
  readonly ackedBatches: number
  readonly ackedRecords: number
  /** ms from spawn to ready, sorted. */
  readonly restarts: readonly number[]
  /** What broke a promise; the run ends with the cycle that did. */
  readonly violations: readonly string[]
}

const KILL_MS_MIN = 20
const KILL_MS_MAX = 500
/** So many starts are killed too, before they are done. */
const KILLED_STARTS = 1 / 6
const KILLED_START_MS_MAX = 250

/** Topics and their partitions; small segments on one, so that some kills meet a roll. */
const TOPICS = [
  { name: 'idempotent', numPartitions: 4, configs: [] },
  { name: 'rolling', numPartitions: 2, configs: [{ name: 'segment.bytes', value: '1048576' }] },
  { name: 'plain', numPartitions: 2, configs: [] },
]

/** Small journals, so that they take turns often. */
const OVERRIDES = ['odradek.journal.bytes=8388608']
/** From start to start the partitions are spread over another number of workers, and so are the journals. */
const WORKERS_MAX = 4

const RECORDING = fileURLToPath(new URL('recording-fs.ts', import.meta.url))
const RECORDING_EDITS: readonly Edit[] = [
  {
    file: 'src/storage/fs.ts',
    from: 'export const realFileSystem: FileSystem = {',
    to: `import { recording } from '${RECORDING}'\nconst plainFileSystem: FileSystem = {`,
  },
  {
    file: 'src/storage/fs.ts',
    from: '/** Reads a whole small file. */',
    to: 'export const realFileSystem: FileSystem = recording(plainFileSystem)\n',
  },
]

/**
 * Kills a broker under load again and again, and checks after each restart that every acknowledged batch is where it was
 * acknowledged, what consumers were given is still there, and nothing of an idempotent producer is there twice or out of
 * order.
 */
export async function runKills(options: KillOptions): Promise<KillReport> {
  const mutant = options.mutant === undefined ? undefined : mutants[options.mutant]
  if (options.mutant !== undefined && mutant === undefined) {
    throw new Error(`no mutant ${options.mutant}; there are ${Object.keys(mutants).join(', ')}`)
  }
  const powerCut = options.powerCut ?? mutant?.powerCut ?? false
  const edits = [...(powerCut ? RECORDING_EDITS : []), ...(mutant?.edits ?? [])]
  const root = buildCopy(['build:esm'], edits)
  const work = mkdtempSync(join(tmpdir(), 'odradek-kill-'))
  try {
    return await new KillRun(options, root, work, powerCut).run()
  } finally {
    rmSync(root, { recursive: true })
    rmSync(work, { recursive: true })
  }
}

class KillRun {
  readonly #options: KillOptions
  readonly #random: Random
  readonly #brokerOptions: BrokerProcessOptions
  readonly #undoDir: string | null
  readonly #targets: Target[]
  readonly #producers: Producer[]
  readonly #restarts: number[] = []
  readonly #failures: string[] = []

  constructor(options: KillOptions, root: string, work: string, powerCut: boolean) {
    this.#options = options
    this.#random = new Random(options.seed)
    this.#undoDir = powerCut ? mkdtempSync(join(work, 'undo-')) : null
    const dir = mkdtempSync(join(work, 'data-'))
    const env: Record<string, string> =
      this.#undoDir === null ? {} : { ODRADEK_UNDO_DIR: this.#undoDir }
    this.#brokerOptions = { root, dir, env }
    this.#targets = TOPICS.flatMap(({ name, numPartitions }) =>
      Array.from({ length: numPartitions }, (_, index) => ({
        topic: name,
        index,
        ledger: new Ledger(`${name}-${index}`),
      })),
    )
    const of = (topic: string): Target[] => this.#targets.filter(t => t.topic === topic)
    this.#producers = [
      new Producer('a', true, of('idempotent'), this.#random),
      new Producer('b', true, [...of('idempotent').slice(0, 2), ...of('rolling')], this.#random),
      new Producer('c', true, of('rolling'), this.#random),
      new Producer('d', false, of('plain'), this.#random),
    ]
  }

  /** What the next broker is started with. */
  #nextBroker(): BrokerProcessOptions {
    const workers = 1 + this.#random.below(WORKERS_MAX)
    const overrides = [...OVERRIDES, `odradek.partition.workers=${workers}`]
    return { ...this.#brokerOptions, overrides }
  }

  async run(): Promise<KillReport> {
    let cycle = 0
    let broker = await BrokerProcess.start(this.#nextBroker())
    await createTopics(broker.port)
    while (cycle < this.#options.cycles && this.#violations().length === 0) {
      await this.#loadAndKill(broker)
      cycle++
      if (this.#violations().length > 0) break
      const next = await this.#restart()
      if (next === null) break
      broker = next
      await this.#check(broker)
      if (cycle % 10 === 0) this.#options.log?.(`${cycle} cycles, ${this.#acked()} records`)
    }
    if (this.#violations().length === 0) await this.#checkFromTheBeginning(broker)
    await broker.kill()
    return {
      cycles: cycle,
      ackedBatches: this.#targets.reduce((sum, t) => sum + t.ledger.ackedBatches, 0),
      ackedRecords: this.#acked(),
      restarts: this.#restarts.toSorted((a, b) => a - b),
      violations: this.#violations(),
    }
  }

  #acked(): number {
    return this.#targets.reduce((sum, t) => sum + t.ledger.ackedRecords, 0)
  }

  #violations(): string[] {
    return [...this.#failures, ...this.#targets.flatMap(t => t.ledger.violations)]
  }

  async #loadAndKill(broker: BrokerProcess): Promise<void> {
    const max = this.#options.killMsMax ?? KILL_MS_MAX
    const load = [
      ...this.#producers.map(producer => producer.run(broker.port)),
      follow(broker.port, this.#targets),
    ]
    const killing = sleep(KILL_MS_MIN + this.#random.below(max - KILL_MS_MIN)).then(() =>
      broker.kill(),
    )
    const ends = await Promise.allSettled([...load, killing])
    for (const end of ends) {
      if (end.status === 'rejected') this.#failures.push(`under load: ${end.reason}`)
    }
    this.#cutPower()
  }

  #cutPower(): void {
    if (this.#undoDir === null) return
    cutPower(this.#undoDir, this.#random.chance(0.5) ? 'all' : 'some', this.#random)
  }

  /** Starts the broker again; some starts are killed on the way. @returns null if it does not start any more */
  async #restart(): Promise<BrokerProcess | null> {
    if (this.#random.chance(KILLED_STARTS)) {
      const ms = this.#random.below(KILLED_START_MS_MAX)
      await BrokerProcess.start({
        ...this.#nextBroker(),
        onSpawn: child => setTimeout(() => child.kill('SIGKILL'), ms),
      }).then(
        early => early.kill(),
        () => {}, // it was killed before it was ready, as intended
      )
      this.#cutPower()
    }
    try {
      const broker = await BrokerProcess.start(this.#nextBroker())
      this.#restarts.push(broker.readyMs)
      return broker
    } catch (error) {
      this.#failures.push(`it does not start again: ${(error as Error).message}`)
      return null
    }
  }

  async #check(broker: BrokerProcess): Promise<void> {
    try {
      await checkAll(broker.port, this.#targets)
    } catch (error) {
      this.#failures.push(`after a restart: ${(error as Error).message}`)
    }
  }

  /** The whole log once more, after a clean stop and start. */
  async #checkFromTheBeginning(broker: BrokerProcess): Promise<void> {
    const ended = await broker.stop()
    if (ended.code !== 0) this.#failures.push(`SIGTERM ended it with ${JSON.stringify(ended)}`)
    const last = await BrokerProcess.start(this.#nextBroker())
    for (const { ledger } of this.#targets) ledger.restart()
    await this.#check(last)
    await last.kill()
  }
}

async function createTopics(port: number): Promise<void> {
  await using client = await Client.connect({ host: '127.0.0.1', port })
  const topics = TOPICS.map(topic => ({ ...topic, replicationFactor: 1, assignments: [] }))
  const answer = await client.send(createTopicsApi, 5, { topics })
  const failed = answer.topics.filter(topic => topic.errorCode !== 0)
  if (failed.length > 0) throw new Error(`cannot make topics: ${JSON.stringify(failed)}`)
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      cycles: { type: 'string', default: '50' },
      seed: { type: 'string', default: String(Date.now() % 1_000_000) },
      mutant: { type: 'string' },
      'power-cut': { type: 'boolean' },
      'kill-ms-max': { type: 'string', default: String(KILL_MS_MAX) },
    },
  })
  const seed = Number(values.seed)
  const started = performance.now()
  const report = await runKills({
    cycles: Number(values.cycles),
    seed,
    killMsMax: Number(values['kill-ms-max']),
    log: console.log,
    ...(values.mutant === undefined ? {} : { mutant: values.mutant }),
    ...(values['power-cut'] === undefined ? {} : { powerCut: values['power-cut'] }),
  })
  const { restarts } = report
  console.log(
    `${report.cycles} cycles in ${Math.round((performance.now() - started) / 1000)} s with seed ${seed}: ` +
      `${report.ackedBatches} batches with ${report.ackedRecords} records acknowledged; ` +
      `restart p50 ${Math.round(restarts[restarts.length >> 1] ?? 0)} ms, max ${Math.round(restarts.at(-1) ?? 0)} ms`,
  )
  for (const violation of report.violations.slice(0, 20)) console.log(`VIOLATION ${violation}`)
  console.log(`${report.violations.length} violations`)
  process.exitCode = report.violations.length === 0 ? 0 : 1
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main()
