import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { BrokerProcess } from './broker-process.ts'
import { Etcd } from './etcd.ts'
import { freePort } from './free-port.ts'
import { type Member, ProcessCluster } from './process-cluster.ts'

/** What is set of all brokers, or of each. */
type Overrides = readonly string[] | ((id: number) => readonly string[])

/** Where they are not to be as usual. */
interface Places {
  /** Of etcd; it stays. */
  readonly etcd?: string
  /** Of a broker's data; it stays. */
  readonly data?: (id: number) => string
  /** The folder that holds dist/. */
  readonly root?: string
}

/** An etcd and brokers, each a process of its own, on free ports of 127.0.0.1. */
export class BrokerCluster extends ProcessCluster<BrokerProcess> {
  readonly etcd: Etcd
  readonly members: readonly Member<BrokerProcess>[]
  readonly #root = mkdtempSync(join(tmpdir(), 'odradek-cluster-'))
  readonly #overrides: (id: number) => readonly string[]
  readonly #places: Places

  private constructor(etcd: Etcd, ports: readonly number[], overrides: Overrides, places: Places) {
    super()
    this.etcd = etcd
    this.#places = places
    this.#overrides = typeof overrides === 'function' ? overrides : () => overrides
    this.members = ports.map((port, i) => {
      const id = i + 1
      const dir = places.data?.(id) ?? join(this.#root, String(id))
      return { id, port, dir, broker: null }
    })
  }

  static async start(
    brokers = 3,
    overrides: Overrides = [],
    places: Places = {},
  ): Promise<BrokerCluster> {
    const etcd = await Etcd.start(places.etcd === undefined ? {} : { dir: places.etcd })
    const ports = await Promise.all(Array.from({ length: brokers }, freePort))
    const cluster = new BrokerCluster(etcd, ports, overrides, places)
    await Promise.all(cluster.members.map(({ id }) => cluster.startBroker(id)))
    return cluster
  }

  /** With the data and at the port that it had before. */
  override async startBroker(id: number, more: readonly string[] = []): Promise<BrokerProcess> {
    const member = this.member(id)
    member.broker = await BrokerProcess.start({
      dir: member.dir,
      ...(this.#places.root !== undefined && { root: this.#places.root }),
      overrides: [
        ...[`node.id=${id}`, `listeners=PLAINTEXT://127.0.0.1:${member.port}`],
        ...[`odradek.metadata=etcd://127.0.0.1:${this.etcd.port}/test`],
        ...['odradek.partition.workers=1', 'group.initial.rebalance.delay.ms=0'],
        ...[...this.#overrides(id), ...more],
      ],
    })
    return member.broker
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    for (const { broker } of this.members) await broker?.kill()
    await this.etcd.close()
    rmSync(this.#root, { recursive: true, force: true })
  }
}
