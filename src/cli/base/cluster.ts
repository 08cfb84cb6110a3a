import { setTimeout as delay } from 'node:timers/promises'
import { Client, ClientError } from '../../client/client.ts'
import { ErrorCode, errorInfo, errorName } from '../../protocol/error-codes.ts'
import type { DecodedFields, EncodableFields, Fields } from '../../protocol/fields.ts'
import { type MetadataResponse, metadataApi } from '../../protocol/messages/03-metadata.ts'
import { findCoordinatorApi } from '../../protocol/messages/10-find-coordinator.ts'
import type { Api } from '../../protocol/schema.ts'
import { CliError, EXIT, expectNone } from './failure.ts'
import type { Address, ClusterFlags } from './options.ts'
import { otherServer } from './other-server.ts'

/** Between two tries of what a cluster is not ready for yet. */
const RETRY_MS = 100
/** Requests under way on a connection, as in Kafka. */
const IN_FLIGHT_MAX = 5
/** A broker that has not said its versions by then may be something else. */
const SILENT_MS = 1_000
/** FindCoordinator's last version for one key. */
const ONE_KEY_VERSION_MAX = 3

export type TopicMetadata = MetadataResponse['topics'][number]
export type PartitionMetadata = TopicMetadata['partitions'][number]
export type BrokerMetadata = MetadataResponse['brokers'][number]

/** A cluster as its clients see it: one connection to each broker that is needed, opened at first use. */
export class Cluster implements AsyncDisposable {
  readonly timeoutMs: number
  readonly #addresses: readonly Address[]
  #bootstrap: Client
  readonly #byNode = new Map<number, Promise<Client>>()
  #brokers: readonly BrokerMetadata[] = []

  private constructor(addresses: readonly Address[], bootstrap: Client, timeoutMs: number) {
    this.#addresses = addresses
    this.#bootstrap = bootstrap
    this.timeoutMs = timeoutMs
  }

  /** By the first of the addresses that answers. @throws CliError with exit code 3 if none does */
  static async connect({ bootstrap, timeout }: ClusterFlags): Promise<Cluster> {
    return new Cluster(bootstrap, await openAny(bootstrap, timeout), timeout)
  }

  /** Connects anew when connections have failed: to the first that answers of the addresses given and those that brokers had. */
  async renew(): Promise<void> {
    await this.#close()
    this.#byNode.clear()
    this.#bootstrap = await openAny([...this.#addresses, ...this.#brokers], this.timeoutMs)
  }

  /** Any broker: the one that the program has connected to. */
  get any(): Client {
    return this.#bootstrap
  }

  /** Topics by name, or all of them; one that does not exist has its error. Creates nothing. */
  async metadata(names: readonly string[] | null): Promise<MetadataResponse> {
    const topics = names?.map(name => ({ name })) ?? null
    const found = await this.send(this.any, metadataApi, { topics, allowAutoTopicCreation: false })
    expectNone(found.errorCode, 'metadata')
    this.#brokers = found.brokers
    return found
  }

  /** All topics but those that brokers keep for themselves. */
  async topicNames(): Promise<string[]> {
    const { topics } = await this.metadata(null)
    return topics.filter(topic => !topic.isInternal).map(topic => topic.name!)
  }

  /** A topic that exists, whatever state its partitions are in. */
  async topicAsItIs(name: string): Promise<TopicMetadata> {
    const [topic] = (await this.metadata([name])).topics
    if (topic === undefined) throw noTopic(name)
    checkTopic(topic, name)
    return topic
  }

  /** A topic that exists and whose partitions, all or those asked for, have leaders. */
  async topic(name: string, only?: readonly number[]): Promise<TopicMetadata> {
    let problem = ''
    return this.until(
      async () => {
        const topic = await this.topicAsItIs(name)
        checkPartitions(topic, only)
        const wanted = topic.partitions.filter(p => only?.includes(p.partitionIndex) ?? true)
        const missing = wanted.find(p => p.leaderId < 0)
        if (missing !== undefined) problem = `partition ${missing.partitionIndex} has no leader`
        const isReady = topic.errorCode === ErrorCode.NONE && missing === undefined
        if (!isReady && missing === undefined) problem = errorName(topic.errorCode)
        return isReady ? { ...topic, partitions: wanted } : undefined
      },
      () => `topic ${name}: ${problem}`,
    )
  }

  /** The connection to a broker by its id, at the address that it advertises. */
  async broker(nodeId: number): Promise<Client> {
    let client = this.#byNode.get(nodeId)
    if (client === undefined) {
      client = this.#openBroker(nodeId, this.timeoutMs)
      this.#byNode.set(nodeId, client)
    }
    return client
  }

  /** @param requestMs how long a request may take */
  async #openBroker(nodeId: number, requestMs: number): Promise<Client> {
    if (this.#brokers.length === 0) await this.metadata([])
    const address = this.#brokers.find(broker => broker.nodeId === nodeId)
    if (address === undefined) {
      const ids = this.#brokers.map(broker => broker.nodeId).join(', ')
      throw new CliError(`broker ${nodeId} is not in the cluster, which has ${ids || 'none'}`)
    }
    const what = `broker ${nodeId} at its advertised address `
    return open(address, this.timeoutMs, what, IN_FLIGHT_MAX, requestMs)
  }

  async controller(): Promise<Client> {
    const { controllerId } = await this.metadata([])
    return controllerId < 0 ? this.any : this.broker(controllerId)
  }

  /** The broker that keeps a group. */
  async coordinator(group: string): Promise<Client> {
    return this.broker(await this.#coordinatorId(group))
  }

  /** Another connection to it, for requests that may take long. The caller closes it. */
  async openCoordinator(group: string, requestMs: number): Promise<Client> {
    return this.#openBroker(await this.#coordinatorId(group), requestMs)
  }

  #coordinatorId(group: string): Promise<number> {
    let problem = ''
    return this.until(
      async () => {
        const request = { key: group, keyType: 0 }
        const found = await this.send(this.any, findCoordinatorApi, request, ONE_KEY_VERSION_MAX)
        if (found.errorCode === ErrorCode.NONE) return found.nodeId
        if (!errorInfo(found.errorCode)?.retriable) {
          expectNone(found.errorCode, `group ${group}`, found.errorMessage)
        }
        problem = errorName(found.errorCode)
        return undefined
      },
      () => `group ${group}: it has no coordinator (${problem})`,
    )
  }

  /** In the highest version that both sides have and that is not above `versionMax`. */
  send<Q extends Fields, R extends Fields>(
    client: Client,
    api: Api<Q, R>,
    request: EncodableFields<Q>,
    versionMax: number = Number.POSITIVE_INFINITY,
  ): Promise<DecodedFields<R>> {
    return client.send(api, Math.min(client.versionFor(api), versionMax), request)
  }

  /** Tries until there is a result. @throws CliError with the problem when the time is over */
  async until<T>(attempt: () => Promise<T | undefined>, problem: () => string): Promise<T> {
    const deadline = performance.now() + this.timeoutMs
    for (;;) {
      const result = await attempt()
      if (result !== undefined) return result
      if (performance.now() > deadline) {
        throw new CliError(problem(), EXIT.failed, { isPassing: true })
      }
      await delay(RETRY_MS)
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#close()
  }

  async #close(): Promise<void> {
    const opened = await Promise.allSettled(this.#byNode.values())
    const clients = opened.flatMap(o => (o.status === 'fulfilled' ? [o.value] : []))
    await Promise.all([this.#bootstrap, ...clients].map(client => client.close()))
  }
}

/** The first of the addresses that answers. */
async function openAny(addresses: readonly Address[], timeoutMs: number): Promise<Client> {
  const problems: CliError[] = []
  for (const address of addresses) {
    try {
      return await open(address, timeoutMs)
    } catch (error) {
      if (!(error instanceof CliError)) throw error
      problems.push(error)
    }
  }
  const isPassing = problems.some(problem => problem.isPassing)
  const advice = isPassing ? ': is the broker running? odradek doctor looks further' : ''
  const said = [...new Set(problems.map(problem => problem.message))].join('; ')
  throw new CliError(`${said}${advice}`, EXIT.noConnection, { isPassing })
}

/** Connects and learns which versions the broker has. @throws CliError with exit code 3 */
export async function open(
  { host, port }: Address,
  timeoutMs: number,
  what = '',
  maxInFlight = IN_FLIGHT_MAX,
  requestTimeoutMs = timeoutMs,
): Promise<Client> {
  try {
    const limits = { connectTimeoutMs: timeoutMs, requestTimeoutMs, maxInFlight }
    const client = await Client.connect({ host, port, clientId: 'odradek', ...limits })
    try {
      await greet(client, { host, port })
      return client
    } catch (error) {
      await client.close()
      throw error
    }
  } catch (cause) {
    if (!(cause instanceof ClientError)) throw cause
    throw new CliError(`cannot connect to ${what}${connectReason(cause)}`, EXIT.noConnection, {
      cause,
      isPassing: true,
    })
  }
}

/** Learns which versions the broker has. One answers that at once: whoever does not is looked at. @throws CliError for another kind of server */
async function greet(client: Client, address: Address): Promise<void> {
  const asked = client.apiVersions()
  const answered = asked.then(
    () => true,
    () => false,
  )
  const isSilent = delay(SILENT_MS, false, { ref: false })
  if (!(await Promise.race([answered, isSilent]))) {
    const kind = await otherServer(address)
    if (kind !== null) {
      throw new CliError(`${address.host}:${address.port} ${kind}`, EXIT.noConnection)
    }
  }
  await asked
}

/** A name with several addresses fails with several errors, and then Node gives no message. */
export function connectReason(error: ClientError): string {
  const { cause } = error
  if (!(cause instanceof AggregateError)) return error.message
  return `${error.message}${cause.errors.map(e => (e as Error).message).join(', ')}`
}

function checkTopic({ errorCode }: TopicMetadata, name: string): void {
  if (errorCode === ErrorCode.UNKNOWN_TOPIC_OR_PARTITION) throw noTopic(name)
  if (errorCode !== ErrorCode.LEADER_NOT_AVAILABLE) expectNone(errorCode, `topic ${name}`)
}

function checkPartitions(topic: TopicMetadata, only: readonly number[] = []): void {
  const { name, errorCode, partitions } = topic
  if (errorCode !== ErrorCode.NONE) return
  const missing = only.find(index => !partitions.some(p => p.partitionIndex === index))
  if (missing === undefined) return
  const last = partitions.length - 1
  throw new CliError(`topic ${name} has no partition ${missing}: it has 0 to ${last}`)
}

export function noTopic(name: string): CliError {
  return new CliError(
    `topic ${name} does not exist: odradek topic list shows those that do, odradek topic create ${name} makes it`,
  )
}
