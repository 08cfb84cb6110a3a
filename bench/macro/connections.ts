import { setTimeout as delay } from 'node:timers/promises'
import type { Client } from '../../src/client/client.ts'
import { metadataApi } from '../../src/protocol/messages/03-metadata.ts'
import { BrokerProcess } from '../../test/lib/broker-process.ts'
import type { Bench } from '../harness.ts'

const LARGE = { connections: 5_000, idleMs: 20_000 }
const TINY = { connections: 20, idleMs: 50 }
/** Opened at once. */
const AT_ONCE = 100
/** Sent and answered on each connection before it is idle: its buffers have been made by then. */
const REQUESTS = 2

/** What connections cost that have done something and are idle: memory each, and CPU of all. */
export const connections: Bench = async ({ tiny }) => {
  const { connections: count, idleMs } = tiny ? TINY : LARGE
  await using broker = await BrokerProcess.start({ fromSource: tiny })
  const clients: Client[] = []
  // The first ones pay for what all of them share.
  await open(broker, AT_ONCE, clients)
  const before = broker.residentKb
  for (let more = count; more > 0; more -= AT_ONCE) {
    await open(broker, Math.min(more, AT_ONCE), clients)
  }
  await delay(idleMs / 4)
  const kB = ((broker.residentKb - before) * 1024) / 1000 / count
  const cpu = broker.cpuSeconds
  await delay(idleMs)
  const idleCpu = ((broker.cpuSeconds - cpu) / idleMs) * 100_000
  for (const client of clients) await client.close()
  const numbers = { each_kB: kB, 'idle_cpu_%': idleCpu }
  return [{ bench: 'connections', parameters: `${count} idle connections`, numbers }]
}

async function open(broker: BrokerProcess, count: number, clients: Client[]): Promise<void> {
  const opened = await Promise.all(Array.from({ length: count }, () => broker.connect(1)))
  for (let i = 0; i < REQUESTS; i++) {
    await Promise.all(opened.map(client => client.send(metadataApi, 9, { topics: [] })))
  }
  clients.push(...opened)
}
