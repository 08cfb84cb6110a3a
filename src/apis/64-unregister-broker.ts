/**
 * UnregisterBroker (64), version 0: forgets a broker that is gone for good. One that is there is refused, and so is one that has
 * replicas.
 */
import { unregisterBrokerApi } from '../protocol/messages/64-unregister-broker.ts'
import { defineApi } from './handler.ts'
import { outcomeOf } from './topic-checks.ts'

export const unregisterBroker = defineApi(unregisterBrokerApi, async ({ brokerId }, { broker }) => {
  return { body: await outcomeOf(() => broker.cluster.unregister(brokerId), broker) }
})
