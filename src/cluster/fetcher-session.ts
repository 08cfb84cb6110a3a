import { byTopicId } from '../group-by.ts'
import { ErrorCode, errorName } from '../protocol/error-codes.ts'
import type { fetchResponse } from '../protocol/messages/01-fetch.ts'
import type { Decoded } from '../protocol/schema.ts'
import type { FetchAnswer, FollowerEffect } from '../replication/follower-effects.ts'
import { cutBatches, type FetchedBatch } from './batches.ts'
import type { HostedReplica } from './hosted-replica.ts'

export const FETCH_VERSION = 18
/** replica.fetch.wait.max.ms */
export const WAIT_MS = 500
/** replica.fetch.response.max.bytes and replica.fetch.max.bytes of Kafka. */
const ANSWER_BYTES_MAX = 10 * 1024 * 1024
const PARTITION_BYTES_MAX = 1024 * 1024
const EPOCH_MAX = 0x7fffffff

/** A partition that is to be asked for, as its machine wants it. */
export interface FetchWish {
  readonly replica: HostedReplica
  readonly effect: Extract<FollowerEffect<FetchedBatch>, { kind: 'fetch' }>
}

/**
 * What one connection asks of a leader (KIP-227, as cluster/replica-session.ts): each Fetch names what is new, and what was
 * named stays asked for until it is answered.
 */
export class FetcherSession {
  readonly #asked = new Map<string, FetchWish>()
  /** To be named by the next Fetch. */
  #news: readonly FetchWish[] = []
  readonly #forgotten = new Map<string, HostedReplica>()
  #id = 0
  #epoch = 0
  /** Under which it was named. */
  readonly brokerEpoch: number

  constructor(brokerEpoch: number) {
    this.brokerEpoch = brokerEpoch
  }

  /** Nothing is asked for. */
  get isEmpty(): boolean {
    return this.#asked.size === 0 && this.#forgotten.size === 0
  }

  get asked(): Iterable<FetchWish> {
    return this.#asked.values()
  }

  ask(wishes: readonly FetchWish[]): void {
    this.#news = wishes
    for (const wish of wishes) {
      this.#asked.set(wish.replica.key, wish)
      this.#forgotten.delete(wish.replica.key)
    }
  }

  /** It is not to be asked for any more. */
  forget(replica: HostedReplica): void {
    if (this.#asked.delete(replica.key)) this.#forgotten.set(replica.key, replica)
  }

  /** It has been answered. @returns what was asked for; undefined if that is forgotten */
  end(key: string): FetchWish | undefined {
    const wish = this.#asked.get(key)
    this.#asked.delete(key)
    return wish
  }

  /** @param incarnation of this process, in the place of the cluster id, which nothing else reads: the leader knows it by the registration */
  request(replicaId: number, incarnation: string) {
    const named = this.#news.filter(({ replica }) => this.#asked.has(replica.key))
    const forgotten = [...this.#forgotten.values()]
    this.#forgotten.clear()
    return {
      clusterId: incarnation,
      replicaState: { replicaId, replicaEpoch: this.brokerEpoch },
      ...{ maxWaitMs: WAIT_MS, minBytes: 1, maxBytes: ANSWER_BYTES_MAX },
      ...{ sessionId: this.#id, sessionEpoch: this.#epoch },
      topics: byTopicId(named, ({ replica }) => replica.partition.topicId, partitionOf),
      forgottenTopicsData: byTopicId(
        forgotten,
        ({ partition }) => partition.topicId,
        ({ partition }) => partition.index,
      ),
    }
  }

  /** @throws Error if the leader does not know the session */
  answered({ errorCode, sessionId }: Decoded<typeof fetchResponse>): void {
    if (errorCode !== ErrorCode.NONE)
      throw new Error(`a fetch was answered ${errorName(errorCode)}`)
    this.#id = sessionId
    this.#epoch = this.#epoch === EPOCH_MAX ? 1 : this.#epoch + 1
  }
}

function partitionOf({ replica, effect }: FetchWish) {
  return {
    partition: replica.partition.index,
    currentLeaderEpoch: effect.epoch,
    fetchOffset: effect.offset,
    lastFetchedEpoch: effect.lastEpoch,
    logStartOffset: effect.logStart,
    highWatermark: replica.machine.hw,
    partitionMaxBytes: PARTITION_BYTES_MAX,
  }
}

type PartitionAnswer = Decoded<typeof fetchResponse>['responses'][number]['partitions'][number]

export function answerOf(one: PartitionAnswer): FetchAnswer<FetchedBatch> {
  const { errorCode: error, logStartOffset: logStart, divergingEpoch: diverging } = one
  if (error !== ErrorCode.NONE) return { error, logStart }
  if (diverging.endOffset >= 0 || diverging.epoch >= 0) return { diverging }
  const batches = one.records === null ? [] : cutBatches(one.records)
  return { hw: one.highWatermark, logStart, batches }
}
