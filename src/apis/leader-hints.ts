import { ErrorCode } from '../protocol/error-codes.ts'
import type { Topic } from '../topics/registry.ts'
import type { RequestContext } from './handler.ts'

/** Answers on which clients look for the leader: they are told where it is, if that is known (KIP-951). */
export const isAboutLeader = (errorCode: ErrorCode): boolean =>
  errorCode === ErrorCode.NOT_LEADER_OR_FOLLOWER || errorCode === ErrorCode.FENCED_LEADER_EPOCH

/** Who leads a partition, for an answer; and, gathered, where they are. */
export class LeaderHints {
  readonly #context: RequestContext
  readonly #leaders = new Set<number>()

  constructor(context: RequestContext) {
    this.#context = context
  }

  leaderOf(topic: Topic, index: number): { leaderId: number; leaderEpoch: number } {
    const { leader, epoch } = this.#context.broker.cluster.place(topic, index)
    this.#leaders.add(leader)
    return { leaderId: leader, leaderEpoch: epoch }
  }

  /** Of those that can be reached by the client's listener. */
  get endpoints() {
    if (this.#leaders.size === 0) return []
    const { broker, listener } = this.#context
    return broker.cluster.brokers(listener).filter(({ nodeId }) => this.#leaders.has(nodeId))
  }
}
