import { checkBatch } from '../../apis/batch-checks.ts'
import { BrokerError } from '../../errors.ts'
import { ErrorCode, errorName } from '../../protocol/error-codes.ts'
import { produceApi } from '../../protocol/messages/00-produce.ts'
import { addSequence } from '../../protocol/record-batch.ts'
import type { NewRecord } from '../../protocol/records.ts'
import type { Partition } from '../../topics/partition.ts'
import type { Topic } from '../../topics/registry.ts'
import { CLOSED } from '../access.ts'
import { appendHere, encode, PRODUCE_VERSION } from '../partition-here.ts'
import { isPassing, pause, RETRY_MS, WAIT_MS_MAX } from '../patience.ts'
import { type ClusterAccess, codeThere } from './access.ts'

const ACKS_ALL = -1
/** Records of several appends that go together, by what they take themselves. */
const TOGETHER_BYTES_MAX = 256 * 1024
/** Appends that wait for the one that is under way; more are refused. */
const WAITING_MAX = 10_000

/** These say that nothing was appended; of others that pass nobody knows. */
const SURELY_NOT: readonly ErrorCode[] = [
  ErrorCode.LEADER_NOT_AVAILABLE,
  ErrorCode.NOT_LEADER_OR_FOLLOWER,
  ErrorCode.NOT_ENOUGH_REPLICAS,
  ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER,
]

interface Append {
  readonly records: readonly NewRecord[]
  readonly bytes: number
  resolve(offset: number): void
  reject(error: unknown): void
}

/** By which the leader knows what it has appended already (KIP-98). */
interface Identity {
  readonly producerId: number
  sequence: number
}

/**
 * Appends to one partition, wherever its leader is and goes: one batch at a time, which is sent until it is known what has become
 * of it, and never appended twice. What is appended meanwhile goes together in the next one, so order holds.
 */
export class PartitionWriter {
  readonly #access: ClusterAccess
  readonly #topic: Topic
  readonly #index: number
  #waiting: Append[] = []
  #isBusy = false
  #identity: Identity | null = null

  constructor(access: ClusterAccess, topic: Topic, index: number) {
    this.#access = access
    this.#topic = topic
    this.#index = index
  }

  get #name(): string {
    return `${this.#topic.name}-${this.#index}`
  }

  /** @returns the offset of the first record @throws BrokerError, or Error if the broker is closed */
  append(records: readonly NewRecord[]): Promise<number> {
    if (this.#waiting.length >= WAITING_MAX) {
      const message = `${WAITING_MAX} appends to ${this.#name} are waiting already.`
      throw new BrokerError(ErrorCode.THROTTLING_QUOTA_EXCEEDED, message)
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ records, bytes: bytesOf(records), resolve, reject })
      if (!this.#isBusy) void this.#run()
    })
  }

  async #run(): Promise<void> {
    this.#isBusy = true
    while (this.#waiting.length > 0) await this.#send(this.#next())
    this.#isBusy = false
  }

  #next(): Append[] {
    let bytes = 0
    const count = this.#waiting.findIndex((append, i) => {
      bytes += append.bytes
      return i > 0 && bytes > TOGETHER_BYTES_MAX
    })
    return this.#waiting.splice(0, count === -1 ? this.#waiting.length : count)
  }

  async #send(appends: readonly Append[]): Promise<void> {
    try {
      let offset = await this.#deliver(appends.flatMap(({ records }) => records))
      for (const { records, resolve } of appends) {
        resolve(offset)
        offset += records.length
      }
    } catch (error) {
      // One of them may be at fault: nothing has been appended, and the others are not to suffer for it.
      const isRefusal = error instanceof BrokerError && !isPassing(error)
      if (isRefusal && appends.length > 1) for (const one of appends) await this.#send([one])
      else for (const { reject } of appends) reject(error)
    }
  }

  async #deliver(records: readonly NewRecord[]): Promise<number> {
    const deadline = performance.now() + WAIT_MS_MAX
    let mayBeThere = false
    for (;;) {
      try {
        const identity = await this.#identify()
        const attempt = this.#attempt(records, identity, deadline)
        const offset = await this.#access.untilEnded(attempt)
        identity.sequence = addSequence(identity.sequence, records.length)
        return offset
      } catch (error) {
        const isForgotten = isOutOfOrder(error)
        // What it has appended before was lost with its leader: to the next one it is a stranger.
        if (isForgotten) this.#identity = null
        mayBeThere ||= error instanceof BrokerError && !SURELY_NOT.includes(error.errorCode)
        const isOver = performance.now() + RETRY_MS > deadline || this.#access.closed.aborted
        if (isOver || this.#isGone || !(isForgotten || isPassing(error))) {
          if (mayBeThere) this.#identity = null
          if (this.#isGone) this.#access.forgetWriter(this.#topic, this.#index)
          throw this.#access.closed.aborted ? new Error(CLOSED) : this.#said(error, mayBeThere)
        }
      }
      await pause()
    }
  }

  async #identify(): Promise<Identity> {
    this.#identity ??= { producerId: await this.#access.broker.producerIds.next(), sequence: 0 }
    return this.#identity
  }

  #said(error: unknown, mayBeThere: boolean): unknown {
    if (!isPassing(error)) return error
    const what = mayBeThere ? 'the records may be there or not' : 'nothing was appended'
    const message = `Append to ${this.#name} failed for ${WAIT_MS_MAX} ms, ${what}: ${error.message}`
    return new BrokerError(error.errorCode, message, { cause: error })
  }

  get #isGone(): boolean {
    return this.#access.broker.registry.topicById(this.#topic.id) === undefined
  }

  /** @throws BrokerError; a passing one if it is to be sent again */
  async #attempt(
    records: readonly NewRecord[],
    { producerId, sequence }: Identity,
    deadline: number,
  ): Promise<number> {
    const { broker } = this.#access
    if (this.#isGone) {
      const message = `${this.#name} is deleted.`
      throw new BrokerError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, message)
    }
    const sealed = { producerId, producerEpoch: 0, baseSequence: sequence }
    const batch = await encode(records, this.#name, sealed)
    const leftMs = Math.max(0, deadline - performance.now())
    const led = broker.registry.led(this.#topic, this.#index)
    if (typeof led !== 'number') return this.#appendHere(led, batch, leftMs)
    const { batchBytesMax } = broker.options.limits
    const { config } = this.#topic
    const refusal = checkBatch(batch, config, batchBytesMax, PRODUCE_VERSION, Date.now())
    if (refusal !== null) throw new BrokerError(refusal.errorCode, refusal.errorMessage)
    return this.#produce(batch, leftMs)
  }

  async #appendHere(led: Partition, batch: Buffer, leftMs: number): Promise<number> {
    try {
      return await appendHere(this.#access.broker, led, batch, leftMs)
    } catch (error) {
      // Who has been replaced as leader does not know what has been appended since.
      if (!isOutOfOrder(error) || (await led.replication?.confirm())) throw error
      throw this.#error(ErrorCode.NOT_LEADER_OR_FOLLOWER, null)
    }
  }

  async #produce(batch: Buffer, leftMs: number): Promise<number> {
    const leader = this.#access.leaderOf(this.#topic, this.#index)
    if (leader === -1) throw this.#error(ErrorCode.LEADER_NOT_AVAILABLE, null)
    const partitionData = [{ index: this.#index, records: batch }]
    const topicData = [{ topicId: this.#topic.id, partitionData }]
    const { appends } = this.#access.peers.of(leader)
    const request = { acks: ACKS_ALL, timeoutMs: Math.ceil(leftMs), topicData }
    const sent = appends.send(produceApi, PRODUCE_VERSION, request)
    const { responses } = await this.#whileLed(leader, sent)
    const { errorCode, errorMessage, baseOffset } = responses[0]!.partitionResponses[0]!
    if (errorCode === ErrorCode.NONE) return baseOffset
    throw this.#error(codeThere(errorCode as ErrorCode), errorMessage)
  }

  /** An answer is not waited for of a broker that has been replaced, or when this one stops. @throws BrokerError */
  async #whileLed<T>(leader: number, answer: Promise<T>): Promise<T> {
    let timer: NodeJS.Timeout | undefined
    const moved = new Promise<never>((_, reject) => {
      timer = setInterval(() => {
        const isLed = this.#access.leaderOf(this.#topic, this.#index) === leader
        if (isLed && !this.#access.closed.aborted) return
        reject(this.#error(ErrorCode.NETWORK_EXCEPTION, 'its leader has not answered'))
      }, RETRY_MS)
    })
    try {
      return await Promise.race([answer, moved])
    } finally {
      clearInterval(timer)
    }
  }

  #error(code: ErrorCode, why: string | null): BrokerError {
    return new BrokerError(code, `Append to ${this.#name} failed: ${why ?? errorName(code)}.`)
  }
}

const isOutOfOrder = (error: unknown): boolean =>
  error instanceof BrokerError && error.errorCode === ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER

function bytesOf(records: readonly NewRecord[]): number {
  let bytes = 0
  for (const { key, value, headers = [] } of records) {
    bytes += (key?.length ?? 0) + (value?.length ?? 0)
    for (const header of headers) bytes += header.key.length + (header.value?.length ?? 0)
  }
  return bytes
}
