import { BrokerProcess } from '../../test/lib/broker-process.ts'
import { type Bench, percentiles, type Row } from '../harness.ts'
import { createTopic, type Load, produceLoad } from './load.ts'

const PARTITIONS = 6
const FLUSHED = { 'flush.messages': '1' }
const UNFLUSHED = { 'flush.messages': '9223372036854775807' }

type Sweep = Omit<Load, 'topic' | 'partitions'> & { configs: Record<string, string> }

const base: Sweep = {
  records: 1,
  valueBytes: 100,
  connections: 4,
  inFlight: 16,
  batches: 40_000,
  acks: -1,
  configs: FLUSHED,
}

/** Batch sizes, acks, flushing and connections, one changed at a time. */
const sweeps: readonly Sweep[] = [
  base,
  { ...base, acks: 1 },
  { ...base, configs: UNFLUSHED },
  { ...base, connections: 1, inFlight: 1, batches: 2_000 },
  { ...base, connections: 64, inFlight: 1 },
  { ...base, records: 100, batches: 10_000 },
  { ...base, records: 64, valueBytes: 1024, inFlight: 5, batches: 4_000 },
  { ...base, records: 64, valueBytes: 1024, inFlight: 5, batches: 4_000, configs: UNFLUSHED },
]

/** Producing by raw TCP. */
export const produce: Bench = async size => {
  await using broker = await BrokerProcess.start({ fromSource: size.tiny })
  const rows: Row[] = []
  for (const [i, { configs, ...sweep }] of sweeps.entries()) {
    const topic = `produce-${i}`
    const client = await broker.connect(1)
    await createTopic(client, topic, PARTITIONS, configs)
    await client.close()
    const batches = size.tiny ? sweep.connections * sweep.inFlight * 2 : sweep.batches
    const load = { ...sweep, topic, partitions: PARTITIONS, batches }
    if (!size.tiny) await produceLoad(broker, { ...load, batches: Math.ceil(batches / 4) })
    const { seconds, bytes, latenciesMs, cpuSeconds } = await produceLoad(broker, load)
    const flushed = configs === FLUSHED ? 'flushed' : 'unflushed'
    rows.push({
      bench: 'produce',
      parameters: `${load.records} x ${load.valueBytes} B, ${load.connections} conns x ${load.inFlight}, acks ${load.acks}, ${flushed}`,
      numbers: {
        'req/s': batches / seconds,
        'MB/s': bytes / seconds / 1e6,
        ...percentiles(latenciesMs),
        cpu_s: cpuSeconds,
      },
    })
  }
  return rows
}
