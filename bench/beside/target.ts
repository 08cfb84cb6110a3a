import { readFileSync } from 'node:fs'
import { Client } from '../../src/client/client.ts'
import { createTopicsApi } from '../../src/protocol/messages/19-create-topics.ts'

/** Of /proc: one CPU tick in seconds, one page in bytes. */
const TICK = 1 / 100
const PAGE = 4096

/** A broker that is measured: ours or another, on this machine. */
export interface Target {
  readonly host: string
  readonly port: number
  /** For CPU and memory. */
  readonly pid: number
}

export function connect(target: Target, maxInFlight = 64): Promise<Client> {
  const { host, port } = target
  return Client.connect({ host, port, maxInFlight, requestTimeoutMs: 120_000 })
}

/** CPU seconds used so far. */
export function cpuSeconds({ pid }: Target): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) * TICK
}

/** Resident memory in MB. */
export function residentMb({ pid }: Target): number {
  return (Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1]) * PAGE) / 1e6
}

export async function makeTopic(
  target: Target,
  name: string,
  numPartitions: number,
): Promise<void> {
  await using client = await connect(target)
  const topic = { name, numPartitions, replicationFactor: 1 }
  const { topics } = await client.send(createTopicsApi, 5, { topics: [topic], timeoutMs: 60_000 })
  const { errorCode, errorMessage } = topics[0]!
  if (errorCode !== 0) throw new Error(`create ${name}: ${errorMessage}`)
}
