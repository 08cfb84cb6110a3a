import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from '../../src/client/client.ts'
import { metadataApi } from '../../src/protocol/messages/03-metadata.ts'
import { BrokerProcess } from './broker-process.ts'
import { Etcd } from './etcd.ts'

const WAIT_MS = 30_000
const LOOK_MS = 50

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

interface Member {
  readonly id: number
  readonly port: number
  readonly dir: string
  broker: BrokerProcess | null
}

/** A partition as Metadata tells it. */
export interface PartitionNow {
  readonly partitionIndex: number
  readonly leaderId: number
  readonly isrNodes: readonly number[]
  readonly replicaNodes: readonly number[]
}

/** What is set of all brokers, or of each. */
type Overrides = readonly string[] | ((id: number) => readonly string[])

/** An etcd and brokers, each a process of its own, on free ports of 127.0.0.1. */
export class BrokerCluster implements AsyncDisposable {
  readonly etcd: Etcd
  readonly members: readonly Member[]
  readonly #root = mkdtempSync(join(tmpdir(), 'odradek-cluster-'))
  readonly #overrides: (id: number) => readonly string[]

  private constructor(etcd: Etcd, ports: readonly number[], overrides: Overrides) {
    this.etcd = etcd
    this.#overrides = typeof overrides === 'function' ? overrides : () => overrides
    this.members = ports.map((port, i) => {
      return { id: i + 1, port, dir: join(this.#root, String(i + 1)), broker: null }
    })
  }

  static async start(brokers = 3, overrides: Overrides = []): Promise<BrokerCluster> {
    const etcd = await Etcd.start()
    const ports = await Promise.all(Array.from({ length: brokers }, freePort))
    const cluster = new BrokerCluster(etcd, ports, overrides)
    await Promise.all(cluster.members.map(({ id }) => cluster.startBroker(id)))
    return cluster
  }

  member(id: number): Member {
    return this.members.find(one => one.id === id)!
  }

  broker(id: number): BrokerProcess {
    return this.member(id).broker!
  }

  /** With the data and at the port that it had before. */
  async startBroker(id: number, more: readonly string[] = []): Promise<BrokerProcess> {
    const member = this.member(id)
    member.broker = await BrokerProcess.start({
      dir: member.dir,
      overrides: [
        ...[`node.id=${id}`, `listeners=PLAINTEXT://127.0.0.1:${member.port}`],
        ...[`odradek.metadata=etcd://127.0.0.1:${this.etcd.port}/test`],
        ...['odradek.partition.workers=1', 'group.initial.rebalance.delay.ms=0'],
        ...[...this.#overrides(id), ...more],
      ],
    })
    return member.broker
  }

  get bootstrap(): string {
    return this.members.map(({ port }) => `127.0.0.1:${port}`).join(',')
  }

  /** Of a topic, as one of the living brokers tells it. */
  async partitions(topic: string, ask?: number): Promise<readonly PartitionNow[]> {
    const alive = this.members.find(({ id, broker }) =>
      ask === undefined ? broker !== null && !broker.hasEnded : id === ask,
    )!
    const client = await Client.connect({ host: '127.0.0.1', port: alive.port })
    try {
      const request = { topics: [{ name: topic }], allowAutoTopicCreation: false }
      const { topics } = await client.send(metadataApi, 9, request)
      return [...topics[0]!.partitions].sort((a, b) => a.partitionIndex - b.partitionIndex)
    } finally {
      await client.close()
    }
  }

  /** Resolves when it holds of the topic's partitions. */
  async until(
    topic: string,
    holds: (partitions: readonly PartitionNow[]) => boolean,
    ask?: number,
  ): Promise<readonly PartitionNow[]> {
    const deadline = Date.now() + WAIT_MS
    for (;;) {
      const now = await this.partitions(topic, ask).catch(() => [])
      if (now.length > 0 && holds(now)) return now
      if (Date.now() > deadline) throw new Error(`it does not come about: ${JSON.stringify(now)}`)
      await new Promise(resolve => setTimeout(resolve, LOOK_MS))
    }
  }

  /** Until all partitions have all their replicas in sync. */
  untilWhole(topic: string): Promise<readonly PartitionNow[]> {
    return this.until(topic, all => all.every(p => p.isrNodes.length === p.replicaNodes.length))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { broker } of this.members) await broker?.kill()
    await this.etcd.kill()
    rmSync(this.#root, { recursive: true, force: true })
  }
}
