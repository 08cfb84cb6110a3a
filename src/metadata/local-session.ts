import type { LeaseId, Session } from './store.ts'

/** One node's: its leases end with it, or when they are given up. */
export class LocalSession implements Session {
  readonly #leases: Set<LeaseId>
  readonly #revoke: (lease: LeaseId) => Promise<void>
  #opened = 0
  #lease: LeaseId | null = null
  onLost: (lease: LeaseId) => void = () => {}

  /** @param leases those there are */
  constructor(leases: Set<LeaseId>, revoke: (lease: LeaseId) => Promise<void>) {
    this.#leases = leases
    this.#revoke = revoke
  }

  get lease(): LeaseId | null {
    return this.#lease
  }

  async open(_ttlMs: number): Promise<LeaseId> {
    await this.close()
    const lease = String(++this.#opened)
    this.#leases.add(lease)
    this.#lease = lease
    return lease
  }

  mayHold(_now: number): boolean {
    return this.#lease !== null
  }

  /** Somebody has ended the lease. */
  ended(lease: LeaseId): void {
    if (this.#lease !== lease) return
    this.#lease = null
    this.onLost(lease)
  }

  async close(): Promise<void> {
    const lease = this.#lease
    this.#lease = null
    if (lease !== null) await this.#revoke(lease)
  }
}
