import { type Command, Option } from 'commander'
import { ErrorCode } from '../../protocol/error-codes.ts'
import { Cluster } from '../base/cluster.ts'
import { expectNone } from '../base/failure.ts'
import {
  type ClusterFlags,
  clusterCommand,
  collectPairs,
  examples,
  integer,
  repeated,
} from '../base/options.ts'
import { plural, print } from '../base/output.ts'
import { createTopics, whenThere } from '../base/topics.ts'

interface CreateFlags extends ClusterFlags {
  /** -1: what the broker has as its default. */
  readonly partitions: number
  readonly replicas: number
  readonly config: readonly (readonly [string, string])[]
  readonly ifNotExists?: boolean
}

export function defineCreate(topic: Command): void {
  const command = clusterCommand(topic, 'create <topics...>', 'create topics')
    .addOption(counted('-p, --partitions <count>', 'how many', 1_000_000))
    .addOption(counted('-r, --replicas <count>', 'copies of each', 32_767))
    .addOption(repeated('-c, --config <name=value>', 'a topic config', collectPairs))
    .option('--if-not-exists', 'a topic that exists is no error, and stays as it is')
    .option('--json', 'print JSON')
    .action(create)
  examples(
    command,
    'odradek topic create orders -p 6',
    'odradek topic create users -c cleanup.policy=compact --if-not-exists',
  )
}

/** -1 leaves it to the broker. */
const counted = (flags: string, description: string, max: number): Option =>
  new Option(flags, description).argParser(integer(1, max)).default(-1, "the broker's")

async function create(names: string[], flags: CreateFlags): Promise<void> {
  await using cluster = await Cluster.connect(flags)
  const configs = flags.config.map(([name, value]) => ({ name, value }))
  const { partitions: numPartitions, replicas: replicationFactor } = flags
  const topics = await createTopics(cluster, names, { numPartitions, replicationFactor, configs })
  const created = new Set<string>()
  for (const { name, errorCode, errorMessage } of topics) {
    if (flags.ifNotExists && errorCode === ErrorCode.TOPIC_ALREADY_EXISTS) continue
    expectNone(errorCode, `topic ${name} is not created`, errorMessage)
    created.add(name)
  }
  const found = await Promise.all(
    names.map(async name => {
      const { topicId: id, partitions } = await whenThere(cluster, name)
      return { name, id, partitions: partitions.length, created: created.has(name) }
    }),
  )
  print(flags.json, found, () =>
    found
      .map(t => {
        const what = t.created ? 'created' : 'exists already'
        return `${t.name} ${what}: ${plural(t.partitions, 'partition')}, id ${t.id}`
      })
      .join('\n'),
  )
}
