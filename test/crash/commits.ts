import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { Client, ClientError } from '../../src/client/client.ts'
import { ErrorCode, errorName } from '../../src/protocol/error-codes.ts'
import { offsetCommitApi } from '../../src/protocol/messages/08-offset-commit.ts'
import { offsetFetchApi } from '../../src/protocol/messages/09-offset-fetch.ts'
import { createTopicsApi } from '../../src/protocol/messages/19-create-topics.ts'
import { deleteGroupsApi } from '../../src/protocol/messages/42-delete-groups.ts'
import { offsetDeleteApi } from '../../src/protocol/messages/47-offset-delete.ts'
import { BrokerProcess } from '../lib/broker-process.ts'
import { buildCopy, type Edit } from '../lib/build-copy.ts'
import { Random } from '../lib/random.ts'

const GROUPS = 16
const PARTITIONS = 4
const KILL_MS_MIN = 20
const KILL_MS_MAX = 400
const IN_FLIGHT = 32
/** Every other group commits now and then only: what it has must outlive many rewrites of the log. */
const QUIET_MS = 25

/** Group logs are written anew after few bytes, so that many kills meet it. */
const SMALL_LOGS: Edit = {
  file: 'src/groups/log-compaction.ts',
  from: 'const COMPACT_BYTES_MIN = 8 * 1024 * 1024',
  to: 'const COMPACT_BYTES_MIN = 32 * 1024',
}

/** Bugs to plant, to show that the test finds them. */
export const commitMutants: Readonly<Record<string, readonly Edit[]>> = {
  /** Commits are acknowledged before they are written. */
  'ack-before-write': [
    {
      file: 'src/coordination/coordinator-log.ts',
      from: 'if (ticket <= this.#durable || this.#failure !== ErrorCode.NONE) run(this.#failure)\n    else ',
      to: 'run(this.#failure)\n    if (ticket < 0) ',
    },
    {
      file: 'src/coordination/coordinator-log.ts',
      from: 'this.#isScheduled = false\n        this.#submit()',
      to: 'setTimeout(() => { this.#isScheduled = false; this.#submit() }, 20)',
    },
  ],
  /** What is still true is not written anew before the old log is dropped. */
  'drop-before-rewrite': [
    {
      file: 'src/groups/shard.ts',
      from: '...entry.offsets.snapshot()]',
      to: '...entry.offsets.snapshot().slice(1)]',
    },
  ],
  /** Removed offsets come back after a restart. */
  'no-tombstones': [
    {
      file: 'src/groups/offsets.ts',
      from: 'return this.#each(isGone).map(({ topic, partition }) => this.record(topic, partition, null))',
      to: 'return this.#each(isGone).slice(1).map(({ topic, partition }) => this.record(topic, partition, null))',
    },
  ],
}

/** What one partition of one group may hold: what was acknowledged last, or anything sent after it. -1: nothing. */
class Cell {
  #acked = -1
  #pending: number[] = []

  send(value: number): void {
    this.#pending.push(value)
  }

  acknowledge(value: number): void {
    this.#acked = value
    this.#pending.splice(0, this.#pending.indexOf(value) + 1)
  }

  /** Takes over what is there after a crash. @returns false if it may not be there */
  settle(value: number): boolean {
    const isAllowed = value === this.#acked || this.#pending.includes(value)
    this.#acked = value
    this.#pending = []
    return isAllowed
  }

  toString(): string {
    const { length } = this.#pending
    return `${this.#acked}, then ${length} unanswered up to ${this.#pending[length - 1] ?? '-'}`
  }
}

/** One group whose offsets are committed, deleted, and which is deleted as a whole, over all crashes. */
class Committer {
  readonly group: string
  readonly #isQuiet: boolean
  readonly #random: Random
  readonly #cells = Array.from({ length: PARTITIONS }, () => new Cell())
  acknowledged = 0
  #next = 1
  #inFlight = 0
  #wake = (): void => {}
  #isBroken = false

  constructor(group: string, isQuiet: boolean, random: Random) {
    this.group = group
    this.#isQuiet = isQuiet
    this.#random = random
  }

  async run(port: number): Promise<void> {
    this.#isBroken = false
    this.#inFlight = 0
    const client = await Client.connect({ host: '127.0.0.1', port, maxInFlight: IN_FLIGHT })
    try {
      while (!this.#isBroken) {
        if (this.#inFlight >= IN_FLIGHT) {
          await new Promise<void>(resolve => {
            this.#wake = resolve
          })
        }
        this.#sendOne(client)
        if (this.#isQuiet) await sleep(QUIET_MS)
        else if (this.#random.chance(0.3)) await new Promise(resolve => setImmediate(resolve))
      }
    } finally {
      await client.close()
    }
  }

  #sendOne(client: Client): void {
    const dice = this.#random.next()
    if (dice < 0.01) this.#deleteGroup(client)
    else if (dice < 0.05) this.#deleteOffset(client, this.#random.below(PARTITIONS))
    else this.#commit(client)
  }

  #commit(client: Client): void {
    const first = this.#random.below(PARTITIONS)
    const count = 1 + this.#random.below(PARTITIONS - first)
    const value = this.#next++
    const cells = this.#cells.slice(first, first + count)
    const partitions = cells.map((_, i) => ({ partitionIndex: first + i, committedOffset: value }))
    const topics = [{ name: 'topic', partitions }]
    const answer = client.send(offsetCommitApi, 8, { groupId: this.group, topics })
    this.#track(cells, value, answer, ({ topics: [topic] }) =>
      topic!.partitions.map(p => p.errorCode),
    )
  }

  #deleteOffset(client: Client, partitionIndex: number): void {
    const topics = [{ name: 'topic', partitions: [{ partitionIndex }] }]
    const answer = client.send(offsetDeleteApi, 0, { groupId: this.group, topics })
    this.#track([this.#cells[partitionIndex]!], -1, answer, ({ errorCode }) => [errorCode])
  }

  #deleteGroup(client: Client): void {
    const answer = client.send(deleteGroupsApi, 2, { groupsNames: [this.group] })
    this.#track(this.#cells, -1, answer, ({ results }) => [results[0]!.errorCode])
  }

  #track<R>(
    cells: readonly Cell[],
    value: number,
    answer: Promise<R>,
    codesOf: (answer: R) => number[],
  ): void {
    for (const cell of cells) cell.send(value)
    this.#inFlight++
    answer.then(
      result => {
        this.#inFlight--
        // A group that is not there has nothing, which is what was asked for.
        const fine: number[] = [ErrorCode.NONE, ErrorCode.GROUP_ID_NOT_FOUND]
        const bad = codesOf(result).find(code => !fine.includes(code))
        if (bad !== undefined) throw new Error(`${this.group} was answered ${errorName(bad)}`)
        for (const cell of cells) cell.acknowledge(value)
        this.acknowledged++
        this.#wake()
      },
      error => {
        this.#isBroken = true
        this.#wake()
        if (!(error instanceof ClientError)) throw error
      },
    )
  }

  /** @returns what broke a promise */
  async check(client: Client): Promise<string[]> {
    const topics = [{ name: 'topic', partitionIndexes: this.#cells.map((_, i) => i) }]
    const answer = await client.send(offsetFetchApi, 7, { groupId: this.group, topics })
    return answer.topics[0]!.partitions.flatMap(({ partitionIndex, committedOffset }) => {
      const cell = this.#cells[partitionIndex]!
      const expected = String(cell)
      if (cell.settle(committedOffset)) return []
      return [`${this.group}, partition ${partitionIndex}: ${committedOffset}, not ${expected}`]
    })
  }
}

export interface CommitReport {
  readonly cycles: number
  readonly acknowledged: number
  readonly violations: readonly string[]
}

/** Kills a broker amid commits, deletions and rewrites of its group logs, and compares what is there after each restart. */
export async function runCommitKills(options: {
  cycles: number
  seed: number
  mutant?: string
  log?: (line: string) => void
}): Promise<CommitReport> {
  const edits = options.mutant === undefined ? [] : commitMutants[options.mutant]!
  const root = buildCopy(['build:esm'], [SMALL_LOGS, ...edits])
  const dir = mkdtempSync(join(tmpdir(), 'odradek-commits-'))
  const random = new Random(options.seed)
  const committers = Array.from(
    { length: GROUPS },
    (_, i) => new Committer(`group${i}`, i % 2 === 0, random),
  )
  const overrides = ['offsets.topic.num.partitions=4', 'odradek.journal.bytes=8388608']
  const violations: string[] = []
  let cycles = 0
  let broker = await BrokerProcess.start({ root, dir, overrides })
  try {
    await createTopic(broker.port)
    while (cycles < options.cycles && violations.length === 0) {
      const load = committers.map(committer => committer.run(broker.port))
      await sleep(KILL_MS_MIN + random.below(KILL_MS_MAX - KILL_MS_MIN))
      await broker.kill()
      await Promise.allSettled(load)
      broker = await BrokerProcess.start({ root, dir, overrides })
      await using client = await Client.connect({ host: '127.0.0.1', port: broker.port })
      for (const committer of committers) violations.push(...(await committer.check(client)))
      cycles++
      if (cycles % 10 === 0) options.log?.(`${cycles} cycles`)
    }
  } finally {
    await broker.kill()
    rmSync(root, { recursive: true })
    rmSync(dir, { recursive: true })
  }
  const acknowledged = committers.reduce((sum, committer) => sum + committer.acknowledged, 0)
  return { cycles, acknowledged, violations }
}

async function createTopic(port: number): Promise<void> {
  await using client = await Client.connect({ host: '127.0.0.1', port })
  const topic = { name: 'topic', numPartitions: PARTITIONS, replicationFactor: 1 }
  await client.send(createTopicsApi, 5, { topics: [topic] })
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      cycles: { type: 'string', default: '20' },
      seed: { type: 'string', default: String(Date.now() % 1_000_000) },
      mutant: { type: 'string' },
    },
  })
  const seed = Number(values.seed)
  const { mutant } = values
  const report = await runCommitKills({
    cycles: Number(values.cycles),
    seed,
    log: console.log,
    ...(mutant === undefined ? {} : { mutant }),
  })
  const { cycles, acknowledged, violations } = report
  console.log(`${cycles} kills with seed ${seed}: ${acknowledged} commits acknowledged`)
  for (const violation of violations.slice(0, 20)) console.log(`VIOLATION ${violation}`)
  console.log(`${violations.length} violations`)
  process.exitCode = violations.length === 0 ? 0 : 1
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main()
