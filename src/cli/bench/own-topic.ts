import { randomBytes } from 'node:crypto'
import { ErrorCode } from '../../protocol/error-codes.ts'
import { Cluster } from '../base/cluster.ts'
import { CliError, EXIT, expectNone } from '../base/failure.ts'
import { LATEST, listOffsets } from '../base/offsets.ts'
import type { ClusterFlags } from '../base/options.ts'
import { createTopics, deleteTopics, whenThere } from '../base/topics.ts'

export interface OwnTopic {
  readonly partitions: number
  /** -1: what the broker has as its default. */
  readonly replicas: number
}

/** A new topic for as long as `use` runs, deleted however that ends. */
export async function withOwnTopic(
  flags: ClusterFlags,
  { partitions, replicas }: OwnTopic,
  use: (name: string) => Promise<void>,
): Promise<void> {
  const name = `odradek-bench-${randomBytes(4).toString('hex')}`
  // A cluster that cannot be reached has nothing to delete.
  await (await Cluster.connect(flags))[Symbol.asyncDispose]()
  try {
    await create(flags, name, { partitions, replicas })
    await use(name)
  } finally {
    await remove(flags, name)
  }
}

async function create(
  flags: ClusterFlags,
  name: string,
  { partitions, replicas }: OwnTopic,
): Promise<void> {
  await using cluster = await Cluster.connect(flags)
  const topic = { numPartitions: partitions, replicationFactor: replicas, configs: [] }
  const [created] = await createTopics(cluster, [name], topic)
  expectNone(created!.errorCode, `topic ${name} is not created`, created!.errorMessage)
  const found = await whenThere(cluster, name)
  let problem = ''
  // A leader may be the last one to hear that it is one.
  const areLed = async (): Promise<true | undefined> => {
    try {
      await listOffsets(cluster, found, LATEST)
      return true
    } catch (error) {
      if (!(error instanceof CliError)) throw error
      problem = error.message
      return undefined
    }
  }
  await cluster.until(areLed, () => problem)
}

/** By a new connection: a broker may have closed one that nobody used while the bench ran. Throws nothing. */
async function remove(flags: ClusterFlags, name: string): Promise<void> {
  try {
    await using cluster = await Cluster.connect(flags)
    const [deleted] = await deleteTopics(cluster, [name])
    if (deleted!.errorCode === ErrorCode.UNKNOWN_TOPIC_OR_PARTITION) return
    expectNone(deleted!.errorCode, 'the broker', deleted!.errorMessage)
  } catch (error) {
    const { message } = error as Error
    process.stderr.write(`odradek: topic ${name} is left, delete it: ${message}\n`)
    process.exitCode = EXIT.failed
  }
}
