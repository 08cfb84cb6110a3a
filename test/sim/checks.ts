import {
  effectiveMin,
  fromEntry,
  PARTITION_PREFIX,
  type PartitionState,
} from '../../src/replication/partition-state.ts'
import type { Entry } from '../../src/replication/types.ts'
import type { SimEtcd } from './etcd.ts'
import { type Batch, keyOf, type LogContent } from './log-content.ts'
import { Violation, type World } from './world.ts'

/** What a check has to know of a broker. */
export interface CheckedNode {
  readonly id: number
  log(key: string): LogContent | null
  /** The controller has let it in: nothing counts on what it lost before. */
  admitted(): void
  /** Its copy is not what the record may count on, and that is on its way to the record. */
  isExcused(key: string): boolean
}

interface Committed {
  /** By base offset: all that was ever below somebody's high watermark. */
  readonly batches: Map<number, Batch>
  readonly acked: { readonly batch: Batch; readonly at: number }[]
  /** When a leader of this epoch was elected. */
  readonly elections: Map<number, number>
  /** Appender by epoch. */
  readonly appenders: Map<number, string>
  hw: number
}

/** The invariants of the design, looked at whenever something happens that one of them speaks of. */
export class Checks {
  readonly #world: World
  readonly #etcd: SimEtcd
  readonly #nodes: readonly CheckedNode[]
  readonly #all = new Map<string, Committed>()
  /** Somebody was elected uncleanly: records may be lost. */
  isForgiven = false
  /** A copy was lost: what a leader of before commits now may have one less among those that may be elected. */
  hasLostCopies = false
  acks = 0

  constructor(world: World, etcd: SimEtcd, nodes: readonly CheckedNode[]) {
    this.#world = world
    this.#etcd = etcd
    this.#nodes = nodes
    etcd.onPut = (key, old, now) => {
      if (now === null) return
      if (key.startsWith(PARTITION_PREFIX)) this.#record(key, old, now)
      if (key.startsWith('unfenced/')) nodes.find(({ id }) => key === `unfenced/${id}`)?.admitted()
    }
  }

  fail(rule: string, text: string): never {
    throw new Violation(`${rule}: ${text}`)
  }

  of(key: string): Committed {
    let found = this.#all.get(key)
    if (found === undefined) {
      found = { batches: new Map(), acked: [], appenders: new Map(), elections: new Map(), hw: 0 }
      this.#all.set(key, found)
    }
    return found
  }

  /** A replica knows that all below `hw` is committed; it was looked at up to `from`. */
  highWatermark(node: CheckedNode, key: string, from: number, hw: number): void {
    if (this.isForgiven) return
    const log = node.log(key)!
    const known = this.of(key)
    if (hw > log.end) this.fail('I2', `${node.id} says ${hw} is committed and ends at ${log.end}`)
    for (let at = Math.max(from, log.start); at < hw; ) {
      const batch = log.at(at)
      if (batch === null) {
        const next = Math.min(log.nextAt(at), hw)
        if (next === at) this.fail('I2', `${node.id} has nothing at ${at} below ${hw}`)
        for (let gap = at; gap < next; gap++) this.#mayLack(node, known, gap)
        at = next
        continue
      }
      const other = known.batches.get(batch.baseOffset)
      if (other === undefined) known.batches.set(batch.baseOffset, batch)
      else if (other.value !== batch.value || other.epoch !== batch.epoch) {
        this.fail(
          'I2',
          `${node.id} has value ${batch.value} of epoch ${batch.epoch} committed at ${at}, not ${other.value} of epoch ${other.epoch}`,
        )
      }
      at = batch.lastOffset + 1
    }
    if (hw <= known.hw) return
    known.hw = hw
    this.#everywhere(key)
  }

  /** Compaction may take what was there, of which something newer is committed. */
  #mayLack(node: CheckedNode, { batches }: Committed, offset: number): void {
    const batch = batches.get(offset)
    if (batch === undefined) return
    for (const later of batches.values()) {
      if (later.baseOffset > offset && keyOf(later) === keyOf(batch)) return
    }
    this.fail('I2', `${node.id} has nothing at ${offset}, and nothing newer is committed`)
  }

  /** The leader moved its high watermark by this record. */
  advanced(key: string, record: PartitionState, hw: number): void {
    if (this.isForgiven || this.hasLostCopies) return
    const members = this.#membersOf(key)
    const count = members.filter(node => this.#has(node, key, hw)).length
    // One that stood still may have an older record: with more replicas, or with a higher minimum.
    const newest = fromEntry(this.#etcd.get(key)!)
    if (count < Math.min(effectiveMin(record), effectiveMin(newest))) {
      this.fail('I4', `${key} is committed up to ${hw} by ${count} of ISR and ELR`)
    }
  }

  acked(key: string, batch: Batch): void {
    this.acks++
    if (this.isForgiven) return
    const known = this.of(key)
    if (known.batches.get(batch.baseOffset)?.value !== batch.value) {
      this.fail(
        'I1',
        `value ${batch.value} is acknowledged and not committed at ${batch.baseOffset}`,
      )
    }
    known.acked.push({ batch, at: this.#world.now })
  }

  /** A broker begins to lead. */
  leads(node: CheckedNode, key: string, epoch: number): void {
    if (this.isForgiven) return
    const log = node.log(key)!
    const { acked, elections } = this.of(key)
    // One that stood still may begin to lead when others have led after it: what counts is when it was elected.
    const until = elections.get(epoch)!
    for (const { batch, at } of acked) {
      if (at > until) return
      if (batch.baseOffset < log.start) continue
      const there = log.at(batch.baseOffset)
      if (there === null ? !log.hasLater(batch) : there.value !== batch.value) {
        this.fail('I1', `${node.id} leads ${epoch} without ${batch.value} at ${batch.baseOffset}`)
      }
    }
  }

  /** What a coordinator has read of its log up to `end` has all that was acknowledged before it was elected. */
  loaded(key: string, epoch: number, end: number): void {
    if (this.isForgiven) return
    const { acked, elections } = this.of(key)
    const until = elections.get(epoch)!
    for (const { batch, at } of acked) {
      if (at <= until && batch.baseOffset >= end) {
        this.fail('I10', `${key} was read to ${end}, and ${batch.baseOffset} is acknowledged`)
      }
    }
  }

  /** A controller has written something. */
  controls(incarnation: string): void {
    const { incarnation: real } = this.#etcd.get('controller')!.value as { incarnation: string }
    if (incarnation !== real) this.fail('I14', `${incarnation} writes, and ${real} is controller`)
  }

  appends(key: string, epoch: number, by: string): void {
    const { appenders } = this.of(key)
    const other = appenders.get(epoch)
    if (other === undefined) appenders.set(epoch, by)
    else if (other !== by) this.fail('I3', `${by} and ${other} append to ${key} in epoch ${epoch}`)
  }

  cuts(node: CheckedNode, key: string, offset: number, hw: number): void {
    if (offset < hw && !this.isForgiven)
      this.fail('I7', `${node.id} cuts ${key} to ${offset} below ${hw}`)
  }

  #membersOf(key: string): CheckedNode[] {
    const entry = this.#etcd.get(key)
    if (entry === null) return []
    const { isr, elr } = fromEntry(entry)
    return this.#nodes.filter(({ id }) => isr.includes(id) || elr.includes(id))
  }

  #has(node: CheckedNode, key: string, hw: number): boolean {
    const log = node.log(key)
    if (log === null || log.end < hw) return false
    if (hw === 0 || hw <= log.start) return true
    const last = log.at(hw - 1)
    // Compacted: what is left up to the end was compared when it was committed.
    if (last === null) return log.nextAt(hw - 1) < log.end
    return this.of(key).batches.get(last.baseOffset)?.value === last.value
  }

  /** I8: whoever may be elected has all that is committed, on disk. */
  #everywhere(key: string): void {
    if (this.isForgiven) return
    const { hw } = this.of(key)
    if (hw === 0) return
    const isDurable = fromEntry(this.#etcd.get(key)!).durable
    for (const node of this.#membersOf(key)) {
      if (node.isExcused(key)) continue
      const log = node.log(key)
      const end = log === null ? -1 : isDurable ? log.flushed : log.end
      if (end < hw || !this.#has(node, key, hw)) {
        this.fail('I8', `${node.id} may lead ${key} and has ${end} of ${hw}`)
      }
    }
  }

  /** When replicas go, as many as were promised must have what is committed. */
  #keepsCopies(key: string, before: PartitionState, now: PartitionState): void {
    if (this.isForgiven || this.hasLostCopies) return
    if (before.replicas.every(id => now.replicas.includes(id))) return
    const { hw } = this.of(key)
    if (hw === 0) return
    const count = this.#membersOf(key).filter(node => this.#has(node, key, hw)).length
    const least = Math.min(effectiveMin(now), before.isr.length + before.elr.length)
    if (count < least) this.fail('I4', `${count} have ${key} up to ${hw} when replicas go`)
  }

  #record(key: string, before: Entry | null, entry: Entry): void {
    const now = fromEntry(entry)
    const { replicas, isr, elr, leader, epoch } = now
    this.#world.note(
      'record',
      `${key} e${epoch} l${leader}`,
      `[${isr}]`,
      `[${elr}] of [${replicas}]`,
    )
    const isIn = (some: readonly number[], all: readonly number[]) =>
      some.every(id => all.includes(id))
    if (!isIn(isr, replicas) || !isIn(elr, replicas) || elr.some(id => isr.includes(id))) {
      this.fail('I11', `ISR ${isr} and ELR ${elr} of ${replicas}`)
    }
    if (leader !== -1 && !isr.includes(leader))
      this.fail('I11', `${leader} leads outside of ${isr}`)
    if (before !== null && fromEntry(before).epoch > epoch)
      this.fail('I6', `epoch ${epoch} of ${key}`)
    const { elections } = this.of(key)
    if (!elections.has(epoch)) elections.set(epoch, this.#world.now)
    if (before !== null) this.#keepsCopies(key, fromEntry(before), now)
    // Entries are told before they can be read: what the record says now is looked at as it is.
    this.#everywhere(key)
  }
}
