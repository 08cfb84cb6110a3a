import { BrokerError } from '../../errors.ts'
import { byTopicId } from '../../group-by.ts'
import { ErrorCode } from '../../protocol/error-codes.ts'
import { type FetchResponse, fetchApi } from '../../protocol/messages/01-fetch.ts'
import { READ_BYTES } from '../partition-here.ts'
import type { Line } from './line.ts'

const FETCH_VERSION = 18
/** How long a leader waits for news: as long as whoever comes later may wait for a free connection. */
export const FETCH_WAIT_MS = 500
/** Of all partitions of one answer, if not one batch alone is larger. */
const ANSWER_BYTES_MAX = 4 * 1024 * 1024

export type Fetched = FetchResponse['responses'][number]['partitions'][number]

/** A partition that is to be read from some offset on. */
export interface FetchWish {
  readonly topicId: string
  readonly index: number
  readonly offset: number
  /** Told once: null if there is no answer. */
  done(answer: Fetched | null): void
}

/**
 * What is read of one other broker: all that is wished in a turn of the event loop is asked for together. A Fetch waits for news, so
 * that what is wished meanwhile leaves by another connection, or with the next one.
 */
export class PeerFetches {
  readonly #free: Line[]
  readonly #onBug: (error: unknown) => void
  #wishes: FetchWish[] = []
  #isSoon = false

  /** @param lines each of them for one Fetch at a time */
  constructor(lines: readonly Line[], onBug: (error: unknown) => void) {
    this.#free = [...lines]
    this.#onBug = onBug
  }

  wish(wish: FetchWish): void {
    this.#wishes.push(wish)
    this.#soon()
  }

  #soon(): void {
    if (this.#isSoon || this.#wishes.length === 0) return
    this.#isSoon = true
    setImmediate(() => {
      this.#isSoon = false
      const line = this.#free.pop()
      if (line !== undefined) void this.#fetch(line, this.#take())
    })
  }

  /** Each partition once: of several readers' offsets the others come with the next Fetch. */
  #take(): Map<string, FetchWish> {
    const taken = new Map<string, FetchWish>()
    const left: FetchWish[] = []
    for (const wish of this.#wishes) {
      const key = keyOf(wish)
      if (taken.has(key)) left.push(wish)
      else taken.set(key, wish)
    }
    this.#wishes = left
    this.#soon()
    return taken
  }

  async #fetch(line: Line, asked: ReadonlyMap<string, FetchWish>): Promise<void> {
    const left = new Map(asked)
    try {
      const { errorCode, responses } = await line.send(fetchApi, FETCH_VERSION, request(asked))
      if (errorCode !== ErrorCode.NONE) return
      for (const { topicId, partitions } of responses) {
        for (const answer of partitions) {
          const key = keyOf({ topicId, index: answer.partitionIndex })
          left.get(key)?.done(answer)
          left.delete(key)
        }
      }
    } catch (error) {
      if (!(error instanceof BrokerError)) this.#onBug(error)
    } finally {
      this.#free.push(line)
      for (const { done } of left.values()) done(null)
      this.#soon()
    }
  }
}

const keyOf = ({ topicId, index }: Pick<FetchWish, 'topicId' | 'index'>): string =>
  `${topicId} ${index}`

function request(asked: ReadonlyMap<string, FetchWish>) {
  return {
    maxWaitMs: FETCH_WAIT_MS,
    minBytes: 1,
    maxBytes: ANSWER_BYTES_MAX,
    topics: byTopicId(
      asked.values(),
      ({ topicId }) => topicId,
      ({ index, offset }) => ({
        partition: index,
        fetchOffset: offset,
        partitionMaxBytes: READ_BYTES,
      }),
    ),
  }
}
