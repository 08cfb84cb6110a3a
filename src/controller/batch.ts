import type { Change, Compare } from '../replication/types.ts'

/** Of etcd's 128 compares and 128 operations, with room for the few that one more record brings. */
const MAX = 120

const nameOf = (compare: Compare): string =>
  'revision' in compare ? `r ${compare.key}` : `c ${compare.key}`

/** Changes that go in one transaction. */
export class Batch {
  readonly changes: Change[] = []
  /** Of records that are changed. */
  readonly keys: string[] = []
  readonly #compares = new Map<string, Compare>()

  get compares(): readonly Compare[] {
    return [...this.#compares.values()]
  }

  get isEmpty(): boolean {
    return this.changes.length === 0
  }

  /** It is about brokers or records already: what else is to be done is decided by what comes of that. */
  get isDecided(): boolean {
    return this.changes.some(({ key }) => key !== 'controller')
  }

  get isFull(): boolean {
    return this.changes.length >= MAX || this.#compares.size >= MAX
  }

  /** The same compare twice is one. */
  require(compare: Compare): void {
    this.#compares.set(nameOf(compare), compare)
  }

  /** @param record its key, if it is a partition record */
  add(change: Change, record?: string): void {
    this.changes.push(change)
    if (record !== undefined) this.keys.push(record)
  }
}
