import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { Client } from '../../src/client/client.ts'
import { createTopicsApi } from '../../src/protocol/messages/19-create-topics.ts'
import { BrokerProcess } from '../lib/broker-process.ts'
import { buildCopy } from '../lib/build-copy.ts'
import { Random } from '../lib/random.ts'
import { type Kind, StormGroup } from './storm/group.ts'
import { now } from './storm/ledger.ts'
import { HEARTBEAT_MS, SESSION_MS } from './storm/member.ts'
import { stormMutants } from './storm/mutants.ts'
import { StormProducer } from './storm/producer.ts'
import { Report } from './storm/report.ts'

const PARTITIONS = 6
/** For so long records still come when the storm is over. */
const AFTER_MS = 1_000

/** What the groups consume, and who is in them. */
const GROUPS: readonly { id: string; kind: Kind; topics: readonly string[] }[] = [
  { id: 'classic', kind: 'classic', topics: ['storm-a', 'storm-b', 'storm-c'] },
  { id: 'consumer', kind: 'consumer', topics: ['storm-a', 'storm-b', 'storm-c'] },
  { id: 'consumer-too', kind: 'consumer', topics: ['storm-b', 'storm-c'] },
  { id: 'mixed', kind: 'mixed', topics: ['storm-a', 'storm-b', 'storm-c'] },
  { id: 'mixed-too', kind: 'mixed', topics: ['storm-a', 'storm-b'] },
  { id: 'mixed-three', kind: 'mixed', topics: ['storm-a', 'storm-c'] },
]
const TOPICS = ['storm-a', 'storm-b', 'storm-c']

const OVERRIDES = [
  'group.min.session.timeout.ms=500',
  'group.initial.rebalance.delay.ms=300',
  `group.consumer.min.session.timeout.ms=${SESSION_MS}`,
  `group.consumer.session.timeout.ms=${SESSION_MS}`,
  `group.consumer.min.heartbeat.interval.ms=${HEARTBEAT_MS}`,
  `group.consumer.heartbeat.interval.ms=${HEARTBEAT_MS}`,
  'offsets.topic.num.partitions=4',
  'odradek.journal.bytes=8388608',
]

export interface StormOptions {
  readonly storms: number
  readonly seconds: number
  /** Of the first storm; each one after it has the next one. */
  readonly seed: number
  /** A bug to plant: see storm/mutants.ts. */
  readonly mutant?: string
  readonly log?: (line: string) => void
}

export interface StormReport {
  readonly storms: number
  readonly counts: ReadonlyMap<string, number>
  /** ms from the end of a storm until the slowest group was stable. */
  readonly slowestMs: number
  /** What broke a promise; the run ends with the storm in which it was broken. */
  readonly violations: readonly string[]
  /** What happened in that storm. */
  readonly trace: readonly string[]
}

/**
 * Lets members of several groups join, leave, die, freeze, and change what they consume and how they speak, while records are
 * written, and checks: nothing is lost, nothing is skipped past a commit, nothing is owned twice, nobody who was overtaken
 * commits, and soon after it all every group is stable.
 */
export async function runStorms(options: StormOptions): Promise<StormReport> {
  const { mutant, seed } = options
  const edits = mutant === undefined ? [] : stormMutants[mutant]
  if (edits === undefined) {
    throw new Error(`no mutant ${mutant}; there are ${Object.keys(stormMutants).join(', ')}`)
  }
  const root = buildCopy(['build:esm'], edits)
  const counts = new Map<string, number>()
  let slowestMs = 0
  let storms = 0
  let report = new Report()
  try {
    while (storms < options.storms && report.violations.length === 0) {
      report = new Report()
      const ms = await runStorm(root, seed + storms, options.seconds, report)
      slowestMs = Math.max(slowestMs, ms)
      for (const [what, count] of report.counts) counts.set(what, (counts.get(what) ?? 0) + count)
      options.log?.(`storm ${seed + storms}: stable after ${Math.round(ms)} ms`)
      storms++
    }
  } finally {
    rmSync(root, { recursive: true })
  }
  const { violations, lines } = report
  return { storms, counts, slowestMs, violations, trace: lines }
}

/** @returns ms until all groups were stable */
async function runStorm(
  root: string,
  seed: number,
  seconds: number,
  report: Report,
): Promise<number> {
  const dir = mkdtempSync(join(tmpdir(), 'odradek-storm-'))
  const broker = await BrokerProcess.start({ root, dir, overrides: OVERRIDES })
  try {
    const random = new Random(seed)
    await using client = await broker.connect(8)
    const topicIds = await createTopics(client)
    const groups = GROUPS.map(({ id, kind, topics }) => {
      const ids = new Map(topics.map(name => [name, topicIds.get(name)!]))
      const own = new Random(random.below(2 ** 31))
      const { port } = broker
      return new StormGroup({
        ...{ id, kind, port, topicIds: ids, partitions: PARTITIONS, random: own, report },
      })
    })
    const producer = new StormProducer(client, TOPICS, PARTITIONS, random, report)
    const producing = producer.run()
    const until = now() + seconds * 1000
    await Promise.all(groups.map(group => group.storm(until)))
    await Promise.all(groups.map(group => group.end()))
    setTimeout(() => producer.stop(), AFTER_MS)
    const times = await Promise.all(groups.map(group => group.settle(client)))
    await producing
    if (report.violations.length === 0) {
      await Promise.all(groups.map(group => group.drain(client, producer.ends)))
    }
    for (const group of groups) group.stop()
    await checkBroker(broker, report)
    return Math.max(...times)
  } catch (error) {
    report.violate(`the storm cannot go on: ${(error as Error).message}`)
    return Number.NaN
  } finally {
    await broker.remove()
  }
}

async function createTopics(client: Client): Promise<Map<string, string>> {
  const topics = TOPICS.map(name => ({ name, numPartitions: PARTITIONS, replicationFactor: 1 }))
  const answer = await client.send(createTopicsApi, 7, { topics })
  const failed = answer.topics.filter(topic => topic.errorCode !== 0)
  if (failed.length > 0) throw new Error(`cannot make topics: ${JSON.stringify(failed)}`)
  return new Map(answer.topics.map(({ name, topicId }) => [name, topicId]))
}

/** It lives, it has nothing to complain of, and it stops when told to. */
async function checkBroker(broker: BrokerProcess, report: Report): Promise<void> {
  if (broker.hasEnded) report.violate('the broker has ended')
  const ended = await broker.stop()
  if (ended.code !== 0) report.violate(`SIGTERM ended the broker with ${JSON.stringify(ended)}`)
  const complaints = broker.output.split('\n').filter(line => /"level":"(error|fatal)"/.test(line))
  for (const line of complaints.slice(0, 5)) report.violate(`the broker logs ${line}`)
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      storms: { type: 'string', default: '1' },
      seconds: { type: 'string', default: '60' },
      seed: { type: 'string', default: String(Date.now() % 1_000_000) },
      mutant: { type: 'string' },
      /** A file for what happened in the storm that broke a promise. */
      trace: { type: 'string' },
    },
  })
  const { mutant, trace } = values
  const seed = Number(values.seed)
  const started = now()
  const report = await runStorms({
    ...{ storms: Number(values.storms), seconds: Number(values.seconds), seed },
    log: console.log,
    ...(mutant === undefined ? {} : { mutant }),
  })
  const { storms, counts, slowestMs, violations } = report
  const took = Math.round((now() - started) / 1000)
  const totals = [...counts].map(([what, count]) => `${count} ${what}`).join(', ')
  console.log(`${storms} storms in ${took} s from seed ${seed}: ${totals}`)
  console.log(`slowest to be stable: ${Math.round(slowestMs)} ms`)
  if (trace !== undefined) writeFileSync(trace, `${report.trace.join('\n')}\n`)
  for (const violation of violations.slice(0, 20)) console.log(`VIOLATION ${violation}`)
  console.log(`${violations.length} violations`)
  process.exitCode = violations.length === 0 ? 0 : 1
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main()
