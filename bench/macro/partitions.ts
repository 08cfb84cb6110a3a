import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { BrokerProcess } from '../../test/lib/broker-process.ts'
import type { Bench } from '../harness.ts'
import { createTopic, type Load, produceLoad } from './load.ts'

const LARGE = { topics: 10, each: 1_000, batches: 40_000, settleMs: 15_000, idleMs: 20_000 }
const TINY = { topics: 2, each: 10, batches: 128, settleMs: 0, idleMs: 50 }
const FEW = 6

/** What many partitions cost: memory, open files, idle CPU, the rate of small requests, starts after a stop and after a kill. */
export const partitions: Bench = async ({ tiny }) => {
  const { topics, each, batches, settleMs, idleMs } = tiny ? TINY : LARGE
  let broker = await BrokerProcess.start({ fromSource: tiny })
  const numbers: Record<string, number> = {}
  const load = (topic: string, count: number, sent = batches) =>
    produceLoad(broker, { ...LOAD, topic, partitions: count, batches: sent })
  try {
    const client = await broker.connect(1)
    await createTopic(client, 'few', FEW, {})
    await load('few', FEW, batches / 4)
    const few = await load('few', FEW)
    const names = Array.from({ length: topics }, (_, i) => `many-${i}`)
    for (const name of names) await createTopic(client, name, each, {})
    await client.close()
    const writeAll = async (): Promise<void> => {
      for (const name of names) await load(name, each, each)
    }
    await writeAll()
    const many = await load(names[0]!, each)
    numbers.rate_x = few.seconds / many.seconds
    await delay(settleMs)
    const cpu = broker.cpuSeconds
    await delay(idleMs)
    numbers['idle_cpu_%'] = ((broker.cpuSeconds - cpu) / idleMs) * 100_000
    numbers.rss_MB = broker.residentKb / 1024
    numbers.open_files = readdirSync(`/proc/${broker.child.pid}/fd`).length
    await broker.stop()
    broker = await BrokerProcess.start({ fromSource: tiny, dir: broker.dir })
    numbers.start_ms = broker.readyMs
    await writeAll()
    broker.child.kill('SIGKILL')
    await once(broker.child, 'exit')
    broker = await BrokerProcess.start({ fromSource: tiny, dir: broker.dir })
    numbers.start_after_kill_ms = broker.readyMs
    return [{ bench: 'partitions', parameters: `${topics * each} partitions`, numbers }]
  } finally {
    await broker.remove()
  }
}

const LOAD: Omit<Load, 'topic' | 'partitions' | 'batches'> = {
  ...{ records: 1, valueBytes: 100, connections: 4, inFlight: 16, acks: -1 },
}
