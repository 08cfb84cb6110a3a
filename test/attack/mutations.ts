/**
 * Requests that real clients have sent, mutated, against the built broker:
 * `npm run test:mutations -- --requests 1000000 [--seed N] [--traffic FILE]`. Others must be served meanwhile; after kill -9 the broker
 * must start, with all partitions online and what was acknowledged to others.
 *
 * `TRAFFIC=FILE npm run test:live` records what all clients of the live tests send.
 */

import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { BrokerProcess, type BrokerProcessOptions } from '../lib/broker-process.ts'
import { createTopic } from './attacks.ts'
import { Bytes, frame } from './bytes.ts'
import { HONEST, type Measured, sendAll, underAttack } from './measure.ts'
import { Peer } from './peer.ts'

/** Requests to one broker: then it is killed, starts again, and another takes its place. */
const ROUND = 50_000
const ROUND_MS_MAX = 600_000
const MUTATOR = fileURLToPath(new URL('mutator.ts', import.meta.url))
const RECORDED = fileURLToPath(new URL('traffic.txt', import.meta.url))
const LIST_OFFSETS = 2
/** In an answer to ListOffsets 1 about one partition of HONEST: its error, and behind it a timestamp and an offset. */
const ERROR_AT = 4 + 4 + 2 + HONEST.length + 4 + 4

export interface MutationOptions {
  readonly requests: number
  readonly seed: number
  /** A file of recorded requests. */
  readonly traffic?: string
  /** The folder that holds the broker's dist/; by default this repository. */
  readonly root?: string
  readonly log?: (line: string) => void
}

/** The end of the honest producer's log, as a client is told. */
async function honestEnd(broker: BrokerProcess): Promise<number> {
  const body = new Bytes().i32(-1).i32(1).string(HONEST).i32(1).i32(0).i64(-1)
  const peer = (await Peer.connect(broker.port)).read()
  peer.push(frame(LIST_OFFSETS, 1, body, false))
  await peer.until(1)
  peer.close()
  const error = peer.lastAnswer.readInt16BE(ERROR_AT)
  return error === 0 ? Number(peer.lastAnswer.readBigInt64BE(ERROR_AT + 2 + 8)) : -1
}

/** Starts on what the attack has left behind. */
async function startAgain(
  options: BrokerProcessOptions,
  { produced }: Measured,
): Promise<string[]> {
  const problems: string[] = []
  const broker = await BrokerProcess.start(options)
  try {
    const end = await honestEnd(broker)
    if (end < produced) problems.push(`${produced} acknowledged, ${end} there`)
    for (const line of broker.output.split('\n')) {
      if (/bug:|offline|damaged/.test(line)) problems.push(`after the start: ${line.slice(0, 500)}`)
    }
  } finally {
    await broker.kill()
  }
  return problems
}

async function round(options: MutationOptions, from: number, count: number): Promise<string[]> {
  const { seed, traffic = RECORDED, root, log } = options
  const how = root === undefined ? {} : { root }
  const broker = await BrokerProcess.start(how)
  try {
    await sendAll(broker, [createTopic(HONEST, 1)])
    const numbers = [broker.port, seed, from, count].map(String)
    const measured = await underAttack(broker, [MUTATOR, ...numbers, traffic], ROUND_MS_MAX)
    const { p99Ms, maxMs, idleMb, peakMb, produced } = measured
    log?.(
      `${count} requests from ${from}: ping p99 ${p99Ms.toFixed(1)} ms, max ${maxMs.toFixed(1)} ms, idle ${idleMb.toFixed(0)} MB, peak ${peakMb.toFixed(0)}, honest ${produced}`,
    )
    if (broker.hasEnded) return [...measured.problems]
    await broker.kill()
    return [...measured.problems, ...(await startAgain({ ...how, dir: broker.dir }, measured))]
  } finally {
    await broker.remove()
  }
}

/** @returns what went wrong */
export async function runMutations(options: MutationOptions): Promise<string[]> {
  const problems: string[] = []
  for (let from = 0; from < options.requests; from += ROUND) {
    problems.push(...(await round(options, from, Math.min(ROUND, options.requests - from))))
  }
  return problems
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      requests: { type: 'string', default: String(ROUND) },
      seed: { type: 'string', default: String(Date.now() % 1_000_000) },
      traffic: { type: 'string', default: RECORDED },
    },
  })
  const { traffic } = values
  const requests = Number(values.requests)
  console.log(`seed ${values.seed}`)
  const options = { requests, seed: Number(values.seed), traffic, log: console.log }
  const problems = await runMutations(options)
  for (const problem of problems) console.log(`FAIL ${problem}`)
  console.log(`${requests} requests, ${problems.length} failures`)
  process.exitCode = problems.length === 0 ? 0 : 1
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main()
