import type { BrokerContext } from '../broker-context.ts'
import type { ConfigValues } from '../configs/definition.ts'
import { groupValue } from '../configs/group.ts'
import { GroupCoordinator } from './coordinator.ts'
import type { GroupSettings } from './group.ts'

/** Topics are matched anew when one is made or deleted, and after this time in any case; ms, as in Kafka. */
const REGEX_REFRESH_MS = 600_000
/**
 * A new group waits for a moment in which nobody joins, in ms, also where group.initial.rebalance.delay.ms is 0: members that
 * start together are in one generation then, as on Kafka, whose timer takes as long.
 */
const QUIET_MS = 5

/** The coordinator as a broker runs it: its settings are the broker's configs. */
export function makeCoordinator(broker: BrokerContext): GroupCoordinator {
  const { registry, tasks, log, options } = broker
  const { settings } = options
  return new GroupCoordinator({
    registry,
    tasks,
    log,
    batchBytesMax: options.limits.batchBytesMax,
    groupBytesMax: options.limits.groupBytesMax,
    offsetBytesMax: options.limits.offsetBytesMax,
    refusesAppends: () => broker.refusesAppends,
    leaderOf: (topic, index) => broker.cluster.place(topic, index).leader,
    settingsOf: settingsFrom(broker),
    offsetsTopic: () => ({
      partitions: settings.offsetsTopicNumPartitions,
      // Not fewer because brokers are still to come (KIP-115): its replicas are what all groups hang on for good.
      replicationFactor: broker.node === null ? 1 : settings.offsetsTopicReplicationFactor,
      configs: {
        'cleanup.policy': 'compact',
        'compression.type': 'producer',
        'segment.bytes': String(settings.offsetsTopicSegmentBytes),
      },
    }),
    retention: () => ({
      retentionMs: settings.offsetsRetentionMinutes * 60_000,
      checkIntervalMs: settings.offsetsRetentionCheckIntervalMs,
    }),
  })
}

/** Only what groups may have of their own is looked up anew: the rest cannot change while the broker runs. */
function settingsFrom({ options, groupConfigs, configs }: BrokerContext) {
  const { settings } = options
  const fixed = {
    sessionTimeoutMsMin: settings.groupMinSessionTimeoutMs,
    sessionTimeoutMsMax: settings.groupMaxSessionTimeoutMs,
    initialRebalanceDelayMs: Math.max(QUIET_MS, settings.groupInitialRebalanceDelayMs),
    sizeMax: settings.groupMaxSize,
    consumerSizeMax: settings.groupConsumerMaxSize,
    consumerAssignors: settings.groupConsumerAssignors,
    consumerMigrationPolicy: settings.groupConsumerMigrationPolicy,
    consumerRegexRefreshIntervalMs: REGEX_REFRESH_MS,
  }
  const withOwn = (own: ConfigValues): GroupSettings => ({
    ...fixed,
    consumerSessionTimeoutMs: groupValue('consumer.session.timeout.ms', own, configs.view),
    consumerHeartbeatIntervalMs: groupValue('consumer.heartbeat.interval.ms', own, configs.view),
  })
  const standard = withOwn({})
  return (groupId: string): GroupSettings => {
    const own = groupConfigs.current(groupId)
    return own === undefined ? standard : withOwn(own)
  }
}
