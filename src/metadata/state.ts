import { freeze, isPrefix } from './rules.ts'
import {
  type Change,
  type Compare,
  type Entry,
  type Json,
  type KeyChange,
  type KeyEvent,
  LeaseEnded,
  type LeaseId,
  type TxResult,
  type WatchEvent,
} from './store.ts'

/** What a transaction asks for: a change, or all keys of a lease gone. */
export type Operation = Change | { readonly endOf: LeaseId }

/** What was decided: an answer, and what changes by it. */
export interface Decision {
  readonly result: TxResult
  /** Null: nothing. */
  readonly event: WatchEvent | null
}

/** All keys in memory, as the last transaction left them. */
export class MetadataState {
  readonly #entries = new Map<string, Entry>()
  revision = 0

  get(key: string): Entry | null {
    return this.#entries.get(key) ?? null
  }

  get entries(): Iterable<Entry> {
    return this.#entries.values()
  }

  list(prefix: string): Entry[] {
    const found = [...this.#entries.values()].filter(({ key }) => key.startsWith(prefix))
    return found.sort((a, b) => (a.key < b.key ? -1 : 1))
  }

  apply({ revision, changes }: WatchEvent): void {
    for (const change of changes) {
      // Those written last are last.
      this.#entries.delete(change.key)
      if (change.value !== null) this.#entries.set(change.key, change)
    }
    this.revision = revision
  }
}

/** Decides transactions one after the other, each on what those before it will have left; the state stays as it is. */
export class Draft {
  readonly #state: MetadataState
  readonly #isLease: (lease: LeaseId) => boolean
  /** Null: deleted. */
  readonly #changed = new Map<string, Entry | null>()
  #revision: number

  /** @param isLease whether keys may be bound to it */
  constructor(state: MetadataState, isLease: (lease: LeaseId) => boolean) {
    this.#state = state
    this.#revision = state.revision
    this.#isLease = isLease
  }

  #get(key: string): Entry | null {
    const changed = this.#changed.get(key)
    return changed === undefined ? this.#state.get(key) : changed
  }

  /** @throws LeaseEnded */
  decide(compares: readonly Compare[], operations: readonly Operation[]): Decision {
    if (!compares.every(compare => this.#holds(compare))) {
      const keys = [...new Set(compares.map(({ key }) => key))]
      const now = keys.map(key => this.#get(key)).filter(entry => entry !== null)
      return { result: { outcome: 'refused', revision: this.#revision, now }, event: null }
    }
    const revision = this.#revision + 1
    const changes = operations.flatMap(operation => this.#eventsOf(operation, revision))
    if (changes.length === 0) {
      return { result: { outcome: 'applied', revision: this.#revision }, event: null }
    }
    for (const change of changes) {
      this.#changed.set(change.key, change.value === null ? null : change)
    }
    this.#revision = revision
    return { result: { outcome: 'applied', revision }, event: Object.freeze({ revision, changes }) }
  }

  #holds(compare: Compare): boolean {
    const entry = this.#get(compare.key)
    return 'created' in compare
      ? compare.created === (entry?.created ?? 0)
      : compare.revision === (entry?.revision ?? 0)
  }

  #eventsOf(operation: Operation, revision: number): KeyEvent[] {
    if ('endOf' in operation) {
      return this.#deletions(entry => entry.lease === operation.endOf, revision)
    }
    if (isPrefix(operation)) {
      return this.#deletions(({ key }) => key.startsWith(operation.prefix), revision)
    }
    const { key, lease } = operation
    const before = this.#get(key)
    if (operation.value === null) return before === null ? [] : [deletionOf(key, revision)]
    if (lease !== undefined && !this.#isLease(lease)) throw new LeaseEnded()
    return [entryOf(operation, revision, before?.created ?? revision)]
  }

  #deletions(goes: (entry: Entry) => boolean, revision: number): KeyEvent[] {
    const kept = [...this.#state.entries].filter(({ key }) => !this.#changed.has(key))
    const made = [...this.#changed.values()].filter(entry => entry !== null)
    return [...kept, ...made].filter(goes).map(({ key }) => deletionOf(key, revision))
  }
}

export const deletionOf = (key: string, revision: number): KeyEvent =>
  Object.freeze({ key, value: null, revision, created: 0 })

/** The key as a change leaves it that is no deletion. Takes the value for its own. */
export function entryOf(change: KeyChange, revision: number, created: number): Entry {
  const { key, lease } = change
  const value = freeze(change.value as Json)
  return Object.freeze({ key, value, revision, created, ...(lease === undefined ? {} : { lease }) })
}
