import { cluster } from './broker/cluster.ts'
import { engine } from './broker/engine.ts'
import { groups } from './broker/groups.ts'
import { identity } from './broker/identity.ts'
import { inCluster } from './broker/in-cluster.ts'
import { log } from './broker/log.ts'
import { network } from './broker/network.ts'
import { shareGroups, streamsGroups } from './broker/other-groups.ts'
import { remote } from './broker/remote.ts'
import { replication } from './broker/replication.ts'
import { sasl } from './broker/sasl.ts'
import { security } from './broker/security.ts'
import { topicDefaults, topics } from './broker/topics.ts'
import { transactions } from './broker/transactions.ts'
import type { CamelCase, ValueOf } from './definition.ts'

/** The broker configs that the code reads, and their neighbours. */
export const readConfigs = {
  ...identity,
  ...network,
  ...topics,
  ...topicDefaults,
  ...log,
  ...groups,
  ...engine,
  ...inCluster,
}

const allConfigs = () => ({
  ...readConfigs,
  ...cluster(),
  ...security(),
  ...sasl(),
  ...replication(),
  ...remote(),
  ...shareGroups(),
  ...streamsGroups(),
  ...transactions(),
})

export type BrokerConfigs = ReturnType<typeof allConfigs>
export type BrokerConfigName = keyof BrokerConfigs
export type ReadConfigName = keyof typeof readConfigs

let table: BrokerConfigs | undefined

/**
 * All broker configs of Kafka 4.3 and our own. What has no effect here says so and why; what must not be believed to have one is
 * refused. Names, types, ranges and, but for durability and addresses, defaults are Kafka's. Most of them nobody reads: so the
 * table is made when it is first asked for, which few starts do.
 */
export function brokerConfigs(): BrokerConfigs {
  table ??= allConfigs()
  return table
}

/** One of them. What the code reads is there without the table. */
export function brokerConfig<K extends BrokerConfigName>(name: K): BrokerConfigs[K] {
  const read: Partial<BrokerConfigs> = readConfigs
  return read[name] ?? brokerConfigs()[name]
}

/**
 * Broker configs as the code reads them: milliseconds, bytes and counts are numbers, unset is null.
 */
export type BrokerSettings = {
  readonly [K in ReadConfigName as CamelCase<K>]: ValueOf<(typeof readConfigs)[K]>
}

/**
 * Names that Kafka's own list does not have and yet takes: of one listener or of one plugin, and its internal ones. A file
 * that has them is understood, not obeyed.
 */
export const unlistedPrefixes: readonly string[] = [
  'allow.everyone.if.no.acl.found',
  'config.providers.',
  'confluent.',
  'controller.performance.',
  'group.consumer.regex.refresh.interval.ms',
  'group.share.initialize.retry.interval.ms',
  'group.share.persister.class.name',
  'internal.',
  'listener.name.',
  'log.initial.task.delay.ms',
  'producer.id.expiration.check.interval.ms',
  'remote.log.index.file.cache.ttl.ms',
  'remote.log.manager.task.retry.',
  'rlmm.config.',
  'rsm.config.',
  'server.max.startup.time.ms',
  'share.coordinator.cold.partition.snapshot.interval.ms',
  'share.coordinator.state.topic.prune.interval.ms',
  'super.users',
  'unclean.leader.election.interval.ms',
  'unstable.',
]

/** Names of older versions, most of them of ZooKeeper's time, that Kafka 4.3 does not have any more and passes over. */
export const gonePrefixes: readonly string[] = [
  'auto.include.jmx.reporter',
  'broker.id.generation.enable',
  'control.plane.listener.name',
  'delegation.token.master.key',
  'group.coordinator.new.enable',
  'inter.broker.protocol.version',
  'leader.imbalance.per.broker.percentage',
  'log.message.downconversion.enable',
  'log.message.format.version',
  'log.message.timestamp.difference.max.ms',
  'offsets.commit.required.acks',
  'password.encoder.',
  'reserved.broker.max.id',
  'zookeeper.',
]
