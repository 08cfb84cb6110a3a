export type { Appended, AppendRecord, Bytes } from '../embedded/append.ts'
export type { ReadOptions, ReadRecord, UnreadableBatch } from '../embedded/read.ts'
export type { SubscribeOptions, Subscription } from '../embedded/subscribe.ts'
// Not only for convenience: in CommonJS each entry of the package has classes of its own, and `instanceof` needs these.
export { BrokerError, InvalidOption, ListenError } from '../errors.ts'
export type { Logger } from '../logger.ts'
export type { BrokerOptions } from '../options.ts'
export type { ErrorName } from '../protocol/error-codes.ts'
export {
  startTestCluster,
  type TestCluster,
  type TestClusterOptions,
} from './cluster/test-cluster.ts'
export type { TopicSeed } from './content.ts'
export { type WaitOptions, WaitTimeout } from './deadline.ts'
export type { Fault, FaultOptions } from './faults/fault.ts'
export type { ApiName, Release } from './releases.ts'
export { startTestBroker, type TestBroker, type TestBrokerOptions } from './test-broker.ts'
export type { GroupMember, GroupWaitOptions, StableGroup } from './wait-for-group.ts'
export type { MessageWaitOptions } from './wait-for-messages.ts'
