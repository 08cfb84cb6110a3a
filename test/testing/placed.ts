import type { ReadOptions, ReadRecord } from '../../src/index.ts'
import type { TestCluster } from '../../src/testing/index.ts'

export const SOON = { timeout: 20_000 }
let topics = 0

/** A topic whose partitions have these replicas, the first of which leads; known to all brokers. */
export async function topicOn(
  cluster: TestCluster,
  ...assignments: readonly (readonly number[])[]
): Promise<string> {
  const name = `t${topics++}`
  const { registry } = cluster.broker(1).node
  const to = { replicationFactor: -1, assignments }
  await registry.create(name, assignments.length, {}, '', undefined, to)
  for (let i = 0; i < assignments.length; i++) await cluster.waitForIsr(name, i, SOON)
  return name
}

/** What a broker's embedded API reads of it up to its end. */
export async function readOn(
  cluster: TestCluster,
  id: number,
  topic: string,
  options: ReadOptions = {},
): Promise<ReadRecord[]> {
  const records: ReadRecord[] = []
  const all = cluster.broker(id).read(topic, { until: 'end', ...options })
  for await (const record of all) records.push(record)
  return records
}
