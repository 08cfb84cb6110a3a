import type { ConfigValues } from '../configs/definition.ts'
import type { TopicConfig } from '../configs/topic.ts'
import { type BrokerConfigView, brokerValue, resolveTopicConfig } from '../configs/values.ts'
import { BrokerError } from '../errors.ts'
import type { Compare } from '../metadata/store.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import { unfencedKey } from '../replication/next-state.ts'
import {
  PARTITION_PREFIX,
  type PartitionState,
  partitionKey,
  toRecord,
} from '../replication/partition-state.ts'
import type { Placement } from '../topics/topic-source.ts'
import type { Topic } from '../topics/topic-table.ts'
import type { ImageFeed } from './feed.ts'
import type { ClusterImage } from './image.ts'
import { placeWithOthers } from './placement.ts'
import { checkReplicas, propose, unknownOutcome } from './proposals.ts'

/** What leaders must go by of a topic's config: it stands in the records of its partitions. */
export const termsOf = (config: TopicConfig): Pick<PartitionState, 'min' | 'durable'> => ({
  min: Number(config.minInsyncReplicas),
  durable: Number(config.flushMessages) <= 1,
})

/** Of etcd's 128 changes in a transaction. */
const RECORDS_TOGETHER = 100
/** Brokers that come or go while records are written have them written anew, so often. */
const TRIES_MAX = 5

export interface TopicRecordsOptions {
  readonly image: ClusterImage
  readonly feed: ImageFeed
  readonly configView: () => BrokerConfigView
}

/** The partition records that topics come and go with: who gets a new partition, and what of a topic's configs stands in them. */
export class TopicRecords {
  readonly #o: TopicRecordsOptions

  constructor(options: TopicRecordsOptions) {
    this.#o = options
  }

  assign(partitions: number, { replicationFactor, assignments }: Placement) {
    const { image, configView } = this.#o
    if (assignments !== null) {
      this.#checkAssigned(partitions, assignments)
      return assignments
    }
    const usual = brokerValue('default.replication.factor', configView())
    const { nodes } = image
    // Nobody has asked for so many: as many as there can be.
    const factor = replicationFactor === -1 ? Math.min(usual, nodes.length) : replicationFactor
    const serving = image.brokers.filter(({ id }) => this.#isServing(id))
    const others = nodes
      .filter(id => !this.#isServing(id))
      .map(id => ({ id, rack: image.broker(id)?.rack ?? null }))
    const below = (bound: number): number => Math.floor(Math.random() * bound)
    const placed = placeWithOthers(serving, others, partitions, factor, below)
    if (placed !== null) return placed
    const message =
      serving.length === 0
        ? 'No broker can take replicas now.'
        : `The replication factor ${factor} is not from 1 to the number of registered brokers, ${nodes.length}.`
    throw new BrokerError(ErrorCode.INVALID_REPLICATION_FACTOR, message)
  }

  #checkAssigned(partitions: number, assignments: readonly (readonly number[])[]): void {
    const refuse = (message: string): never => {
      throw new BrokerError(ErrorCode.INVALID_REPLICA_ASSIGNMENT, message)
    }
    // Another broker may have added some since the request was looked at.
    if (assignments.length !== partitions) {
      refuse(`${partitions} partitions are to be made, but ${assignments.length} are assigned.`)
    }
    for (const replicas of assignments) {
      checkReplicas(replicas, this.#o.image)
      if (replicas.some(id => this.#isServing(id))) continue
      refuse(
        `None of the brokers that a partition is assigned to can serve now: ${replicas.join(', ')}.`,
      )
    }
  }

  /** It can be in sync from the start. */
  #isServing(id: number): boolean {
    const { image } = this.#o
    return image.unfenced(id) !== 0 && image.broker(id)?.draining !== true
  }

  /**
   * Those of new partitions, before the topic says that there are so many. What a failure leaves is nothing of what there is: records
   * of no topic, which the controller removes, or behind the last partition of one, where the next attempt writes over them.
   * @param guard the topic's key, if there is one, so that nothing is written that it has come to have meanwhile
   */
  async write(
    id: string,
    { from, guard }: { readonly from: number; readonly guard: Compare | null },
    placed: readonly (readonly number[])[],
    configs: ConfigValues,
  ): Promise<void> {
    const terms = termsOf(resolveTopicConfig(configs, this.#o.configView()))
    for (let at = 0; at < placed.length; at += RECORDS_TOGETHER) {
      const replicas = placed.slice(at, at + RECORDS_TOGETHER)
      await this.#writeSome(id, { from: from + at, guard }, replicas, terms)
    }
  }

  /** Who serves may have changed by the time that it is written: then others are in sync, or lead. */
  async #writeSome(
    id: string,
    { from, guard }: { readonly from: number; readonly guard: Compare | null },
    placed: readonly (readonly number[])[],
    terms: ReturnType<typeof termsOf>,
  ): Promise<void> {
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      const compares = new Map<string, Compare>()
      if (guard !== null) compares.set(guard.key, guard)
      const changes = placed.map((replicas, i) => {
        const value = toRecord({ ...this.#newPartition(replicas, compares), ...terms })
        return { key: partitionKey(id, from + i), value }
      })
      const { outcome } = await this.#o.feed.transact([...compares.values()], changes)
      if (outcome === 'applied') return
      if (outcome === 'unknown') throw unknownOutcome()
    }
    const message = 'The topic was changed, or a broker came or went, meanwhile: try again.'
    throw new BrokerError(ErrorCode.REQUEST_TIMED_OUT, message)
  }

  /** @param compares what must still hold when it is written is added to these */
  #newPartition(replicas: readonly number[], compares: Map<string, Compare>) {
    const { image } = this.#o
    const isr = replicas.filter(replica => this.#isServing(replica))
    for (const member of isr) {
      const key = unfencedKey(member)
      compares.set(key, { key, created: image.unfenced(member) })
    }
    const leader = isr[0] ?? -1
    return {
      ...{ replicas, isr, elr: [], adding: [], removing: [], leader, epoch: 0 },
      by: leader === -1 ? '' : image.broker(leader)!.incarnation,
      ...{ unclean: -1, revision: 0 },
    }
  }

  /** All of a topic that is not there any more, or never was. */
  remove(id: string): Promise<unknown> {
    return this.#o.feed.transact([], [{ prefix: `${PARTITION_PREFIX}${id}/`, value: null }])
  }

  /** What leaders must go by stands in the records too (min.insync.replicas, whether it is flushed). */
  async settle(topic: Topic): Promise<void> {
    const { image, feed } = this.#o
    const { min, durable } = termsOf(topic.config)
    for (const { key } of image.partitionsOf(topic.id)) {
      const state = image.partitionAt(key)
      if (state === null || (state.min === min && state.durable === durable)) continue
      await propose(feed, image, key, { min, durable })
    }
  }
}
