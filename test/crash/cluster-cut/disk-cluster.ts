import { mkdirSync } from 'node:fs'
import { BrokerCluster } from '../../lib/broker-cluster.ts'
import type { Random } from '../../lib/random.ts'
import { LoopDisk, LoopDisks } from '../loop-disk.ts'

const WORKERS_MAX = 3
const OVERRIDES = [
  'odradek.journal.bytes=8388608',
  'offsets.topic.num.partitions=6',
  'log.segment.bytes=1048576',
]

/** Brokers and their etcd, each on a file system of its own whose power can be cut. */
export class DiskCluster implements AsyncDisposable {
  readonly brokers: BrokerCluster
  readonly #disks: LoopDisks
  readonly #brokerDisks: ReadonlyMap<number, LoopDisk>
  readonly #etcdDisk: LoopDisk

  private constructor(
    brokers: BrokerCluster,
    disks: LoopDisks,
    brokerDisks: ReadonlyMap<number, LoopDisk>,
    etcdDisk: LoopDisk,
  ) {
    this.brokers = brokers
    this.#disks = disks
    this.#brokerDisks = brokerDisks
    this.#etcdDisk = etcdDisk
  }

  /** @param root the folder that holds dist/, where it is not this repository */
  static async start(count: number, random: Random, root?: string): Promise<DiskCluster> {
    const disks = new LoopDisks()
    const ids = Array.from({ length: count }, (_, i) => i + 1)
    const brokerDisks = new Map(ids.map(id => [id, disks.add(`broker-${id}`)]))
    const etcdDisk = disks.add('etcd')
    mkdirSync(etcdDisk.data)
    const workers = (): string => `odradek.partition.workers=${1 + random.below(WORKERS_MAX)}`
    const brokers = await BrokerCluster.start(count, () => [...OVERRIDES, workers()], {
      etcd: etcdDisk.data,
      data: id => brokerDisks.get(id)!.data,
      ...(root !== undefined && { root }),
    })
    return new DiskCluster(brokers, disks, brokerDisks, etcdDisk)
  }

  /** Cuts the power of those brokers, and of etcd, at one moment. Their file systems are there again, and no process. */
  async cut(ids: readonly number[], withEtcd: boolean): Promise<void> {
    const { etcd } = this.brokers
    const brokers = ids.map(id => this.brokers.broker(id))
    const disks = ids.map(id => this.#brokerDisks.get(id)!)
    const pids = brokers.map(({ pid }) => pid)
    if (withEtcd) {
      disks.push(this.#etcdDisk)
      pids.push(etcd.pid)
    }
    LoopDisk.cut(disks, pids)
    await Promise.all(brokers.map(broker => broker.kill()))
    if (withEtcd) await etcd.kill()
    for (const disk of disks) disk.remount()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.brokers[Symbol.asyncDispose]()
    this.#disks[Symbol.dispose]()
  }
}
