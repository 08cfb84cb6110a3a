import type { BrokerNode } from '../broker.ts'
import { ALL_BROKERS } from '../configs/dynamic.ts'
import { brokerValue, validateTopicConfigs } from '../configs/values.ts'
import type { Appended, Appender, AppendRecord } from '../embedded/append.ts'
import { BrokerError } from '../errors.ts'
import { ErrorCode } from '../protocol/error-codes.ts'

/** A topic to be made and filled: its records, or these with what the topic is to be like. */
export type TopicSeed =
  | readonly AppendRecord[]
  | {
      /** num.partitions by default. */
      readonly partitions?: number
      /** Kafka's topic configs. */
      readonly configs?: Readonly<Record<string, string>>
      readonly records?: readonly AppendRecord[]
    }

/** Makes the topics and appends their records, flushed when it resolves. @returns where each record is, by topic */
export async function seed<Name extends string>(
  node: BrokerNode,
  appender: Appender,
  topics: Readonly<Record<Name, TopicSeed>>,
): Promise<Record<Name, Appended[]>> {
  const entries = Object.entries(topics) as [Name, TopicSeed][]
  const done = entries.map(async ([name, given]) => {
    const { partitions, configs, records = [] } = 'length' in given ? { records: given } : given
    const isPlain = partitions === undefined && configs === undefined
    if (!isPlain || node.registry.topic(name) === undefined) {
      await create(node, name, partitions, configs)
    }
    return [name, await appender.append(name, records)]
  })
  return Object.fromEntries(await Promise.all(done))
}

async function create(
  node: BrokerNode,
  name: string,
  partitions = brokerValue('num.partitions', node.configs.view),
  configs: Readonly<Record<string, string>> = {},
): Promise<void> {
  const problem = validateTopicConfigs(configs, node.configs.view)
  if (problem !== null) throw new BrokerError(ErrorCode.INVALID_CONFIG, problem)
  if (!Number.isInteger(partitions) || partitions < 1) {
    const message = `Topic '${name}' needs at least 1 partition, not ${partitions}.`
    throw new BrokerError(ErrorCode.INVALID_PARTITIONS, message)
  }
  await node.registry.create(name, partitions, configs)
}

/** Takes away all topics, groups and configs that were set while running. */
export async function reset(node: BrokerNode): Promise<void> {
  const { registry, configs, groupConfigs, clientMetrics } = node
  await Promise.all([...registry.topics].map(topic => registry.delete(topic)))
  for (const named of [groupConfigs, clientMetrics]) {
    for (const name of [...named.names]) await named.change(name, () => ({}))
  }
  for (const broker of [String(node.nodeId), ALL_BROKERS]) {
    if (Object.keys(configs.current(broker)).length > 0) await configs.change(broker, () => ({}))
  }
}
