/**
 * ListConfigResources (74), versions 0-1: topics, this broker, and the groups and subscriptions of client metrics that have
 * configs of their own. Version 0 asks for client metrics only.
 */
import { ErrorCode } from '../protocol/error-codes.ts'
import { listConfigResourcesApi } from '../protocol/messages/74-list-config-resources.ts'
import { MISSING, ResourceType } from './config-resources.ts'
import { defineApi, type RequestContext } from './handler.ts'

/** All that clients may ask for (ConfigResource.java); of broker loggers there are none here. */
const KINDS: ReadonlySet<number> = new Set([...Object.values(ResourceType), ...MISSING.keys()])

export const listConfigResources = defineApi(listConfigResourcesApi, (request, context) => {
  const kinds = kindsOf(request.resourceTypes, context.version)
  if ([...kinds].some(kind => !KINDS.has(kind))) {
    return { body: { errorCode: ErrorCode.UNSUPPORTED_VERSION, configResources: [] } }
  }
  const configResources = [...kinds].flatMap(resourceType =>
    namesOf(resourceType, context).map(resourceName => ({ resourceName, resourceType })),
  )
  return { body: { configResources } }
})

function kindsOf(asked: readonly number[], version: number): ReadonlySet<number> {
  if (version === 0) return new Set([ResourceType.CLIENT_METRICS])
  return asked.length === 0 ? KINDS : new Set(asked)
}

function namesOf(kind: number, { broker }: RequestContext): string[] {
  switch (kind) {
    case ResourceType.TOPIC:
      return [...broker.registry.topics].map(({ name }) => name)
    case ResourceType.BROKER:
      return [String(broker.nodeId)]
    case ResourceType.GROUP:
      return [...broker.groupConfigs.names]
    case ResourceType.CLIENT_METRICS:
      return [...broker.clientMetrics.names]
    default:
      return []
  }
}
