import type { Json } from '../../src/metadata/store.ts'
import type {
  Change,
  Compare,
  Entry,
  Observed,
  Outcome,
  WatchEvent,
} from '../../src/replication/types.ts'
import type { World } from './world.ts'

interface Lease {
  readonly id: string
  readonly ttlMs: number
  until: number
}

interface Held extends Entry {
  readonly lease: string | null
}

export const TTL_MS_MIN = 2_000

/** A linearizable map with revisions, leases on its own clock, and a history for watches, as etcd has it. */
export class SimEtcd {
  revision = 1
  /** Events at or before this revision are forgotten. */
  compacted = 0
  isAway = false
  transactions = 0
  readonly events: WatchEvent[] = []
  readonly #world: World
  readonly #map = new Map<string, Held>()
  readonly #leases = new Map<string, Lease>()
  #leaseIds = 0
  /** Called at each change, before anybody can see it. */
  onPut: (key: string, old: Entry | null, now: Entry | null) => void = () => {}
  onCommit: () => void = () => {}

  constructor(world: World) {
    this.#world = world
  }

  get(key: string): Entry | null {
    return this.#map.get(key) ?? null
  }

  list(): { revision: number; entries: Entry[] } {
    return { revision: this.revision, entries: [...this.#map.values()] }
  }

  transact(compares: readonly Compare[], changes: readonly Change[]): Outcome {
    this.transactions++
    const holds = compares.every(compare => {
      const entry = this.#map.get(compare.key)
      return 'revision' in compare
        ? (entry?.revision ?? 0) === compare.revision
        : (entry?.created ?? 0) === compare.created
    })
    const isLeased = changes.every(({ lease }) => lease === undefined || this.#leases.has(lease))
    if (!holds || !isLeased) {
      const now = [...new Set(compares.map(({ key }) => key))]
        .map(key => this.#map.get(key))
        .filter(entry => entry !== undefined)
      return { outcome: 'refused', revision: this.revision, now }
    }
    const names = new Set(changes.map(({ key }) => key))
    if (names.size !== changes.length) throw new Error('duplicate key given in txn request')
    if (changes.length > 128 || compares.length > 128) throw new Error('too many operations')
    this.#commit(changes)
    return { outcome: 'applied', revision: this.revision }
  }

  grant(ttlMs: number): string {
    const id = `L${++this.#leaseIds}`
    const ttl = Math.max(ttlMs, TTL_MS_MIN)
    this.#leases.set(id, { id, ttlMs: ttl, until: this.#world.now + ttl })
    this.#expireLater(id)
    return id
  }

  /** @returns ms left; 0: gone */
  keepAlive(id: string): number {
    const lease = this.#leases.get(id)
    if (lease === undefined) return 0
    lease.until = Math.max(lease.until, this.#world.now + lease.ttlMs)
    return lease.ttlMs
  }

  revoke(id: string): void {
    if (!this.#leases.delete(id)) return
    const gone = [...this.#map.values()].filter(({ lease }) => lease === id)
    if (gone.length > 0) this.#commit(gone.map(({ key }) => ({ key, value: null })))
  }

  /** As at a change of etcd's leader: all leases have their full time again, or one ends before its time. */
  prolong(): void {
    for (const lease of this.#leases.values()) lease.until = this.#world.now + lease.ttlMs
  }

  get leases(): readonly string[] {
    return [...this.#leases.keys()]
  }

  #expireLater(id: string): void {
    const lease = this.#leases.get(id)
    if (lease === undefined) return
    const left = lease.until - this.#world.now
    if (left <= 0 && !this.isAway) {
      this.revoke(id)
      return
    }
    this.#world.after(Math.max(left, 0) + 250, () => this.#expireLater(id))
  }

  #commit(changes: readonly Change[]): void {
    const revision = ++this.revision
    const observed: Observed[] = []
    for (const { key, value, lease } of changes) {
      const old = this.#map.get(key) ?? null
      if (value === null) {
        if (old === null) continue
        this.#map.delete(key)
        observed.push({ key, value: null, created: 0 })
        this.onPut(key, old, null)
        continue
      }
      const created = old?.created ?? revision
      const entry = { key, value: freeze(value), revision, created, lease: lease ?? null }
      this.#map.set(key, entry)
      observed.push({ key, value: entry.value, created })
      this.onPut(key, old, entry)
    }
    this.events.push({ revision, changes: observed })
    this.onCommit()
  }
}

const freeze = (value: Json): Json => value
