import type { Client } from '../../client/client.ts'
import { type Cluster, open, type TopicMetadata } from '../base/cluster.ts'

/** One connection to each of the brokers that lead partitions, by their ids. */
export type ToLeaders = ReadonlyMap<number, Client>

/** So many connections to every leader of a topic, of their own: what is measured shares none of them. */
export class Connections implements AsyncDisposable {
  readonly all: readonly ToLeaders[]

  private constructor(all: readonly ToLeaders[]) {
    this.all = all
  }

  /** @param maxInFlight requests that a connection may have under way */
  static async open(
    cluster: Cluster,
    { name, partitions }: TopicMetadata,
    count: number,
    maxInFlight: number,
  ): Promise<Connections> {
    const leaders = new Set(partitions.map(p => p.leaderId))
    const { brokers } = await cluster.metadata([name!])
    const addresses = brokers.filter(broker => leaders.has(broker.nodeId))
    const all: Map<number, Client>[] = []
    const connections = new Connections(all)
    try {
      for (let i = 0; i < count; i++) {
        const toLeaders = new Map<number, Client>()
        all.push(toLeaders)
        for (const address of addresses) {
          const what = `broker ${address.nodeId} at its advertised address `
          const client = await open(address, cluster.timeoutMs, what, maxInFlight)
          toLeaders.set(address.nodeId, client)
        }
      }
    } catch (error) {
      await connections[Symbol.asyncDispose]()
      throw error
    }
    return connections
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const clients = this.all.flatMap(toLeaders => [...toLeaders.values()])
    await Promise.all(clients.map(client => client.close()))
  }
}
