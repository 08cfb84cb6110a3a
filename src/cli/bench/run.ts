import { Cluster } from '../base/cluster.ts'
import { CliError, usage } from '../base/failure.ts'
import { type ClusterFlags, CODECS } from '../base/options.ts'
import { print } from '../base/output.ts'
import { Stop } from '../base/stop.ts'
import { benchConsume } from './consume.ts'
import { withOwnTopic } from './own-topic.ts'
import { benchProduce } from './produce.ts'
import { type Phase, resultsTable, Tally } from './tally.ts'

export const RECORDS_DEFAULT = 1_000_000
export const PARTITIONS_DEFAULT = 6
export const BATCH_BYTES_MAX = 64 * 1024 * 1024
/** Of all requests under way together. */
const SENT_BYTES_MAX = 1024 * 1024 * 1024
/** 0 is not there: what is not answered cannot be measured. */
const ACKS: Readonly<Record<string, number>> = { all: -1, '1': 1 }

/** Each phase has its own; `connections` are those of both. */
export interface BenchFlags extends ClusterFlags {
  readonly topic?: string
  readonly records?: number
  readonly seconds?: number
  readonly connections: number
  readonly partitions?: number
  readonly replicas?: number
  readonly size: number
  readonly batch: number
  readonly inFlight: number
  readonly acks: string
  readonly compress: string
  readonly rate?: number
  readonly fetchBytes: number
}

export async function run(phases: readonly Phase[], flags: BenchFlags): Promise<void> {
  if (phases.includes('produce')) checkBytes(flags)
  using stop = new Stop()
  const use = (topic: string): Promise<void> => measure(topic, phases, flags, stop)
  if (flags.topic !== undefined) return await use(flags.topic)
  const { partitions = PARTITIONS_DEFAULT, replicas = -1 } = flags
  await withOwnTopic(flags, { partitions, replicas }, use)
}

function checkBytes({ size, batch, connections, inFlight }: BenchFlags): void {
  const bytes = size * batch
  if (bytes > BATCH_BYTES_MAX) {
    throw usage(
      `bench: --size times --batch is ${bytes} bytes, ${BATCH_BYTES_MAX} at most are allowed`,
    )
  }
  if (bytes * connections * inFlight > SENT_BYTES_MAX) {
    throw usage(
      `bench: --size times --batch times --connections times --in-flight is ${bytes * connections * inFlight} bytes, ${SENT_BYTES_MAX} at most are allowed`,
    )
  }
}

/** Prints what was measured, also if it ends early. */
async function measure(
  name: string,
  phases: readonly Phase[],
  flags: BenchFlags,
  stop: Stop,
): Promise<void> {
  const tallies = new Map<Phase, Tally>()
  try {
    for (const phase of phases) {
      if (!stop.isSet) await measurePhase(name, phase, flags, stop, tallies)
    }
  } finally {
    report(name, flags, tallies)
  }
  if (stop.isSet) throw new CliError('stopped before the end')
}

async function measurePhase(
  name: string,
  phase: Phase,
  flags: BenchFlags,
  stop: Stop,
  tallies: Map<Phase, Tally>,
): Promise<void> {
  await using cluster = await Cluster.connect(flags)
  const topic = await cluster.topic(name)
  const newTally = (): Tally => {
    const tally = new Tally()
    tallies.set(phase, tally)
    return tally
  }
  const { records, seconds, rate, connections, fetchBytes } = flags
  const all = records === undefined && seconds === undefined ? RECORDS_DEFAULT : records
  const amount = {
    ...(all === undefined ? {} : { records: all }),
    ...(seconds === undefined ? {} : { seconds }),
  }
  if (phase === 'consume') {
    return await benchConsume(cluster, topic, { amount, connections, fetchBytes }, stop, newTally)
  }
  const how = { acks: ACKS[flags.acks]!, codec: CODECS.indexOf(flags.compress), rate }
  await benchProduce(cluster, topic, { ...flags, ...how, amount }, stop, newTally)
}

function report(topic: string, flags: BenchFlags, tallies: ReadonlyMap<Phase, Tally>): void {
  const results = [...tallies]
    .filter(([, tally]) => tally.records > 0)
    .map(([phase, tally]) => tally.result(phase))
  if (results.length === 0) return
  const { size, batch, connections, inFlight, acks, compress, rate, fetchBytes } = flags
  const produce = { size, batch, inFlight, acks, compress, rate }
  const options = {
    connections,
    ...(tallies.has('produce') ? produce : {}),
    ...(tallies.has('consume') ? { fetchBytes } : {}),
  }
  print(flags.json, { topic, options, results }, () => resultsTable(results))
}
