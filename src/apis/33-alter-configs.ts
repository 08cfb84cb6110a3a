/**
 * AlterConfigs (33), versions 0-2: replaces all that is set on a topic or broker; what is not named goes back to its
 * default. Broker changes reach at once the topics that do not override them.
 * Deviation from Kafka: unknown broker configs are refused instead of kept for plugins.
 */
import { BrokerError } from '../errors.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import { type AlterConfigsRequest, alterConfigsApi } from '../protocol/messages/33-alter-configs.ts'
import { alterResources, type Change } from './config-resources.ts'
import { defineApi } from './handler.ts'

type Config = AlterConfigsRequest['resources'][number]['configs'][number]

const invalidRequest = (message: string) => new BrokerError(ErrorCode.INVALID_REQUEST, message)

export const alterConfigs = defineApi(alterConfigsApi, async (request, context) => {
  const { resources, validateOnly } = request
  const change = ({ configs }: { configs: readonly Config[] }) => replacement(configs)
  return { body: { responses: await alterResources(resources, change, validateOnly, context) } }
})

function replacement(configs: readonly Config[]): Change {
  return () => {
    const given = new Map<string, string>()
    for (const { name, value } of configs) {
      if (given.has(name)) throw invalidRequest(`The config ${name} is given twice.`)
      if (value === null) throw invalidRequest(`The config ${name} has no value.`)
      given.set(name, value)
    }
    return Object.fromEntries(given)
  }
}
