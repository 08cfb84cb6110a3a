/**
 * ConsumerGroupHeartbeat (68), versions 0-1: the one request of the consumer protocol (KIP-848): joins, keeps up, reconciles,
 * leaves. An answer is sent when what it says is flushed.
 */
import { toKafkaError } from '../errors.ts'
import { consumerGroupHeartbeatApi } from '../protocol/messages/68-consumer-group-heartbeat.ts'
import { clientOf } from './groups.ts'
import { defineApi } from './handler.ts'

export const consumerGroupHeartbeat = defineApi(
  consumerGroupHeartbeatApi,
  async (request, context) => {
    const { groups, log } = context.broker
    try {
      return { body: await groups.consumerHeartbeat(request, clientOf(context)) }
    } catch (error) {
      return { body: toKafkaError(error, log) }
    }
  },
  { sideBySide: true },
)
