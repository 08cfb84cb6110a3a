/**
 * Sends the same group requests to Kafka and to us and compares every field of every answer: requests of many versions, with right
 * and wrong ids, to groups in every state; then random walks. Both brokers run already, with
 * group.initial.rebalance.delay.ms=0, Kafka also with group.consumer.assignment.interval.ms=0.
 *
 *   node --import tsx test/live/group-differential.ts --kafka HOST:PORT --ours HOST:PORT
 *     [--seed N] [--rounds N] [--only TEXT]   TEXT is part of a state or an API's name; without rounds no walks
 */
import { parseArgs } from 'node:util'
import { subscription } from '../apis/grouping.ts'
import { Random } from '../lib/random.ts'
import { ALLOWED } from './groups/on-purpose.ts'
import { PROBES, STATES } from './groups/probes.ts'
import { apiOf, Key, nameOf, Talk } from './groups/talk.ts'
import {
  type Body,
  type Pair,
  Side,
  type Step,
  type Tree,
  TwoBrokers,
} from './groups/two-brokers.ts'

const { values: flags } = parseArgs({
  options: {
    kafka: { type: 'string', default: '127.0.0.1:29592' },
    ours: { type: 'string', default: '127.0.0.1:9092' },
    seed: { type: 'string', default: '1' },
    rounds: { type: 'string', default: '0' },
    only: { type: 'string', default: '' },
  },
})

// Comparing.

/** @returns paths of fields that differ, with both values */
function differences(kafka: Tree | undefined, ours: Tree | undefined, path = ''): string[] {
  if (JSON.stringify(kafka) === JSON.stringify(ours)) return []
  const isObject = (tree: Tree | undefined): tree is Body =>
    typeof tree === 'object' && tree !== null
  const isSameShape =
    isObject(kafka) &&
    isObject(ours) &&
    Array.isArray(kafka) === Array.isArray(ours) &&
    (!Array.isArray(kafka) || kafka.length === (ours as unknown as Tree[]).length)
  if (isSameShape) {
    const names = [...new Set([...Object.keys(kafka), ...Object.keys(ours)])]
    return names.flatMap(name => differences(kafka[name], ours[name], `${path}.${name}`))
  }
  const text = (tree: Tree | undefined) => (tree === undefined ? 'parked' : JSON.stringify(tree))
  return [`${path} kafka ${text(kafka)} ours ${text(ours)}`]
}

class Report {
  answers = 0
  readonly #counts = new Map<string, { first: string; count: number; where: Set<string> }>()
  readonly #allowed = new Map<string, number>()

  /** @returns whether there is a difference, on purpose or not */
  add(where: string, history: readonly string[], pair: Pair, last: Step): boolean {
    this.answers++
    let any = false
    for (const difference of differences(pair.kafka, pair.ours)) {
      any = true
      const allowed = ALLOWED.find(one => one.is(pair, difference, last))
      if (allowed !== undefined) {
        this.#allowed.set(allowed.why, (this.#allowed.get(allowed.why) ?? 0) + 1)
        continue
      }
      const key = `${nameOf(pair.step.api)} ${difference.replaceAll(/x\w+-\d+/g, 'G')}`
      const known = this.#counts.get(key) ?? {
        first: history.join('\n      '),
        count: 0,
        where: new Set(),
      }
      known.count++
      known.where.add(where)
      this.#counts.set(key, known)
    }
    return any
  }

  print(): number {
    for (const [key, { first, count, where }] of this.#counts)
      console.log(`DIFFERENT ${count}x ${key}\n    in ${[...where].join(', ')}\n      ${first}`)
    for (const [why, count] of this.#allowed) console.log(`on purpose ${count}x ${why}`)
    console.log(`${this.answers} answers compared, ${this.#counts.size} kinds of differences`)
    return this.#counts.size
  }
}

// Every request in every state.

const VERSIONS: Readonly<Record<number, readonly number[]>> = {
  [Key.commit]: [2, 7, 8, 9, 10],
  [Key.fetch]: [1, 2, 7, 8, 9, 10],
  [Key.join]: [0, 3, 4, 5, 9],
  [Key.beat]: [0, 3, 4],
  [Key.leave]: [0, 3, 5],
  [Key.sync]: [0, 3, 5],
}
/** Those after which the group is not what it was, if they succeed. */
const CHANGING: ReadonlySet<number> = new Set([
  ...[Key.join, Key.leave, Key.sync, Key.delete, Key.forget, Key.consume],
])

type Served = ReadonlyMap<number, { min: number; max: number }>

function versionsOf(key: number, served: readonly Served[]): number[] {
  const ranges = [...served.map(one => one.get(key)!), apiOf(key).request.versions]
  const min = Math.max(...ranges.map(range => range.min))
  const max = Math.min(...ranges.map(range => range.max))
  const all = Array.from({ length: max - min + 1 }, (_, i) => min + i)
  return all.filter(version => VERSIONS[key]?.includes(version) ?? true)
}

async function probe(key: number, version: number, make: () => Promise<Talk>) {
  let talk = await make()
  for (let i = 0; ; i++) {
    const body = [...PROBES[key]!(talk)][i]
    if (body === undefined) return
    const length = talk.history.length
    const answer = await talk.send('q', key, version, body)
    const isChanged =
      CHANGING.has(key) &&
      (answer === undefined || /"errorCode":(0|79),?/.test(JSON.stringify(answer)))
    if (isChanged || talk.isDifferent) talk = await make()
    else talk.history.length = length
  }
}

// Random walks.

const STEPS = 60
const MEMBERS = ['a', 'b', 'c', 'd']
const PROTOCOLS = ['range', 'roundrobin', 'sticky']

/** One group whose members do what they should most of the time. Ends at the first difference. */
async function walk(talk: Talk, random: Random, served: readonly Served[]): Promise<void> {
  const speaksConsumer = new Set(MEMBERS.filter(() => random.chance(0.3)))
  for (let i = 0; i < STEPS && !talk.isDifferent; i++) {
    const member = random.pick(MEMBERS)
    const isOdd = random.chance(0.15)
    const known = talk.generation(member)
    const epoch = isOdd ? random.pick([-1, 0, known - 1, known + 1, 2 ** 31 - 1]) : known
    const instanceId = member === 'd' && !random.chance(0.1) ? 'i' : null
    const memberId = isOdd
      ? random.pick(['', 'nobody', talk.id(random.pick(MEMBERS))])
      : talk.id(member)
    const who = { memberId, groupInstanceId: instanceId }
    const topics = random.pick([['t1'], ['t1', 't2'], ['t2'], ['no', 't1']])
    const to = (key: number): number => random.pick(versionsOf(key, served))
    const says = speaksConsumer.has(member)
      ? [Key.consume, Key.consume, Key.consume, Key.commit]
      : [Key.join, Key.join, Key.sync, Key.sync, Key.beat]
    const key = random.pick([
      ...says,
      ...says,
      Key.commit,
      Key.leave,
      Key.fetch,
      Key.describe,
      Key.show,
      Key.list,
      Key.forget,
      Key.delete,
    ])
    if (key === Key.join) {
      const names = PROTOCOLS.filter(() => random.chance(0.7))
      const protocols = names.map(name => ({ name, metadata: subscription(...topics) }))
      await talk.join(
        member,
        { ...who, protocols, memberId: known === 0 && random.chance(0.5) ? '' : memberId },
        to(key),
      )
    } else if (key === Key.sync) {
      const assignments = MEMBERS.map(one => ({
        memberId: talk.id(one),
        assignment: Buffer.from(one),
      }))
      const named: Body = random.chance(0.9)
        ? { protocolType: 'consumer', protocolName: random.pick(PROTOCOLS) }
        : {}
      await talk.sync(member, { ...who, ...named, generationId: epoch, assignments }, to(key))
    } else if (key === Key.consume) {
      const memberEpoch = isOdd ? random.pick([0, -1, -2, epoch]) : epoch
      const owned = memberEpoch === 0 ? [] : random.pick([null, `+${talk.group}.${member}`])
      const change: Body =
        random.chance(0.3) || memberEpoch === 0 ? { subscribedTopicNames: topics } : {}
      await talk.consume(member, { memberEpoch, instanceId, topicPartitions: owned, ...change }, 1)
    } else if (key === Key.leave) {
      if (random.chance(0.5)) await talk.leave(member, who, to(key))
    } else if (key === Key.commit) {
      await talk.commit(member, { ...who, generationIdOrMemberEpoch: epoch }, to(key))
    } else if (key === Key.beat) {
      await talk.send(member, key, to(key), { ...who, generationId: epoch })
    } else {
      await talk.send(member, key, to(key), random.pick([...PROBES[key]!(talk)]))
    }
  }
}

async function main(): Promise<void> {
  const sides = [new Side('kafka', flags.kafka), new Side('ours', flags.ours)] as const
  const brokers = new TwoBrokers(...sides)
  const served = await Promise.all(sides.map(side => side.versions()))
  const report = new Report()
  process.once('SIGTERM', () => process.exit(report.print() + 1))
  const topics = ['t1', 't2'].map((name, i) => ({ name, numPartitions: 4 - i }))
  await Promise.all(sides.map(side => side.prepare(topics)))
  for (const [state, into] of Object.entries(STATES)) {
    for (const key of Object.keys(PROBES).map(Number)) {
      const what = `${state} ${nameOf(apiOf(key))}`
      if (!what.includes(flags.only)) continue
      for (const version of versionsOf(key, served)) {
        await probe(key, version, async () => {
          const talk = new Talk(brokers, (...args) => report.add(...args), `${what} v${version}`)
          await into(talk)
          return talk
        })
      }
    }
  }
  for (let round = 0; round < Number(flags.rounds); round++) {
    const seed = Number(flags.seed) + round
    const talk = new Talk(brokers, (...args) => report.add(...args), `walk ${seed}`)
    await walk(talk, new Random(seed), served)
  }
  await brokers.close()
  // Parked requests hold connections.
  process.exit(report.print() === 0 ? 0 : 1)
}

await main()
