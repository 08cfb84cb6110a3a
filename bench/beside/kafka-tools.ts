import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { cpuSeconds, makeTopic, type Target } from './target.ts'

const PARTITIONS = 6
const run = promisify(execFile)

export interface ToolSize {
  readonly records: number
  readonly valueBytes: number
}

/** Runs a class of Kafka's tools: LIVE_TOOLS is the folder that `bash .ci/tools FOLDER` has filled. */
async function kafka(name: string, args: readonly string[]): Promise<string> {
  const tools = process.env.LIVE_TOOLS
  if (tools === undefined) throw new Error('LIVE_TOOLS must name the folder of .ci/tools')
  const java = ['-Xmx512m', '-cp', join(tools, 'kafka/*'), `org.apache.kafka.tools.${name}`]
  return (await run('java', [...java, ...args])).stdout
}

const addressOf = ({ host, port }: Target): string => `${host}:${port}`

/** kafka-producer-perf-test with acks=all, else as it comes; the topic is then read by kafka-consumer-perf-test, join and all. */
export async function measureTools(
  target: Target,
  { records, valueBytes }: ToolSize,
  topic: string,
): Promise<Record<string, number>> {
  await makeTopic(target, topic, PARTITIONS)
  const before = cpuSeconds(target)
  const produced = await kafka('ProducerPerformance', [
    ...['--topic', topic, '--num-records', String(records), '--record-size', String(valueBytes)],
    ...['--throughput', '-1', '--producer-props', 'acks=all'],
    `bootstrap.servers=${addressOf(target)}`,
  ])
  const between = cpuSeconds(target)
  const consumed = await kafka('ConsumerPerformance', [
    ...['--bootstrap-server', addressOf(target), '--topic', topic],
    ...['--group', topic, '--num-records', String(records)],
  ])
  const after = cpuSeconds(target)
  const sent = /([\d.]+) records\/sec .* ([\d.]+) ms 99th/.exec(produced.trim().split('\n').at(-1)!)
  // start, end, MB, MB/s, records, records/s, ms of the join, ms of fetching, MB/s and records/s of fetching
  const read = consumed.trim().split('\n').at(-1)!.split(', ')
  return {
    produced_per_s: Number(sent?.[1]),
    produce_p99_ms: Number(sent?.[2]),
    produce_cpu_s: between - before,
    consumed_per_s: Number(read[5]),
    join_ms: Number(read[6]),
    fetched_per_s: Number(read[9]),
    consume_cpu_s: after - between,
  }
}
