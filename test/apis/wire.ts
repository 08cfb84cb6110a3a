import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { BrokerNode } from '../../src/broker.ts'
import { Client } from '../../src/client/client.ts'
import type { ConfigValues } from '../../src/configs/definition.ts'
import type { BrokerOptions } from '../../src/options.ts'
import { type ErrorName, errorName } from '../../src/protocol/error-codes.ts'
import type { DecodedFields, EncodableFields, Fields } from '../../src/protocol/fields.ts'
import { produceApi } from '../../src/protocol/messages/00-produce.ts'
import { type BatchOptions, encodeBatch, type NewRecord } from '../../src/protocol/records.ts'
import type { Api } from '../../src/protocol/schema.ts'
import type { Topic } from '../../src/topics/registry.ts'

/** A broker of its own in this process, on a free port and in a temporary folder, and one connection to it. */
export class Wire {
  readonly node: BrokerNode
  readonly client: Client
  readonly #dir: string
  readonly #options: BrokerOptions

  private constructor(node: BrokerNode, client: Client, dir: string, options: BrokerOptions) {
    this.node = node
    this.client = client
    this.#dir = dir
    this.#options = options
  }

  static start(options: BrokerOptions = {}): Promise<Wire> {
    return Wire.#open(mkdtempSync(join(tmpdir(), 'odradek-api-')), options)
  }

  static async #open(dir: string, options: BrokerOptions): Promise<Wire> {
    const code = { listeners: 'PLAINTEXT://127.0.0.1:0', ...options, dataDir: dir }
    const node = await BrokerNode.start({ code })
    return new Wire(node, await Client.connect(node.endpoint('PLAINTEXT')), dir, options)
  }

  /** Stops the broker and starts it again on the same data: go on with the one returned. */
  async restart(): Promise<Wire> {
    await this.client.close()
    await this.node.close()
    return Wire.#open(this.#dir, this.#options)
  }

  send<Q extends Fields, R extends Fields>(
    api: Api<Q, R>,
    version: number,
    request: EncodableFields<Q>,
  ): Promise<DecodedFields<R>> {
    return this.client.send(api, version, request)
  }

  createTopic(name: string, partitions = 1, configs: ConfigValues = {}): Promise<Topic> {
    return this.node.registry.create(name, partitions, configs)
  }

  /** Another connection to the same broker; the caller closes it. */
  connect(): Promise<Client> {
    return Client.connect(this.node.endpoint('PLAINTEXT'))
  }

  /** The same broker over another connection. */
  over(client: Client): Wire {
    return new Wire(this.node, client, this.#dir, this.#options)
  }

  /** Appends one batch of `count` records to partition 0. */
  produce(topic: string, count: number, options: BatchOptions = {}): Promise<void> {
    return this.produceTo(topic, 0, count, options)
  }

  async produceTo(
    topic: string,
    index: number,
    count: number,
    options: BatchOptions = {},
  ): Promise<void> {
    const record = { timestamp: Date.now(), value: Buffer.from('value') }
    const records = await encodeBatch(new Array(count).fill(record), options)
    await this.#append(topic, index, records)
  }

  /** Appends these records in one batch to partition 0. */
  async append(
    topic: string,
    records: readonly NewRecord[],
    options: BatchOptions = {},
  ): Promise<void> {
    await this.#append(topic, 0, await encodeBatch(records, options))
  }

  /** Appends one record with a value of so many bytes to partition 0. */
  async produceBytes(topic: string, bytes: number): Promise<void> {
    const records = await encodeBatch([{ timestamp: Date.now(), value: Buffer.alloc(bytes) }])
    await this.#append(topic, 0, records)
  }

  async #append(topic: string, index: number, records: Buffer): Promise<void> {
    const topicData = [{ name: topic, partitionData: [{ index, records }] }]
    const { responses } = await this.send(produceApi, 9, { acks: -1, topicData })
    expectError(responses[0]!.partitionResponses[0]!, 'NONE')
  }

  async close(): Promise<void> {
    await this.client.close()
    await this.node.close()
    rmSync(this.#dir, { recursive: true })
  }
}

/** The versions of an API that are served: all of the schema but an unstable one. */
export function versionsOf({ request }: Api): number[] {
  const { min, max } = request.versions
  const last = request.latestVersionUnstable ? max - 1 : max
  return Array.from({ length: last - min + 1 }, (_, i) => min + i)
}

export function expectError({ errorCode }: { errorCode: number }, name: ErrorName): void {
  assert.is(errorName(errorCode), name)
}

/** Error names by whatever names the items of an answer. */
export function errorsBy<T extends { errorCode: number }>(
  items: readonly T[],
  key: (item: T) => string | number | null,
): Record<string, string> {
  return Object.fromEntries(items.map(item => [String(key(item)), errorName(item.errorCode)]))
}
