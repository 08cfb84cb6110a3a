import { brokerConfigs } from '../configs/broker.ts'
import {
  checkClientMetrics,
  clientMetricsConfigs,
  matchPatterns,
} from '../configs/client-metrics.ts'
import type { ConfigValues, Definitions } from '../configs/definition.ts'
import { ALL_BROKERS } from '../configs/dynamic.ts'
import { groupConfigs, validateGroupConfigs } from '../configs/group.ts'
import { topicConfigs } from '../configs/topic.ts'
import { validateDynamicConfigs, validateTopicConfigs } from '../configs/values.ts'
import { BrokerError } from '../errors.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import type { Topic } from '../topics/registry.ts'
import { TaskPoolFull } from '../topics/task-pool.ts'
import type { RequestContext } from './handler.ts'
import { checkTopicName, duplicatesOf, outcomeOf } from './topic-checks.ts'

type Broker = RequestContext['broker']

/** Numbers of the kinds of resources that have configs (ConfigResource.java). */
export const ResourceType = { TOPIC: 2, BROKER: 4, CLIENT_METRICS: 16, GROUP: 32 } as const
/** Kinds that Kafka has configs for and this broker has not. */
export const MISSING: ReadonlyMap<number, string> = new Map([[8, 'broker loggers']])

export interface Resource {
  readonly resourceType: number
  readonly resourceName: string
}

/** Configs that a request may give for one resource: more than there are of any kind. */
const CONFIGS_MAX = 1_000

/** @throws BrokerError INVALID_REQUEST */
export function checkConfigCount(configs: readonly unknown[]): void {
  if (configs.length <= CONFIGS_MAX) return
  throw invalidRequest(
    `${configs.length} configs are given; ${CONFIGS_MAX} are more than there are.`,
  )
}

/** The values to be, from the ones that are; throws BrokerError if they cannot be made. */
export type Change = (current: ConfigValues, definitions: Definitions) => ConfigValues

const invalidRequest = (message: string) => new BrokerError(ErrorCode.INVALID_REQUEST, message)

/** What a resource of a request stands for; `broker` is the id in decimal, or ALL_BROKERS. */
export type Target =
  | { readonly kind: 'topic'; readonly topic: Topic }
  | { readonly kind: 'broker'; readonly broker: string }
  | { readonly kind: 'group'; readonly group: string }
  | { readonly kind: 'client metrics'; readonly subscription: string }

/**
 * Finds what a resource names.
 * @throws BrokerError INVALID_REQUEST, INVALID_TOPIC_EXCEPTION or UNKNOWN_TOPIC_OR_PARTITION
 */
export function targetOf({ resourceType, resourceName }: Resource, broker: Broker): Target {
  if (resourceType === ResourceType.TOPIC) {
    checkTopicName(resourceName)
    const topic = broker.registry.topic(resourceName)
    if (topic !== undefined) return { kind: 'topic', topic }
    const message = `There is no topic '${resourceName}'.`
    throw new BrokerError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, message)
  }
  if (resourceType === ResourceType.BROKER) {
    return { kind: 'broker', broker: checkBrokerName(resourceName, broker.nodeId) }
  }
  if (resourceType === ResourceType.GROUP) {
    if (resourceName === '') throw invalidRequest('A group has a name that is not empty.')
    return { kind: 'group', group: resourceName }
  }
  if (resourceType === ResourceType.CLIENT_METRICS) {
    if (resourceName === '') throw invalidRequest('A subscription has a name that is not empty.')
    return { kind: 'client metrics', subscription: resourceName }
  }
  const missing = MISSING.get(resourceType)
  throw invalidRequest(
    missing === undefined
      ? `There is no kind of config resource ${resourceType}.`
      : `This broker has no configs for ${missing}.`,
  )
}

function checkBrokerName(name: string, nodeId: number): string {
  if (name === ALL_BROKERS) return ALL_BROKERS
  if (!/^\d{1,10}$/.test(name)) throw invalidRequest(`A broker id is a number, not '${name}'.`)
  if (Number(name) === nodeId) return String(nodeId)
  throw invalidRequest(`This broker has the id ${nodeId}: ask broker ${name} itself.`)
}

/**
 * Changes the configs of every resource, one after the other. A resource takes its change as a whole or not at all;
 * what is wrong with one does not stop the others. A resource given twice is refused each time.
 */
export async function alterResources<R extends Resource & { readonly configs: readonly unknown[] }>(
  resources: readonly R[],
  changeOf: (resource: R) => Change,
  validateOnly: boolean,
  { broker, pace }: RequestContext,
) {
  const twice = await duplicatesOf(resources, pace, keyOf)
  const responses = []
  for (const resource of resources) {
    if (pace.isDue) await pace.rest()
    const outcome = await outcomeOf(() => {
      if (twice.has(keyOf(resource))) throw invalidRequest('The resource is given twice.')
      checkConfigCount(resource.configs)
      return alter(resource, changeOf(resource), validateOnly, broker)
    }, broker)
    const { resourceType, resourceName } = resource
    responses.push({ ...outcome, resourceType, resourceName })
  }
  return responses
}

const keyOf = ({ resourceType, resourceName }: Resource) => `${resourceType} ${resourceName}`

async function alter(resource: Resource, change: Change, validateOnly: boolean, broker: Broker) {
  // Among brokers the empty name means all of them; Kafka refuses it for topics as malformed, not as a bad name.
  if (resource.resourceType === ResourceType.TOPIC && resource.resourceName === '') {
    throw invalidRequest('Configs cannot be set for all topics at once.')
  }
  const target = targetOf(resource, broker)
  if (target.kind === 'topic') {
    const { topic } = target
    const checked = (current: ConfigValues) => newTopicConfigs(current, change, broker)
    if (validateOnly) checked(topic.configs)
    else await broker.registry.setConfigs(topic, checked)
    return
  }
  if (target.kind === 'group') {
    const { group } = target
    const checked = (current: ConfigValues) => newGroupConfigs(current, change, broker)
    if (validateOnly) checked(broker.groupConfigs.current(group) ?? {})
    else await broker.groupConfigs.change(group, checked)
    return
  }
  if (target.kind === 'client metrics') {
    await alterClientMetrics(target.subscription, change, validateOnly, broker)
    return
  }
  const checked = (current: ConfigValues) =>
    newBrokerConfigs(current, change, target.broker, broker)
  if (validateOnly) {
    checked(broker.configs.current(target.broker))
    return
  }
  await broker.configs.change(target.broker, checked)
  broker.log.info({ broker: target.broker }, 'broker configs changed')
  await broker.registry.reconfigure()
  await broker.node?.settle(broker.registry.topics)
}

async function alterClientMetrics(
  subscription: string,
  change: Change,
  validateOnly: boolean,
  broker: Broker,
): Promise<void> {
  const checked = (current: ConfigValues) => {
    const values = change(current, clientMetricsConfigs)
    checkClientMetrics(values)
    return values
  }
  const values = checked(broker.clientMetrics.current(subscription) ?? {})
  // On a thread of their own: hostile ones take long to compile.
  for (const pattern of matchPatterns(values)) {
    const problem = await broker.tasks.run('checkPattern', { pattern }).catch(tooMany)
    if (problem !== null) throw new BrokerError(ErrorCode.INVALID_CONFIG, problem)
  }
  if (!validateOnly) await broker.clientMetrics.change(subscription, checked)
}

function tooMany(error: unknown): never {
  if (!(error instanceof TaskPoolFull)) throw error
  throw new BrokerError(ErrorCode.REQUEST_TIMED_OUT, 'Too many patterns are being checked.')
}

function newTopicConfigs(current: ConfigValues, change: Change, broker: Broker): ConfigValues {
  const values = change(current, topicConfigs)
  const problem = validateTopicConfigs(values, broker.configs.view)
  if (problem !== null) throw new BrokerError(ErrorCode.INVALID_CONFIG, problem)
  return values
}

function newGroupConfigs(current: ConfigValues, change: Change, broker: Broker): ConfigValues {
  const values = change(current, groupConfigs)
  const problem = validateGroupConfigs(values, broker.configs.view)
  if (problem !== null) throw new BrokerError(ErrorCode.INVALID_CONFIG, problem)
  return values
}

function newBrokerConfigs(current: ConfigValues, change: Change, name: string, broker: Broker) {
  const values = change(current, brokerConfigs())
  const scope = name === ALL_BROKERS ? 'cluster-wide' : 'per-broker'
  const problem = validateDynamicConfigs(values, scope, broker.configs.view)
  if (problem !== null) throw invalidRequest(problem)
  return values
}
