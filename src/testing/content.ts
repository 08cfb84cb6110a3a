import type { BrokerNode } from '../broker.ts'
import type { ConfigValues } from '../configs/definition.ts'
import { ALL_BROKERS } from '../configs/dynamic.ts'
import { isOptionValue, OPTION_VALUES, type OptionValue, textOfValue } from '../configs/sources.ts'
import { brokerValue, validateTopicConfigs } from '../configs/values.ts'
import type { Appended, Appender, AppendRecord } from '../embedded/append.ts'
import { BrokerError } from '../errors.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import type { Topic } from '../topics/registry.ts'

/** A topic to be made and filled: its records, or these with what the topic is to be like. */
export type TopicSeed =
  | readonly AppendRecord[]
  | {
      /** num.partitions by default. */
      readonly partitions?: number
      /** Kafka's topic configs, as text or as what it stands for: `{ 'retention.ms': 1000 }`. */
      readonly configs?: Readonly<Record<string, OptionValue>>
      readonly records?: readonly AppendRecord[]
    }

/**
 * Makes the topics and appends their records, flushed when it resolves. @returns where each record is, by topic
 * @internal
 */
export async function seed<Name extends string>(
  node: BrokerNode,
  appender: Appender,
  topics: Readonly<Record<Name, TopicSeed>>,
): Promise<Record<Name, Appended[]>> {
  const entries = Object.entries(topics) as [Name, TopicSeed][]
  const done = entries.map(async ([name, given]) => {
    const { partitions, configs, records = [] } = 'length' in given ? { records: given } : given
    await make(node, name, { partitions, configs: configs && topicConfigTexts(configs) })
    return [name, await appender.append(name, records)]
  })
  return Object.fromEntries(await Promise.all(done))
}

/** As text, as tools give them. @throws TypeError */
function topicConfigTexts(configs: Readonly<Record<string, OptionValue>>): ConfigValues {
  const texts: Record<string, string> = {}
  for (const [name, value] of Object.entries(configs)) {
    if (value === undefined || value === null) continue
    if (!isOptionValue(value)) throw new TypeError(`configs.${name} must be ${OPTION_VALUES}`)
    texts[name] = textOfValue(value)
  }
  return texts
}

/**
 * A client that asks for a topic gets one (auto.create.topics.enable), be it in the moment between a reset and a seed. So what is
 * there as such a client would have made it, and empty, is no obstacle.
 */
function isAutoCreated(node: BrokerNode, { configs, partitions, partitionCount }: Topic): boolean {
  const count = brokerValue('num.partitions', node.configs.view)
  const isPlain = Object.keys(configs).length === 0 && partitionCount === count
  return isPlain && partitions.every(({ logEndOffset }) => logEndOffset === 0)
}

/** A topic that is told to be like this is made so; one of which nothing is told may be there already. */
async function make(
  node: BrokerNode,
  name: string,
  told: { readonly partitions?: number; readonly configs?: ConfigValues },
): Promise<void> {
  const { registry, configs: broker } = node
  const isAnyGood = told.partitions === undefined && told.configs === undefined
  const standard = brokerValue('num.partitions', broker.view)
  const { partitions = standard, configs = {} } = told
  const isStandard = partitions === standard && Object.keys(configs).length === 0
  const isThere = (): boolean => {
    const topic = registry.topic(name)
    return topic !== undefined && (isAnyGood || (isStandard && isAutoCreated(node, topic)))
  }
  if (isThere()) return
  const problem = validateTopicConfigs(configs, broker.view)
  if (problem !== null) throw new BrokerError(ErrorCode.INVALID_CONFIG, problem)
  try {
    // One that is as it is told to be is kept: another seed may be filling it.
    await registry.create(name, partitions, configs, '', topic => {
      return !isStandard && isAutoCreated(node, topic)
    })
  } catch (error) {
    // A client, or another seed, was faster.
    if (!isThere()) throw error
  }
}

/**
 * Takes away all topics, groups and configs that were set while running.
 * @internal
 */
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
