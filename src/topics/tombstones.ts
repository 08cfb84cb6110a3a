import type { KeyChange, MetadataStore } from '../metadata/store.ts'

/** Of their keys in the metadata store; topic ids follow. */
export const TOMBSTONES = 'deleted-topics/'
/** Removed with one transaction, beside what else is in it. */
const REMOVED_MAX = 100

/**
 * Topics that are deleted and whose folders may still be there: what a crash or a failure leaves of them is known for
 * certain to be of no use. One is kept from the transaction that deletes its topic until the folders are gone; it goes
 * with a later transaction or the next start.
 */
export class Tombstones {
  readonly #store: MetadataStore
  /** Names by topic id. */
  readonly #names = new Map<string, string>()
  readonly #finished = new Set<string>()

  constructor(store: MetadataStore) {
    this.#store = store
  }

  async load(): Promise<void> {
    const { entries } = await this.#store.list(TOMBSTONES)
    for (const { key, value } of entries) {
      this.#names.set(key.slice(TOMBSTONES.length), value as string)
    }
  }

  get ids(): string[] {
    return [...this.#names.keys()]
  }

  /** Of deleted topics with one of these names. */
  idsOf(names: ReadonlySet<string>): string[] {
    return this.ids.filter(id => names.has(this.#names.get(id)!))
  }

  /** What belongs into the transaction that deletes a topic. */
  changesFor({ id, name }: { readonly id: string; readonly name: string }): KeyChange[] {
    return [{ key: TOMBSTONES + id, value: name }, ...this.#removals()]
  }

  #removals(): KeyChange[] {
    const ids = [...this.#finished].slice(0, REMOVED_MAX)
    return ids.map(id => ({ key: TOMBSTONES + id, value: null }))
  }

  /** Such a transaction is durable. */
  applied(changes: readonly KeyChange[]): void {
    for (const { key, value } of changes) {
      if (!key.startsWith(TOMBSTONES)) continue
      const id = key.slice(TOMBSTONES.length)
      this.#finished.delete(id)
      if (value === null) this.#names.delete(id)
      else this.#names.set(id, value as string)
    }
  }

  /** Its folders are gone. */
  finish(id: string): void {
    this.#finished.add(id)
  }

  /** At a start, when nothing is left of any of them. */
  async clear(): Promise<void> {
    for (const id of this.#names.keys()) this.finish(id)
    while (this.#finished.size > 0) {
      const changes = this.#removals()
      await this.#store.transact([], changes)
      this.applied(changes)
    }
  }
}
