import { percentiles } from '../harness.ts'
import { cpuSeconds, type Measured, makeTopic, residentMb } from './clusters.ts'
import { type RawLoad, rawLoad } from './raw-load.ts'

const IDLE_MS = 20_000
const IDLE_PARTITIONS = 1_000

type Numbers = Readonly<Record<string, number>>
export type Row = (measured: Measured, run: string) => Promise<Numbers>

type Size = Omit<RawLoad, 'topic' | 'leaders'> & { readonly partitions: number }

const small = { records: 1, valueBytes: 100 }
const sizes: Readonly<Record<string, Size>> = {
  bulk: {
    ...{ records: 64, valueBytes: 1024, partitions: 6 },
    ...{ connections: 2, inFlight: 5, requests: 3_000 },
  },
  small: { ...small, partitions: 6, connections: 2, inFlight: 16, requests: 60_000 },
  ping: { ...small, partitions: 1, connections: 1, inFlight: 1, requests: 2_000 },
  parts1000: { ...small, partitions: 1_000, connections: 2, inFlight: 16, requests: 40_000 },
}

function producing({ partitions, ...size }: Size): Row {
  return async (measured, topic) => {
    const leaders = await makeTopic(measured, topic, partitions)
    const before = cpuSeconds(measured)
    const { seconds, bytes, latenciesMs } = await rawLoad({ ...size, topic, leaders })
    const cpu_s = cpuSeconds(measured) - before
    const rates = { 'MB/s': bytes / seconds / 1e6, 'req/s': latenciesMs.length / seconds }
    const { p50_ms, p99_ms } = percentiles(latenciesMs)
    return { ...rates, p50_ms: p50_ms!, p99_ms: p99_ms!, cpu_s }
  }
}

/** Nothing happens, with 1,000 partitions of three replicas and what earlier rows have made: CPU in percent, memory of the largest broker. */
const idle: Row = async (measured, topic) => {
  await makeTopic(measured, topic, IDLE_PARTITIONS)
  await new Promise(resolve => setTimeout(resolve, IDLE_MS))
  const before = cpuSeconds(measured)
  await new Promise(resolve => setTimeout(resolve, IDLE_MS))
  const percent = ((cpuSeconds(measured) - before) * 100_000) / IDLE_MS
  return { 'cpu_%_a_broker': percent / 3, resident_mb: residentMb(measured) }
}

export const rows: Readonly<Record<string, Row>> = {
  ...Object.fromEntries(Object.entries(sizes).map(([name, size]) => [name, producing(size)])),
  idle,
}
