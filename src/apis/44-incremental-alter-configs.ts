/**
 * IncrementalAlterConfigs (44), versions 0-1: sets and deletes single configs of topics and brokers, and appends to and
 * subtracts from lists. Broker changes reach at once the topics that do not override them.
 * Deviations from Kafka: unknown broker configs are refused instead of kept for plugins; an unknown operation refuses its
 * resource (INVALID_REQUEST) instead of failing the whole request.
 */
import { applyIncremental } from '../configs/alter.ts'
import { incrementalAlterConfigsApi } from '../protocol/messages/44-incremental-alter-configs.ts'
import { alterResources } from './config-resources.ts'
import { defineApi } from './handler.ts'

export const incrementalAlterConfigs = defineApi(
  incrementalAlterConfigsApi,
  async (request, context) => {
    const { resources, validateOnly } = request
    const responses = await alterResources(
      resources,
      ({ configs }) => {
        const operations = configs.map(({ name, configOperation, value }) => ({
          name,
          operation: configOperation,
          value,
        }))
        return (current, definitions) => applyIncremental(current, operations, definitions)
      },
      validateOnly,
      context,
    )
    return { body: { responses } }
  },
)
