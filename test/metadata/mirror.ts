import * as assert from 'uvu/assert'
import type { Entry, Listing, MetadataStore, Watch, WatchEvent } from '../../src/metadata/store.ts'

/** How long a watch may take to be where its store is. */
const REACH_MS = 20_000

/** What somebody knows of a store who listed it once and watches it since. Complains of what a watch must not do. */
export class Mirror {
  readonly #prefix: string
  readonly #entries = new Map<string, Entry>()
  #revision: number
  #arrived: () => void = () => {}
  readonly watch: Watch
  /** "revision key=value" for each change. */
  readonly told: string[] = []
  resets = 0
  /** What a watch did that it must not do. */
  problem: Error | null = null

  constructor(store: MetadataStore, prefix: string, { revision, entries }: Listing) {
    this.#prefix = prefix
    this.#revision = revision
    for (const entry of entries) this.#entries.set(entry.key, entry)
    this.watch = store.watch(prefix, revision, {
      onChange: event => this.#take(() => this.#change(event)),
      onReset: (at, all) => this.#take(() => this.reset(at, all)),
    })
  }

  static async of(store: MetadataStore, prefix: string): Promise<Mirror> {
    return new Mirror(store, prefix, await store.list(prefix))
  }

  #take(act: () => void): void {
    try {
      act()
    } catch (error) {
      this.problem ??= error as Error
    }
    this.#arrived()
  }

  #change({ revision, changes }: WatchEvent): void {
    assert.ok(revision > this.#revision, `revision ${revision} is told after ${this.#revision}`)
    assert.ok(changes.length > 0)
    this.#revision = revision
    for (const change of changes) {
      const { key, value } = change
      assert.ok(key.startsWith(this.#prefix), `${key} is not of ${this.#prefix}`)
      assert.is(change.revision, revision)
      this.told.push(`${revision} ${key}=${JSON.stringify(value)}`)
      const before = this.#entries.get(key)
      if (change.value === null) {
        assert.ok(before !== undefined, `${key} was not there, and is told to be deleted`)
        this.#entries.delete(key)
      } else {
        assert.is(change.created, before?.created ?? revision)
        this.#entries.set(key, change)
      }
    }
  }

  reset(revision: number, entries: readonly Entry[]): void {
    this.resets++
    this.#revision = revision
    this.#entries.clear()
    for (const entry of entries) this.#entries.set(entry.key, entry)
  }

  get entries(): Entry[] {
    return [...this.#entries.values()].sort((a, b) => (a.key < b.key ? -1 : 1))
  }

  /** Resolves when it was told what is waited for. */
  async until(isThere: () => boolean): Promise<void> {
    const until = performance.now() + REACH_MS
    while (this.problem === null && !isThere()) {
      const left = until - performance.now()
      if (left <= 0) assert.unreachable(`not told: only ${this.told.join(', ')}`)
      await this.#event(left)
    }
    if (this.problem !== null) throw this.problem
  }

  /** Resolves when it has what the store has now, with the same revisions. */
  async reaches(store: MetadataStore, withinMs = REACH_MS): Promise<void> {
    const { entries } = await store.list(this.#prefix)
    const wanted = JSON.stringify(entries)
    const until = performance.now() + withinMs
    while (this.problem === null && JSON.stringify(this.entries) !== wanted) {
      const left = until - performance.now()
      if (left <= 0) assert.equal(this.entries, entries, 'the watch does not get there')
      await this.#event(left)
    }
    if (this.problem !== null) throw this.problem
  }

  #event(ms: number): Promise<void> {
    return new Promise(resolve => {
      const timer = setTimeout(resolve, ms)
      this.#arrived = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}
