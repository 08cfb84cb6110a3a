import type { View } from '../../src/replication/next-state.ts'
import type { PartitionState } from '../../src/replication/partition-state.ts'

interface Known {
  epoch: number
  created: number
  incarnation: string
  isUnfenced: boolean
  isDraining: boolean
  isFull: boolean
  hasFailed: boolean
}

/** What a machine knows of brokers, to be changed by a test: broker n has epoch 10 n, is unfenced and well. */
export class KnownBrokers implements View {
  readonly #all = new Map<number, Known>()

  constructor(...ids: number[]) {
    for (const id of ids) {
      this.#all.set(id, {
        epoch: id * 10,
        created: id * 10 + 1,
        incarnation: `i${id}`,
        isUnfenced: true,
        isDraining: false,
        isFull: false,
        hasFailed: false,
      })
    }
  }

  set(id: number, over: Partial<Known>): this {
    Object.assign(this.#all.get(id)!, over)
    return this
  }

  fence(...ids: number[]): this {
    for (const id of ids) this.set(id, { isUnfenced: false })
    return this
  }

  broker(id: number): Known | null {
    return this.#all.get(id) ?? null
  }

  view(): View {
    return this
  }

  unfenced(id: number): Known | null {
    const known = this.#all.get(id)
    return known?.isUnfenced === true ? known : null
  }

  draining(id: number): boolean {
    return this.#all.get(id)?.isDraining === true
  }

  full(id: number): boolean {
    return this.#all.get(id)?.isFull === true
  }

  failed(id: number): boolean {
    return this.#all.get(id)?.hasFailed === true
  }
}

/** Three replicas, all in sync, led by 1 in epoch 5; written at revision 100. */
export const partition = (over: Partial<PartitionState> = {}): PartitionState => ({
  replicas: [1, 2, 3],
  isr: [1, 2, 3],
  elr: [],
  adding: [],
  removing: [],
  leader: 1,
  by: 'i1',
  epoch: 5,
  min: 2,
  durable: true,
  unclean: -1,
  revision: 100,
  ...over,
})
