import type { Client } from '../../client/client.ts'
import {
  type DescribeConfigsResponse,
  describeConfigsApi,
} from '../../protocol/messages/32-describe-configs.ts'
import { incrementalAlterConfigsApi } from '../../protocol/messages/44-incremental-alter-configs.ts'
import type { Cluster } from './cluster.ts'
import { expectNone } from './failure.ts'

/** Kafka's numbers of what has configs. */
export const RESOURCE = { topic: 2, broker: 4, group: 32 } as const
export type ResourceKind = keyof typeof RESOURCE

const SET = 0
const DELETE = 1

export type ConfigEntry = DescribeConfigsResponse['results'][number]['configs'][number]

/** Where a value comes from, by Kafka's numbers. */
const SOURCES: Readonly<Record<number, string>> = {
  1: 'topic',
  2: 'broker, dynamic',
  3: 'all brokers, dynamic',
  4: 'broker, static',
  5: 'default',
  8: 'group',
}
const DEFAULT_SOURCE = 5
const TOPIC_SOURCE = 1
const GROUP_SOURCE = 8

export const sourceOf = (entry: ConfigEntry): string =>
  SOURCES[entry.configSource] ?? `source ${entry.configSource}`
export const isDefault = (entry: ConfigEntry): boolean => entry.configSource === DEFAULT_SOURCE
/** Set on the topic or group itself, not on its broker. */
export const isOwn = ({ configSource }: ConfigEntry): boolean =>
  configSource === TOPIC_SOURCE || configSource === GROUP_SOURCE

/** Who answers for a resource: any broker, but for a broker only that one itself. */
function answering(cluster: Cluster, kind: ResourceKind, name: string): Promise<Client> {
  if (kind === 'broker' && name !== '') return cluster.broker(Number(name))
  return Promise.resolve(cluster.any)
}

/** @param keys names, or null for all */
export async function describeConfigs(
  cluster: Cluster,
  kind: ResourceKind,
  name: string,
  keys: readonly string[] | null = null,
): Promise<ConfigEntry[]> {
  const resource = { resourceType: RESOURCE[kind], resourceName: name, configurationKeys: keys }
  const client = await answering(cluster, kind, name)
  const { results } = await cluster.send(client, describeConfigsApi, { resources: [resource] })
  const { errorCode, errorMessage, configs } = results[0]!
  expectNone(errorCode, `configs of ${kind} ${name}`, errorMessage)
  return configs.sort((a, b) => (a.name < b.name ? -1 : 1))
}

/** The most that a batch of a topic may take. */
export async function messageBytesMax(cluster: Cluster, topic: string): Promise<number> {
  const [config] = await describeConfigs(cluster, 'topic', topic, ['max.message.bytes'])
  return Number(config?.value ?? Number.POSITIVE_INFINITY)
}

export interface ConfigChanges {
  readonly set?: readonly (readonly [string, string])[]
  readonly unset?: readonly string[]
}

export async function alterConfigs(
  cluster: Cluster,
  kind: ResourceKind,
  name: string,
  { set = [], unset = [] }: ConfigChanges,
): Promise<void> {
  const configs = [
    ...set.map(([name, value]) => ({ name, value, configOperation: SET })),
    ...unset.map(name => ({ name, value: null, configOperation: DELETE })),
  ]
  const resources = [{ resourceType: RESOURCE[kind], resourceName: name, configs }]
  const client = await answering(cluster, kind, name)
  const { responses } = await cluster.send(client, incrementalAlterConfigsApi, { resources })
  expectNone(responses[0]!.errorCode, `configs of ${kind} ${name}`, responses[0]!.errorMessage)
}
