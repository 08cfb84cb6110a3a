import { type History, microsOf, type Op, opsOf, readsOf, writesOf } from './history.ts'

/** What is known of one key. */
export class KeyLog {
  /** The operation that sent a value. */
  readonly writer = new Map<number, Op>()
  /** The operations that read a value and are ok. */
  readonly readers = new Map<number, Op[]>()
  /** All values that anybody has seen at an offset. */
  readonly at = new Map<number, Set<number>>()
  /** The first value of each offset, by offset: gaps are left out, for markers of transactions have offsets too. */
  readonly order: number[] = []
  readonly offsets: number[] = []
  /** Where a value is first and last in `order`. */
  readonly first = new Map<number, number>()
  readonly last = new Map<number, number>()

  see(offset: number, value: number): void {
    const values = this.at.get(offset)
    if (values === undefined) this.at.set(offset, new Set([value]))
    else values.add(value)
  }

  /** When all is seen. */
  arrange(): void {
    for (const offset of [...this.at.keys()].sort((a, b) => a - b)) {
      for (const value of this.at.get(offset)!) {
        if (!this.first.has(value)) this.first.set(value, this.order.length)
        this.last.set(value, this.order.length)
      }
      this.offsets.push(offset)
      this.order.push(this.at.get(offset)!.values().next().value!)
    }
  }

  /** How far it is from one value to the other; 1 where that is not known. */
  delta(from: number, to: number): number {
    const a = this.first.get(from)
    const b = this.first.get(to)
    return a === undefined || b === undefined ? 1 : b - a
  }
}

/** What follows from a history, for all checks. */
export class Derived {
  readonly ops: readonly Op[]
  readonly keys = new Map<number, KeyLog>()
  /** Processes that have ever left it to a group what they read. */
  readonly subscribers = new Set<number>()

  constructor(history: History) {
    this.ops = opsOf(history)
    for (const op of this.ops) {
      if (op.event.f === 'subscribe') this.subscribers.add(op.process)
      for (const [key, values] of writesOf(op)) {
        for (const value of values) this.key(key).writer.set(value, op)
      }
      this.#read(op)
    }
    for (const op of this.ops) if (this.mustHaveCommitted(op)) this.#placed(op)
    for (const log of this.keys.values()) log.arrange()
  }

  key(key: number): KeyLog {
    let log = this.keys.get(key)
    if (log === undefined) {
      log = new KeyLog()
      this.keys.set(key, log)
    }
    return log
  }

  /** Whatever became of the operation: what a poll shows must be there. */
  #read(op: Op): void {
    for (const [key, reads] of readsOf(op)) {
      const log = this.key(key)
      for (const [offset, value] of reads) {
        log.see(offset, value)
        if (op.type !== 'ok') continue
        const readers = log.readers.get(value)
        if (readers === undefined) log.readers.set(value, [op])
        else if (readers.at(-1) !== op) readers.push(op)
      }
    }
  }

  #placed(op: Op): void {
    for (const micro of microsOf(op)) {
      if (micro[0] !== 'send') continue
      const [offset, value] = micro[2]
      if (offset !== null) this.key(micro[1]).see(offset, value)
    }
  }

  /** It was said to be done, or somebody has seen that it is. */
  mustHaveCommitted(op: Op): boolean {
    if (op.type !== 'info') return op.type === 'ok'
    for (const [key, values] of writesOf(op)) {
      const { readers } = this.key(key)
      if (values.some(value => readers.has(value))) return true
    }
    return false
  }
}
