import { readFileSync } from 'node:fs'
import { Client } from '../../src/client/client.ts'
import { cpuSecondsOf } from '../../test/lib/child.ts'
import { createTopic } from '../macro/load.ts'

/** Of /proc, in bytes. */
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
export const cpuSeconds = ({ pid }: Target): number => cpuSecondsOf(pid)

/** Resident memory in MB. */
export function residentMb({ pid }: Pick<Target, 'pid'>): number {
  return (Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1]) * PAGE) / 1e6
}

export async function makeTopic(
  target: Target,
  name: string,
  numPartitions: number,
): Promise<void> {
  await using client = await connect(target)
  await createTopic(client, name, numPartitions, {})
}
