/**
 * ListConfigResources (74), versions 0-1: topics, this broker, and groups that have configs of their own. Version 0 asks for
 * client metrics only, which there are none of.
 */
import { ErrorCode } from '../protocol/error-codes.ts'
import { listConfigResourcesApi } from '../protocol/messages/74-list-config-resources.ts'
import { MISSING, ResourceType } from './config-resources.ts'
import { defineApi, type RequestContext } from './handler.ts'

/** All that clients may ask for (ConfigResource.java); of broker loggers and client metrics there are none here. */
const KINDS: ReadonlySet<number> = new Set([...Object.values(ResourceType), ...MISSING.keys()])

export const listConfigResources = defineApi(listConfigResourcesApi, (request, context) => {
  if (context.version === 0) return { body: { configResources: [] } }
  const kinds = new Set(request.resourceTypes.length === 0 ? KINDS : request.resourceTypes)
  if ([...kinds].some(kind => !KINDS.has(kind))) {
    return { body: { errorCode: ErrorCode.UNSUPPORTED_VERSION, configResources: [] } }
  }
  const configResources = [...kinds].flatMap(resourceType =>
    namesOf(resourceType, context).map(resourceName => ({ resourceName, resourceType })),
  )
  return { body: { configResources } }
})

function namesOf(kind: number, { broker }: RequestContext): string[] {
  switch (kind) {
    case ResourceType.TOPIC:
      return [...broker.registry.topics].map(({ name }) => name)
    case ResourceType.BROKER:
      return [String(broker.nodeId)]
    case ResourceType.GROUP:
      return [...broker.groupConfigs.groups]
    default:
      return []
  }
}
