import type { ChildProcess } from 'node:child_process'
import { Client } from '../../src/client/client.ts'
import { metadataApi } from '../../src/protocol/messages/03-metadata.ts'
import type { Ended } from './child.ts'

const WAIT_MS = 30_000
const LOOK_MS = 50

/** A broker of whatever make. */
export interface Node {
  readonly child: ChildProcess
  readonly hasEnded: boolean
  kill(): Promise<void>
  stop(): Promise<Ended>
}

export interface Member<N extends Node> {
  readonly id: number
  /** 127.0.0.1 if it is not said. */
  readonly host?: string
  readonly port: number
  readonly dir: string
  broker: N | null
}

export const addressOf = ({ host = '127.0.0.1', port }: Member<Node>): string => `${host}:${port}`

/** A partition as Metadata tells it. */
export interface PartitionNow {
  readonly partitionIndex: number
  readonly leaderId: number
  readonly isrNodes: readonly number[]
  readonly replicaNodes: readonly number[]
}

/** Brokers of one cluster, each a process of its own at an address of its own. */
export abstract class ProcessCluster<N extends Node = Node> implements AsyncDisposable {
  abstract readonly members: readonly Member<N>[]

  /** With the data and at the port that it had before. */
  abstract startBroker(id: number): Promise<N>
  abstract [Symbol.asyncDispose](): Promise<void>

  member(id: number): Member<N> {
    return this.members.find(one => one.id === id)!
  }

  broker(id: number): N {
    return this.member(id).broker!
  }

  get bootstrap(): string {
    return this.members.map(addressOf).join(',')
  }

  /** Of a topic, as one of the living brokers tells it. */
  async partitions(topic: string, ask?: number): Promise<readonly PartitionNow[]> {
    const alive = this.members.find(({ id, broker }) =>
      ask === undefined ? broker !== null && !broker.hasEnded : id === ask,
    )!
    const { host = '127.0.0.1', port } = alive
    const client = await Client.connect({ host, port })
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
}
