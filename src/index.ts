import { BrokerNode } from './broker.ts'
import { type Access, openAccess } from './embedded/access.ts'
import { type Appended, Appender, type AppendRecord } from './embedded/append.ts'
import { checkStart } from './embedded/arguments.ts'
import { type ReadOptions, type ReadRecord, read } from './embedded/read.ts'
import { type SubscribeOptions, Subscription } from './embedded/subscribe.ts'
import { addressOf } from './endpoint.ts'
import type { Logger } from './logger.ts'
import { type BrokerOptions, SHIPPED } from './options.ts'

export type { Appended, AppendRecord, Bytes } from './embedded/append.ts'
export type { ReadOptions, ReadRecord, UnreadableBatch } from './embedded/read.ts'
export type { SubscribeOptions, Subscription } from './embedded/subscribe.ts'
export { BrokerError, InvalidOption, ListenError } from './errors.ts'
export type { Logger } from './logger.ts'
export type { BrokerOptions } from './options.ts'
export { DataDirError } from './topics/identity.ts'

/** Options of an embedded broker: any of Kafka's server.properties names or its camelCase alias, and these. */
export type StartOptions = BrokerOptions & {
  /** A server.properties file, over which the other options go. */
  readonly configFile?: string
  /** pino, console, or anything of their shape; silent by default. */
  readonly logger?: Logger
  /** Stops the start, or closes the broker, when aborted. */
  readonly signal?: AbortSignal
  /**
   * Lets the process end though `close` was not called, once nothing else keeps it: then it ends as by a crash, with all that was
   * acknowledged on disk. Appends under way are waited for; whoever only waits for records is not. Default: false.
   */
  readonly unref?: boolean
}

/**
 * A broker inside this process: the same listener, log and durability as the stand-alone one. By default it listens on a
 * free port of 127.0.0.1 and keeps its data in ./data.
 */
export class Broker implements AsyncDisposable {
  readonly #node: BrokerNode
  readonly #access: Access
  readonly #appender: Appender
  readonly #closed: AbortController

  private constructor(node: BrokerNode, access: Access, closed: AbortController) {
    this.#node = node
    this.#access = access
    this.#closed = closed
    this.#appender = new Appender(access, closed.signal)
  }

  /**
   * Starts a broker; clients can connect when this resolves.
   * @throws TypeError for what are no options, InvalidOption, DataDirError, ListenError, or an Error that says what of the data is damaged
   */
  static async start(options: StartOptions = {}): Promise<Broker> {
    checkStart(options, ['configFile', 'logger', 'signal', 'unref'])
    const { configFile, logger, signal, unref, ...code } = options
    signal?.throwIfAborted()
    const node = await BrokerNode.start(
      {
        defaults: { ...SHIPPED, listeners: 'PLAINTEXT://127.0.0.1:0', 'log.dirs': './data' },
        code,
        ...(configFile === undefined ? {} : { file: configFile }),
      },
      logger,
    )
    if (unref) node.unref()
    const closed = new AbortController()
    const broker = new Broker(node, await openAccess(node, closed.signal), closed)
    if (signal?.aborted) {
      await broker.close()
      signal.throwIfAborted()
    }
    signal?.addEventListener('abort', () => void broker.close(), { once: true })
    return broker
  }

  /** `host:port` of each listener, divided by commas: what clients take as bootstrap.servers. */
  get bootstrapServers(): string {
    return this.#node.options.listeners
      .map(({ name }) => this.#node.endpoint(name))
      .map(addressOf)
      .join(',')
  }

  get clusterId(): string {
    return this.#node.clusterId
  }

  /** Absolute path of the data folder. */
  get dataDir(): string {
    return this.#node.dataDir
  }

  /**
   * Appends records; without a socket, where the partition is led by this broker. Resolves when they are as durable as the topic asks: by
   * default, flushed, in a cluster by all in-sync replicas. Makes the topic if it is missing and auto.create.topics.enable allows it.
   * In a cluster it waits up to 30 s for a leader, and appends nothing twice; an error says if the records may be there.
   * @returns where each record is, in the order given
   * @throws TypeError for what is no record, BrokerError with Kafka's error code, Error if the broker is closed: what was under way then may be there or not
   */
  async append(topic: string, records: readonly AppendRecord[]): Promise<Appended[]> {
    return this.#appender.append(topic, records)
  }

  /**
   * Reads records as they come, until the signal is aborted, the loop is left, or the broker is closed. In a cluster it follows the
   * partitions' leaders, and waits while there is none: to begin, and `until: 'end'`, for 30 s at most.
   * @throws TypeError for what is no topic or no options, BrokerError if the topic or offset does not exist, or nobody leads it
   */
  read(topic: string, options: ReadOptions = {}): AsyncGenerator<ReadRecord, void, undefined> {
    return read(this.#access, topic, options, this.#closed.signal)
  }

  /**
   * A member of a consumer group without a socket: iterate it for records, call its `commit` for what is done. Embedded members
   * and clients share a group; the consumer protocol (KIP-848) moves partitions among them.
   */
  subscribe(options: SubscribeOptions): Subscription {
    return new Subscription(this.#access, options, this.#closed.signal)
  }

  /** Drains, flushes everything and closes. Idempotent; takes at most about 5 s. */
  async close(): Promise<void> {
    this.#closed.abort()
    await this.#node.close()
    await this.#access.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
