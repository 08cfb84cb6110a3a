import type { Client } from '../../client/client.ts'
import * as batch from '../../protocol/record-batch.ts'
import type { Cluster, TopicMetadata } from '../base/cluster.ts'
import { CliError, expectNone } from '../base/failure.ts'
import { fetchNext, type Range, wholeBatches } from '../base/fetch.ts'
import { showProgress } from '../base/progress.ts'
import type { Stop } from '../base/stop.ts'
import { rangesOf } from '../topic/ranges.ts'
import { Connections } from './connections.ts'
import type { Tally } from './tally.ts'
import { type Amount, sideBySide } from './turns.ts'

/** All partitions of an answer together. */
const FETCH_BYTES_MAX = 64 * 1024 * 1024

export interface ConsumeLoad {
  readonly amount: Amount
  readonly connections: number
  /** Of a partition in one answer. */
  readonly fetchBytes: number
}

/** Reads what the topic has now, from its beginning; each connection reads partitions of its own, one fetch at a time. */
export async function benchConsume(
  cluster: Cluster,
  topic: TopicMetadata,
  load: ConsumeLoad,
  stop: Stop,
  newTally: () => Tally,
): Promise<void> {
  const asked = { start: 'beginning', exitAtEnd: true } as const
  const ranges = (await rangesOf(cluster, topic, asked)).filter(r => r.offset < r.end)
  const there = ranges.reduce((sum, range) => sum + range.end - range.offset, 0)
  if (there === 0) throw new CliError(`topic ${topic.name} has no records to read`)
  const count = Math.min(load.connections, ranges.length)
  await using connections = await Connections.open(cluster, topic, count, 1)
  const tally = newTally()
  const { records = there, seconds } = load.amount
  const amount = { ...(seconds && { seconds }), records: Math.min(records, there) }
  using _progress = showProgress(() => tally.done(amount))
  const isOver = (): boolean =>
    stop.isSet ||
    tally.records >= records ||
    (seconds !== undefined && tally.elapsedSeconds >= seconds)
  const lanes = connections.all.flatMap((toLeaders, i) => {
    const own = ranges.filter((_, at) => at % count === i)
    return [...toLeaders].map(([leader, client]) => {
      const ofLeader = own.filter(range => range.leaderId === leader)
      return drain(cluster, client, ofLeader, load.fetchBytes, tally, isOver)
    })
  })
  await sideBySide(lanes, stop)
}

async function drain(
  cluster: Cluster,
  client: Client,
  ranges: readonly Range[],
  partitionMaxBytes: number,
  tally: Tally,
  isOver: () => boolean,
): Promise<void> {
  for (let turn = 0; !isOver(); turn++) {
    const open = ranges
      .filter(range => range.offset < range.end)
      .map(range => ({ range, from: range.offset }))
    if (open.length === 0) return
    const sentMs = performance.now()
    const bytes = { maxBytes: FETCH_BYTES_MAX, partitionMaxBytes }
    const answers = await fetchNext(cluster, client, open, turn, bytes)
    const passed = { records: 0, bytes: 0 }
    for (const { range, data } of answers) {
      expectNone(data.errorCode, `${range.topic} partition ${range.partition}`)
      if (data.records !== null) pass(range, data.records, passed)
    }
    if (passed.bytes > 0) tally.add(passed.records, passed.bytes, sentMs)
  }
}

/** Goes past the whole batches of an answer, and counts what is in them. */
function pass(range: Range, records: Buffer, passed: { records: number; bytes: number }): void {
  for (const whole of wholeBatches(records)) {
    if (batch.magic(whole) !== batch.MAGIC_V2) {
      throw new CliError(`partition ${range.partition} has batches of before Kafka 0.11`)
    }
    if (!batch.isControl(batch.attributes(whole))) passed.records += batch.recordsCount(whole)
    passed.bytes += whole.length
    range.offset = Math.max(range.offset, batch.lastOffset(whole) + 1)
  }
}
