import type { Random } from '../../lib/random.ts'
import type { Completed, HistoryEvent, Micro, Read } from '../history.ts'
import { SimulatedGroup, type SimulatedProcess } from './simulated-group.ts'

const THREADS = 4
const KEYS = 4
const MICROS_MAX = 4
const READS_MAX = 6
/** How often something else than `ok` becomes of an operation. */
const TROUBLE = 0.12

/** Each `next` is a moment at which others may do something. */
type Doing = Generator<undefined, void>

/** A log that does everything right, and clients of it that fail, crash and do not know: their history has nothing wrong. */
export class SimulatedRun {
  readonly events: HistoryEvent[] = []
  readonly #random: Random
  readonly #logs = new Map<number, { records: Read[]; end: number; sent: number }>()
  readonly #group = new SimulatedGroup()
  readonly #threads: { process: SimulatedProcess; doing: Doing | null }[]
  /** Sends of which nothing is known, and that arrive later. */
  readonly #late: (() => void)[] = []
  #time = 0
  #processes = 0

  constructor(random: Random, steps: number) {
    this.#random = random
    for (let key = 0; key < KEYS; key++) this.#logs.set(key, { records: [], end: 0, sent: 0 })
    this.#threads = Array.from({ length: THREADS }, () => ({
      process: this.#newProcess(),
      doing: null,
    }))
    for (let i = 0; i < steps; i++) this.#step()
    for (const arrive of this.#late.splice(0)) arrive()
    this.#readAll()
  }

  #newProcess(): SimulatedProcess {
    const isSubscriber = this.#random.chance(0.4)
    return { id: this.#processes++, isSubscriber, places: new Map(), rebalanced: new Set() }
  }

  #step(): void {
    const r = this.#random
    if (this.#late.length > 0 && r.chance(0.05)) this.#late.shift()!()
    const thread = r.pick(this.#threads)
    thread.doing ??= this.#invoke(thread.process)
    if (thread.doing.next().done !== true) return
    thread.doing = null
    const { process, type } = this.events.at(-1)!
    if (process !== thread.process.id || type !== 'info') return
    this.#group.leave(thread.process)
    thread.process = this.#newProcess()
  }

  #invoke(process: SimulatedProcess): Doing {
    const roll = this.#random.next()
    if (roll < 0.02) return this.#crash(process)
    if (roll < 0.12) return this.#choose(process)
    if (roll < 0.3) return this.#work(process, 'txn', 1 + this.#random.below(MICROS_MAX))
    return this.#work(process, roll < 0.65 ? 'send' : 'poll', 1)
  }

  #note(event: Record<string, unknown>): void {
    this.#time += 1 + this.#random.below(1_000_000)
    this.events.push({ index: this.events.length, time: this.#time, ...event } as HistoryEvent)
  }

  *#crash({ id }: SimulatedProcess): Doing {
    this.#note({ process: id, type: 'invoke', f: 'crash', value: null })
    yield
    this.#note({ process: id, type: 'info', f: 'crash', value: null })
  }

  *#choose(process: SimulatedProcess): Doing {
    const value = [...this.#logs.keys()].filter(() => this.#random.chance(0.6))
    const f = process.isSubscriber ? 'subscribe' : 'assign'
    const isFromStart = f === 'assign' && this.#random.chance(0.1)
    const op = { process: process.id, f, value, ...(isFromStart && { seekToBeginning: true }) }
    this.#note({ ...op, type: 'invoke' })
    yield
    if (process.isSubscriber) this.#group.subscribe(process, value)
    else {
      const before = isFromStart ? new Map<number, number>() : process.places
      process.places = new Map(value.map(key => [key, before.get(key) ?? 0]))
    }
    yield
    this.#note({ ...op, type: 'ok' })
  }

  *#work(process: SimulatedProcess, f: 'send' | 'poll' | 'txn', count: number): Doing {
    const r = this.#random
    const micros = Array.from({ length: count }, () => this.#micro(f))
    this.#note({ process: process.id, type: 'invoke', f, value: micros })
    const before = new Map(process.places)
    const done = [...micros]
    for (const [i, micro] of micros.entries()) {
      yield
      if (micro[0] === 'poll') done[i] = ['poll', this.#poll(process)]
    }
    yield
    const type = r.chance(TROUBLE) ? r.pick<Completed>(['fail', 'info']) : 'ok'
    this.#settle(type, done)
    const op = { process: process.id, type, f, value: done }
    if (type === 'ok') this.#group.commit(process)
    else for (const key of process.places.keys()) process.places.set(key, before.get(key) ?? 0)
    yield
    const rebalanced = [...process.rebalanced]
    process.rebalanced.clear()
    this.#note({ ...op, ...(rebalanced.length > 0 && { rebalanced }) })
  }

  #micro(f: 'send' | 'poll' | 'txn'): Micro {
    if (f === 'poll' || (f === 'txn' && this.#random.chance(0.5))) return ['poll', {}]
    const key = this.#random.below(KEYS)
    return ['send', key, [null, ++this.#logs.get(key)!.sent]]
  }

  #poll({ places }: SimulatedProcess): Record<string, Read[]> {
    const found: Record<string, Read[]> = {}
    for (const [key, place] of places) {
      const { records } = this.#logs.get(key)!
      const end = Math.min(records.length, place + this.#random.below(READS_MAX))
      if (end > place) found[key] = records.slice(place, end)
      places.set(key, end)
    }
    return found
  }

  /** All of its sends take effect at this moment, or later, or not; it may know their offsets. */
  #settle(type: Completed, micros: Micro[]): void {
    const r = this.#random
    const append = (): void => {
      for (const [i, micro] of micros.entries()) {
        if (micro[0] !== 'send') continue
        const [, key, [, value]] = micro
        const log = this.#logs.get(key)!
        log.end += r.chance(0.2) ? r.below(3) : 0
        log.records.push([log.end, value])
        micros[i] = ['send', key, [type === 'ok' && r.chance(0.9) ? log.end : null, value]]
        log.end++
      }
    }
    if (type === 'ok' || (type === 'info' && r.chance(0.4))) append()
    else if (type === 'info' && r.chance(0.5)) this.#late.push(append)
  }

  /** As at the end of a run: somebody new reads everything. */
  #readAll(): void {
    for (const thread of this.#threads) while (thread.doing?.next().done === false);
    const id = this.#processes++
    const value = [...this.#logs.keys()]
    const choice = { process: id, f: 'assign', value, seekToBeginning: true }
    this.#note({ ...choice, type: 'invoke' })
    this.#note({ ...choice, type: 'ok' })
    const places = new Map(value.map(key => [key, 0]))
    const reader = { id, isSubscriber: false, places, rebalanced: new Set<number>() }
    const isBehind = (): boolean =>
      value.some(key => reader.places.get(key)! < this.#logs.get(key)!.records.length)
    while (isBehind()) {
      const op = { process: id, f: 'poll' }
      this.#note({ ...op, type: 'invoke', value: [['poll', {}]] })
      this.#note({ ...op, type: 'ok', value: [['poll', this.#poll(reader)]] })
    }
  }
}
