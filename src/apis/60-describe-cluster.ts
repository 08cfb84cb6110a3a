/**
 * DescribeCluster (60), versions 0-2: the brokers that clients of this listener can reach, and fenced ones where they are asked
 * for. There is no listener for controllers, so that asking for their endpoints is a mismatch.
 */
import type { BrokerNodeView } from '../cluster/view.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import { describeClusterApi } from '../protocol/messages/60-describe-cluster.ts'
import { CLUSTER_OPERATIONS, OPERATIONS_NOT_ASKED } from './authorized-operations.ts'
import { defineApi } from './handler.ts'

const EndpointType = { BROKERS: 1, CONTROLLERS: 2 } as const

export const describeCluster = defineApi(describeClusterApi, (request, { broker, listener }) => {
  const { endpointType, includeClusterAuthorizedOperations, includeFencedBrokers } = request
  if (endpointType !== EndpointType.BROKERS) return { body: refusal(endpointType) }
  const { cluster, clusterId } = broker
  return {
    body: {
      clusterId,
      controllerId: cluster.controllerId,
      brokers: [
        ...cluster.brokers(listener).map(broker => toldOf(broker, false)),
        ...(includeFencedBrokers ? cluster.fencedBrokers(listener) : []).map(broker =>
          toldOf(broker, true),
        ),
      ],
      clusterAuthorizedOperations: includeClusterAuthorizedOperations
        ? CLUSTER_OPERATIONS
        : OPERATIONS_NOT_ASKED,
    },
  }
})

const toldOf = ({ nodeId, host, port, rack }: BrokerNodeView, isFenced: boolean) => ({
  brokerId: nodeId,
  host,
  port,
  rack,
  isFenced,
})

function refusal(endpointType: number) {
  if (endpointType === EndpointType.CONTROLLERS) {
    const errorMessage = 'This listener serves brokers; it does not know endpoints of controllers.'
    return { errorCode: ErrorCode.MISMATCHED_ENDPOINT_TYPE, errorMessage }
  }
  const errorMessage = `There is no endpoint type ${endpointType}.`
  return { errorCode: ErrorCode.UNSUPPORTED_ENDPOINT_TYPE, errorMessage }
}
