import type { ReadConfigName } from './broker.ts'
import { readConfigs } from './broker.ts'
import { type ConfigValues, firstProblem } from './definition.ts'
import { type BrokerConfigView, brokerValue, textOf } from './values.ts'

/** Configs of one group, by the names that Kafka has for those of the consumer protocol (GroupConfig.java). */
export const groupConfigs = {
  'consumer.session.timeout.ms': {
    ...readConfigs['group.consumer.session.timeout.ms'],
    documentation: 'Milliseconds without a heartbeat after which a member is removed.',
  },
  'consumer.heartbeat.interval.ms': {
    ...readConfigs['group.consumer.heartbeat.interval.ms'],
    documentation: 'Milliseconds between two heartbeats, as members are told.',
  },
  'consumer.assignment.interval.ms': readConfigs['group.consumer.assignment.interval.ms'],
}

export type GroupConfigName = keyof typeof groupConfigs

/** The broker config that holds for groups without their own. */
export function groupBrokerKey(name: GroupConfigName): ReadConfigName {
  return `group.${name}`
}

/** One config of a group, typed. */
export function groupValue<K extends GroupConfigName>(
  name: K,
  overrides: ConfigValues,
  view: BrokerConfigView,
): number {
  const own = textOf(overrides, name)
  return Number(own === undefined ? brokerValue(groupBrokerKey(name), view) : own)
}

/** Null, or one sentence that names the key, the value and what is allowed (for INVALID_CONFIG). */
export function validateGroupConfigs(values: ConfigValues, view: BrokerConfigView): string | null {
  const problem = firstProblem(values, groupConfigs, 'group')
  if (problem !== null) return problem
  for (const name of ['session.timeout.ms', 'heartbeat.interval.ms'] as const) {
    const value = groupValue(`consumer.${name}`, values, view)
    const min = brokerValue(`group.consumer.min.${name}`, view)
    const max = brokerValue(`group.consumer.max.${name}`, view)
    if (value < min || value > max) {
      return `consumer.${name} must be from ${min} to ${max}, as group.consumer.min.${name} and group.consumer.max.${name} allow, not ${value}.`
    }
  }
  return null
}
