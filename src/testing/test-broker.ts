import type { ApiTable } from '../apis/handler.ts'
import { BrokerNode } from '../broker.ts'
import { type Access, CLOSED, openAccess } from '../embedded/access.ts'
import { type Appended, Appender, type AppendRecord } from '../embedded/append.ts'
import { checkStart } from '../embedded/arguments.ts'
import { type ReadOptions, type ReadRecord, read } from '../embedded/read.ts'
import { type SubscribeOptions, Subscription } from '../embedded/subscribe.ts'
import { InvalidOption } from '../errors.ts'
import type { Logger } from '../logger.ts'
import { type BrokerOptions, type OptionSources, SHIPPED } from '../options.ts'
import {
  checkFault,
  checkGroupWait,
  checkMessageWait,
  checkRestart,
  checkSeed,
} from './arguments.ts'
import { reset, seed, type TopicSeed } from './content.ts'
import type { Fault, FaultOptions } from './faults/fault.ts'
import { Faults } from './faults/faults.ts'
import { makeFolder } from './folders.ts'
import { Gate } from './gate.ts'
import { asRelease, type Release } from './releases.ts'
import { type GroupWaitOptions, type StableGroup, waitForGroupStable } from './wait-for-group.ts'
import { type MessageWaitOptions, waitForMessages } from './wait-for-messages.ts'

/** What a test wants otherwise than a server: a broker is small. */
const DEFAULTS: BrokerOptions = {
  ...SHIPPED,
  'offsets.topic.num.partitions': 1,
  'odradek.partition.workers': 1,
  'odradek.ring.bytes': 4 * 1024 * 1024,
  'odradek.journal.bytes': 1024 * 1024,
}

/** What each start is made with besides: its way into a cluster. */
type Place = () => Pick<OptionSources, 'metadata' | 'dial'>

/** @internal */
export const TEST_NAMES = ['emulate', 'logger', 'signal', 'unref'] as const

/** Of the test broker itself. */
const OWN = ['listeners', 'dataDir'] as const

/** Any of Kafka's server.properties names or its camelCase alias, but for address and data folder, and these. */
export type TestBrokerOptions = Omit<
  BrokerOptions,
  (typeof OWN)[number] | 'log.dirs' | 'logDirs'
> & {
  /** pino, console, or anything of their shape; silent by default. */
  readonly logger?: Logger
  /** As the method of this name, from the start on. */
  readonly emulate?: Release
  /** Stops the start, or closes the broker, when aborted. */
  readonly signal?: AbortSignal
  /** Lets the process end though `close` was not called; the folder is removed then, too. Default: false. */
  readonly unref?: boolean
}

/**
 * A broker for one test or a file of tests, in this process: it listens on a free port of 127.0.0.1, keeps its data in a
 * temporary folder, and takes both away when it is closed. Everything else is the broker that one runs.
 */
export class TestBroker implements AsyncDisposable {
  readonly #options: BrokerOptions
  readonly #isUnref: boolean
  readonly #logger: Logger | undefined
  readonly #place: Place
  readonly #gate = new Gate()
  readonly #folder = makeFolder()
  #node!: BrokerNode
  #access!: Access
  #appender!: Appender
  /** All there is to serve, before release and faults. */
  #apis!: ApiTable
  readonly #faults = new Faults()
  #release: Release | null
  #stopped = new AbortController()
  #port = 0
  /** Resets and restarts, one after the other. */
  #changing: Promise<void> = Promise.resolve()
  #closing: Promise<void> | null = null

  private constructor(
    options: BrokerOptions,
    isUnref: boolean,
    release: Release | null,
    logger: Logger | undefined,
    place: Place,
  ) {
    this.#options = options
    this.#place = place
    this.#isUnref = isUnref
    this.#release = release
    this.#logger = logger
  }

  /** @throws InvalidOption */
  static start(options: TestBrokerOptions = {}): Promise<TestBroker> {
    checkStart(options, TEST_NAMES)
    return TestBroker.startIn(() => ({}), options)
  }

  /** @internal */
  static async startIn(place: Place, options: TestBrokerOptions): Promise<TestBroker> {
    const { logger, signal, emulate = null, unref = false, ...given } = options
    signal?.throwIfAborted()
    for (const key of OWN) {
      const value = (given as BrokerOptions)[key]
      if (value === undefined) continue
      throw new InvalidOption(key, String(value), 'code', 'left out: a test broker has its own')
    }
    const broker = new TestBroker(given, unref, emulate, logger, place)
    try {
      await broker.#start()
      signal?.throwIfAborted()
    } catch (error) {
      await broker.close()
      throw error
    }
    signal?.addEventListener('abort', () => void broker.close(), { once: true })
    return broker
  }

  async #start(): Promise<void> {
    const code = {
      ...this.#options,
      dataDir: this.dataDir,
      listeners: `PLAINTEXT://127.0.0.1:${this.#port}`,
    }
    const sources = { ...this.#place(), defaults: DEFAULTS, code }
    this.#node = await BrokerNode.start(sources, this.#logger)
    if (this.#isUnref) this.#node.unref()
    this.#port = this.#node.endpoint('PLAINTEXT').port
    this.#stopped = new AbortController()
    this.#access = await openAccess(this.#node, this.#stopped.signal)
    this.#appender = new Appender(this.#access, this.#stopped.signal)
    this.#apis = this.#node.apis
    this.#serve()
  }

  #serve(): void {
    const apis = this.#release === null ? this.#apis : asRelease(this.#apis, this.#release)
    this.#node.apis = this.#gate.around(this.#faults.around(apis))
  }

  /** `host:port`, what clients take as bootstrap.servers. The same for as long as the broker lives, restarts included. */
  get bootstrapServers(): string {
    return `127.0.0.1:${this.#port}`
  }

  get clusterId(): string {
    return this.#node.clusterId
  }

  /** Absolute path of the data folder, which is removed by `close`. */
  get dataDir(): string {
    return this.#folder.dataDir
  }

  /** As `append` of the embedded broker: resolves when the records are flushed. @throws BrokerError */
  async append(topic: string, records: readonly AppendRecord[]): Promise<Appended[]> {
    this.#checkOpen()
    return this.#appender.append(topic, records)
  }

  /** As `read` of the embedded broker. A restart ends it. @throws BrokerError */
  read(topic: string, options: ReadOptions = {}): AsyncGenerator<ReadRecord, void, undefined> {
    this.#checkOpen()
    return read(this.#access, topic, options, this.#stopped.signal)
  }

  /** As `subscribe` of the embedded broker. A restart ends it. */
  subscribe(options: SubscribeOptions): Subscription {
    this.#checkOpen()
    return new Subscription(this.#access, options, this.#stopped.signal)
  }

  /**
   * Makes topics with their records: `seed({ orders: [{ key: 'o-1', value: 'paid' }], empty: { partitions: 3 } })`.
   * @returns where each record is, by topic @throws TypeError, BrokerError
   */
  async seed<Name extends string>(
    topics: Readonly<Record<Name, TopicSeed>>,
  ): Promise<Record<Name, Appended[]>> {
    checkSeed(topics)
    this.#checkOpen()
    return seed(this.#node, this.#appender, topics)
  }

  /**
   * Resolves when every member of the group has its partitions: at least one member, or exactly `members`. Says who they are, and
   * what each has.
   * @throws WaitTimeout, which says in what state the group was
   */
  async waitForGroupStable(groupId: string, options: GroupWaitOptions = {}): Promise<StableGroup> {
    checkGroupWait(groupId, options)
    this.#checkOpen()
    return waitForGroupStable(this.#node, groupId, options, this.#stopped.signal)
  }

  /**
   * Resolves with the first `count` records of the topic (that `where` takes), as soon as they are there.
   * @throws WaitTimeout, which says what was there instead
   */
  async waitForMessages(topic: string, options: MessageWaitOptions = {}): Promise<ReadRecord[]> {
    checkMessageWait(topic, options)
    this.#checkOpen()
    return waitForMessages(this.#access, topic, options, this.#stopped.signal)
  }

  /**
   * Lets requests go wrong that come from now on, the next one that fits by default:
   * `fault({ api: 'Produce', error: 'NOT_LEADER_OR_FOLLOWER' })`.
   * Of several faults for one request the oldest strikes. Restarts leave them, `reset` takes them away.
   * @throws TypeError for what is no option, RangeError if the API cannot be answered so, with those that can
   */
  fault(options: FaultOptions): Fault {
    checkFault(options)
    this.#checkOpen()
    return this.#faults.add(options)
  }

  /**
   * From now on the broker advertises and takes only the versions of that Kafka release, for clients that connect anew; null
   * ends it. What it then does in those versions is as ever.
   * @throws RangeError for a release that is not known, with those that are
   */
  emulate(release: Release | null): void {
    if (release !== null) asRelease(this.#apis, release)
    this.#release = release
    this.#serve()
  }

  /**
   * An empty broker, without a restart: no topics, no groups, no faults, configs as at the start. Address, connections and the
   * emulated release stay.
   */
  reset(): Promise<void> {
    return this.#change(async () => {
      this.#faults.clear()
      await reset(this.#node)
    })
  }

  /**
   * Stops the broker and starts it again on the same data and port. With `crash` it ends as by kill -9: nothing is
   * flushed on the way, and the start recovers what is on disk.
   */
  async restart(options: { readonly crash?: boolean } = {}): Promise<void> {
    checkRestart(options)
    await this.#change(async () => {
      await this.stop(options)
      await this.#start()
    })
  }

  /**
   * Until it is restarted there is none.
   * @internal
   */
  async stop({ crash }: { readonly crash?: boolean }): Promise<void> {
    this.#stopped.abort()
    if (!crash) {
      await this.#node.close()
      await this.#access.close()
      return
    }
    // Nobody is told: what would leave a group now says nothing any more.
    await this.#access.close()
    await this.#node.kill()
  }

  /** @internal */
  get node(): BrokerNode {
    return this.#node
  }

  /** @internal */
  get gate(): Gate {
    return this.#gate
  }

  async #change(action: () => Promise<void>): Promise<void> {
    this.#checkOpen()
    const changed = this.#changing.then(action)
    // Whoever asked for it learns of its failure; the next one, or the stop, only has to come after it.
    this.#changing = changed.catch(() => {})
    await changed
  }

  #checkOpen(): void {
    if (this.#closing !== null) throw new Error(CLOSED)
  }

  /** Stops the broker and removes its data. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    await this.#changing
    this.#stopped.abort()
    try {
      await this.#node?.close()
      await this.#access?.close()
    } finally {
      this.#folder.remove()
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

/** Starts a broker for tests; clients can connect when this resolves. @throws InvalidOption */
export function startTestBroker(options?: TestBrokerOptions): Promise<TestBroker> {
  return TestBroker.start(options)
}
