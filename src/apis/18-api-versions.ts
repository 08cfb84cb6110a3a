/**
 * ApiVersions (18), versions 0-5. Answers from the broker's API table, so only what is served is advertised; Produce from 0, though
 * 0-2 are refused: old librdkafka switches compression off otherwise (KAFKA-18659). Of
 * Kafka's features only those are told that mean something here: metadata.version, transaction.version and others do not.
 */
import { SUPPORTED_FEATURES } from '../cluster/features.ts'
import type { ClusterView } from '../cluster/view.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import { apiVersionsApi } from '../protocol/messages/18-api-versions.ts'
import { type ApiHandler, defineApi } from './handler.ts'

const SOFTWARE = /^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$/
const PRODUCE_KEY = 0
const SOFTWARE_SINCE = 3
const CLUSTER_SINCE = 5

export const apiVersions = defineApi(
  apiVersionsApi,
  (request, { version, broker, peer, clientId }) => {
    const named =
      version < SOFTWARE_SINCE ||
      (SOFTWARE.test(request.clientSoftwareName) && SOFTWARE.test(request.clientSoftwareVersion))
    if (!named) return { body: { errorCode: ErrorCode.INVALID_REQUEST } }
    if (version >= SOFTWARE_SINCE) {
      const { clientSoftwareName: software, clientSoftwareVersion: softwareVersion } = request
      broker.log.debug({ peer, clientId, software, softwareVersion }, 'a client says what it is')
    }
    if (version >= CLUSTER_SINCE && isForAnother(request, broker)) {
      return { body: { errorCode: ErrorCode.REBOOTSTRAP_REQUIRED } }
    }
    const served = Object.values(broker.apis) as ApiHandler[]
    const apiKeys = served.map(({ request: { apiKey }, min, max }) => ({
      apiKey,
      minVersion: apiKey === PRODUCE_KEY ? 0 : min,
      maxVersion: max,
    }))
    return { body: { errorCode: ErrorCode.NONE, apiKeys, ...featuresOf(broker) } }
  },
  { sideBySide: true },
)

function featuresOf({ cluster: { features } }: { readonly cluster: ClusterView }) {
  return {
    supportedFeatures: SUPPORTED_FEATURES,
    finalizedFeaturesEpoch: features.epoch,
    finalizedFeatures: Object.entries(features.levels).map(([name, level]) => ({
      name,
      maxVersionLevel: level,
      minVersionLevel: level,
    })),
  }
}

/** A client that was told another cluster or node lives here (KIP-1242). */
function isForAnother(
  request: { clusterId: string | null; nodeId: number },
  broker: { clusterId: string; nodeId: number },
): boolean {
  const { clusterId, nodeId } = request
  return (
    (clusterId !== null && clusterId !== broker.clusterId) ||
    (nodeId !== -1 && nodeId !== broker.nodeId)
  )
}
