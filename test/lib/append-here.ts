import type { BrokerNode } from '../../src/broker.ts'
import { encodeMarker } from '../../src/protocol/control-records.ts'
import { type ErrorCode, errorName } from '../../src/protocol/error-codes.ts'
import { encodePlainBatch } from '../../src/protocol/records.ts'
import { ENTRY_ERROR } from '../../src/shared/entry.ts'
import type { Ring } from '../../src/shared/ring.ts'

/** Writes transactions into partition 0 of topics of a broker in this process, as its leader does for producers and coordinators. */
export class TransactionWriter {
  readonly #node: BrokerNode
  readonly #sequences = new Map<string, number>()

  constructor(node: BrokerNode) {
    this.#node = node
  }

  write(topic: string, producerId: number, ...values: string[]): Promise<void> {
    const key = `${topic} ${producerId}`
    const baseSequence = this.#sequences.get(key) ?? 0
    this.#sequences.set(key, baseSequence + values.length)
    const records = values.map(value => ({ timestamp: 1, key: null, value: Buffer.from(value) }))
    const of = { producerId, producerEpoch: 0, baseSequence, transactional: true }
    return this.#append(topic, encodePlainBatch(records, of))
  }

  end(topic: string, producerId: number, isCommit: boolean): Promise<void> {
    const marker = { producerId, producerEpoch: 0, isCommit, coordinatorEpoch: 0 }
    return this.#append(topic, encodeMarker(marker, 1))
  }

  #append(topic: string, bytes: Buffer): Promise<void> {
    return new Promise((resolve, reject) => {
      const onAppended = (_: number, ring: Ring, at: number): void => {
        const name = errorName(ring.words[(at >> 2) + ENTRY_ERROR] as ErrorCode)
        if (name === 'NONE') resolve()
        else reject(new Error(`refused: ${name}`))
      }
      const onWorkerLost = () => reject(new Error('the worker is lost'))
      const partition = this.#node.registry.partition(topic, 0)!
      if (!partition.append(bytes, { onAppended, onWorkerLost }, 0, 1)) reject(new Error('full'))
    })
  }
}
