import type { BrokerContext } from '../../broker-context.ts'
import type { ClusterNode } from '../../cluster/node.ts'
import { BrokerError } from '../../errors.ts'
import { ErrorCode } from '../../protocol/error-codes.ts'
import type { Topic } from '../../topics/registry.ts'
import { type Access, CLOSED, type GroupAccess, type PartitionAccess } from '../access.ts'
import { ClusterGroup } from './group.ts'
import { ClusterPartition } from './partition.ts'
import { Peers } from './peers.ts'
import { PartitionWriter } from './writer.ts'

/** Topics that this broker knows another one may not know yet, which passes. */
export function codeThere(code: ErrorCode): ErrorCode {
  const { UNKNOWN_TOPIC_ID, UNKNOWN_TOPIC_OR_PARTITION, LEADER_NOT_AVAILABLE } = ErrorCode
  const isUnknown = code === UNKNOWN_TOPIC_ID || code === UNKNOWN_TOPIC_OR_PARTITION
  return isUnknown ? LEADER_NOT_AVAILABLE : code
}

/** Of a broker in a cluster: what is here is used as it is, all else is asked of the broker that has it. */
export class ClusterAccess implements Access {
  readonly broker: BrokerContext
  readonly peers: Peers
  /** Aborted when the broker begins to stop: whoever waits is told so. */
  readonly closed: AbortSignal
  /** What ends those who wait when nothing is asked or answered any more. */
  readonly #waiting = new Set<() => void>()
  #isEnded = false
  /** One for each partition that has been appended to, by topic id and index. */
  readonly #writers = new Map<string, PartitionWriter>()

  constructor(broker: BrokerContext, node: ClusterNode, closed: AbortSignal) {
    this.broker = broker
    this.closed = closed
    this.peers = new Peers(node, broker.log)
  }

  /** The broker that leads it and is asked for it; -1: there is none now but, maybe, this one. */
  leaderOf(topic: Topic, index: number): number {
    const { leader } = this.broker.cluster.place(topic, index)
    return leader === this.broker.nodeId ? -1 : leader
  }

  partition(topic: Topic, index: number): PartitionAccess {
    return new ClusterPartition(this, topic, index)
  }

  writer(topic: Topic, index: number): PartitionWriter {
    const key = `${topic.id} ${index}`
    const known = this.#writers.get(key)
    if (known !== undefined) return known
    const writer = new PartitionWriter(this, topic, index)
    this.#writers.set(key, writer)
    return writer
  }

  /** The topic is gone. */
  forgetWriter({ id }: Topic, index: number): void {
    this.#writers.delete(`${id} ${index}`)
  }

  group(id: string): GroupAccess {
    return new ClusterGroup(this, id)
  }

  /**
   * What may never be answered once the broker is gone, as by a crash.
   * @throws BrokerError BROKER_NOT_AVAILABLE then
   */
  untilEnded<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const end = (): void => reject(new BrokerError(ErrorCode.BROKER_NOT_AVAILABLE, CLOSED))
      if (this.#isEnded) end()
      else this.#waiting.add(end)
      work.then(resolve, reject).finally(() => this.#waiting.delete(end))
    })
  }

  /** Ends all that is under way, here and at other brokers. */
  close(): Promise<void> {
    this.#isEnded = true
    for (const end of this.#waiting) end()
    return this.peers.close()
  }
}
