/**
 * DescribeConfigs (32), versions 1-4: configs of topics, groups, subscriptions of client metrics, this broker, and (broker "") of what
 * is set for all brokers.
 * Deviations from Kafka: no configs of broker loggers (INVALID_REQUEST), and a resource given twice is refused, which keeps
 * the answer in proportion to what exists.
 */
import {
  type ConfigEntry,
  type DescribeOptions,
  describeBrokerConfigs,
  describeClientMetrics,
  describeClusterConfigs,
  describeGroupConfigs,
  describeTopicConfigs,
} from '../configs/describe.ts'
import { ALL_BROKERS } from '../configs/dynamic.ts'
import { BrokerError, toKafkaError } from '../errors.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import { describeConfigsApi } from '../protocol/messages/32-describe-configs.ts'
import { type Resource, targetOf } from './config-resources.ts'
import { defineApi, type RequestContext } from './handler.ts'
import { NO_ERROR } from './topic-checks.ts'

type Broker = RequestContext['broker']

export const describeConfigs = defineApi(describeConfigsApi, async (request, { broker, pace }) => {
  const { includeSynonyms, includeDocumentation } = request
  const seen = new Set<string>()
  const results = []
  for (const { resourceType, resourceName, configurationKeys } of request.resources) {
    const resource = { resourceType, resourceName }
    const options = { names: configurationKeys, includeSynonyms, includeDocumentation }
    try {
      checkFirst(resource, seen)
      results.push({ ...NO_ERROR, ...resource, configs: describe(resource, options, broker) })
    } catch (error) {
      results.push({ ...toKafkaError(error, broker.log), ...resource, configs: [] })
    }
    await pace.rest()
  }
  return { body: { results } }
})

function checkFirst({ resourceType, resourceName }: Resource, seen: Set<string>): void {
  const key = `${resourceType} ${resourceName}`
  if (seen.has(key)) {
    throw new BrokerError(ErrorCode.INVALID_REQUEST, 'The resource is given twice.')
  }
  seen.add(key)
}

function describe(resource: Resource, options: DescribeOptions, broker: Broker): ConfigEntry[] {
  const target = targetOf(resource, broker)
  const { view } = broker.configs
  if (target.kind === 'topic') return describeTopicConfigs(target.topic.configs, view, options)
  if (target.kind === 'group') {
    return describeGroupConfigs(broker.groupConfigs.current(target.group) ?? {}, view, options)
  }
  if (target.kind === 'client metrics') {
    return describeClientMetrics(broker.clientMetrics.current(target.subscription) ?? {}, options)
  }
  if (target.broker === ALL_BROKERS) return describeClusterConfigs(view, options)
  return describeBrokerConfigs(view, options)
}
