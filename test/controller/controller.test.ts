import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ClusterImage } from '../../src/cluster/image.ts'
import { Controller, type ControllerEffect } from '../../src/controller/controller.ts'
import type { Json } from '../../src/metadata/store.ts'
import {
  type PartitionState,
  partitionKey,
  toRecord,
} from '../../src/replication/partition-state.ts'
import type { Change, Observed } from '../../src/replication/types.ts'
import { partition } from '../lib/brokers.ts'

const test = suite('the controller')
const TTL_MS = 6_000
const KEY = partitionKey('T', 0)

/** Controller 1, which sees every change that is made, and whose transactions always apply. */
class Driver {
  now = 0
  revision = 0
  readonly image = new ClusterImage()
  readonly effects: ControllerEffect[] = []
  readonly controller: Controller
  /** What it has changed. */
  readonly written: Change[] = []

  constructor(preferredMs = Number.POSITIVE_INFINITY) {
    const { image, effects: out } = this
    this.controller = new Controller({
      me: 1,
      incarnation: 'i1',
      image,
      ttlMs: TTL_MS,
      preferredMs,
      mayBeUnclean: ({ entry }) => JSON.stringify(entry.value).includes('unclean'),
      out,
    })
    const topic: Json = { name: 't', id: 'T', partitions: 1, configs: {} }
    this.change('topics/t', topic)
    for (const id of [1, 2, 3]) this.register(id)
    this.controller.session('L1', 0)
    this.settle()
    this.written.splice(0)
  }

  change(key: string, value: Json | null): void {
    this.changeAll([{ key, value }])
  }

  changeAll(changes: readonly Change[]): void {
    const revision = ++this.revision
    const observed = changes.map(({ key, value }): Observed => {
      const created = value === null ? 0 : (this.image.entry(key)?.created ?? revision)
      return { key, value, created }
    })
    this.controller.changed(this.image.apply({ revision, changes: observed }), this.now)
  }

  register(id: number, over: object = {}): void {
    const value = { incarnation: `i${id}`, dir: 'd', lease: `L${id}`, start: 'clean', ...over }
    this.change(`brokers/${id}`, value as Json)
  }

  gone(id: number): void {
    this.changeAll([
      { key: `brokers/${id}`, value: null },
      { key: `unfenced/${id}`, value: null },
    ])
  }

  record(over: Partial<PartitionState>): void {
    this.change(KEY, toRecord(partition(over)))
  }

  get state(): PartitionState {
    return this.image.partition('T', 0)!
  }

  /** Lets it do all it wants to. */
  settle(): this {
    for (let i = 0; i < 50 && this.effects.length > 0; i++) {
      const { id, compares, changes } = this.effects.shift()!
      for (const compare of compares) {
        const entry = this.image.entry(compare.key)
        const holds =
          'revision' in compare
            ? (entry?.revision ?? 0) === compare.revision
            : (entry?.created ?? 0) === compare.created
        assert.ok(holds, JSON.stringify(compare))
      }
      this.written.push(...changes)
      this.changeAll(changes)
      const outcome = { outcome: 'applied', revision: this.revision } as const
      this.controller.answered(id, outcome, this.now)
    }
    assert.equal(this.effects, [])
    return this
  }

  pass(ms: number): this {
    for (const end = this.now + ms; this.now < end; ) {
      this.now += 100
      this.controller.tick(this.now)
      this.settle()
    }
    return this
  }
}

test('it is the broker that makes the key, and lets in whoever has registered', () => {
  const driver = new Driver()
  assert.ok(driver.controller.isActive)
  for (const id of [1, 2, 3]) assert.not.equal(driver.image.unfenced(id), 0)
})

test('every transaction compares the controller key it was elected with', () => {
  const driver = new Driver()
  driver.record({})
  driver.gone(1)
  driver.now += 200
  driver.controller.tick(driver.now)
  const { created } = driver.image.entry('controller')!
  assert.equal(driver.effects[0]!.compares[0], { key: 'controller', created })
})

test('who is gone for more than a moment leaves the ISR, and its leaderships go to others', () => {
  const driver = new Driver()
  driver.record({})
  driver.gone(1)
  driver.settle()
  assert.is(driver.state.leader, 1, 'its next life may be about to register')
  driver.pass(200)
  assert.equal([driver.state.leader, driver.state.isr], [2, [2, 3]])
})

test('a broker that is back at once keeps its place, not its leadership', () => {
  const driver = new Driver()
  driver.record({})
  driver.gone(1)
  driver.register(1, { incarnation: 'again' })
  driver.settle().pass(1_000)
  assert.equal([driver.state.leader, driver.state.isr, driver.state.epoch], [2, [1, 2, 3], 6])
  assert.not.equal(driver.image.unfenced(1), 0)
})

test('a broker without a rival leads again under its new incarnation', () => {
  const driver = new Driver()
  driver.record({ replicas: [1], isr: [1] })
  driver.gone(1)
  driver.register(1, { incarnation: 'again' })
  driver.settle()
  assert.equal([driver.state.leader, driver.state.by], [1, 'again'])
})

test('a new disk has lost everything, and is let in when nothing counts on it', () => {
  const driver = new Driver()
  driver.record({ leader: 2, by: 'i2' })
  driver.gone(3)
  driver.register(3, { start: 'new', incarnation: 'again' })
  driver.settle()
  assert.equal([driver.state.isr, driver.state.elr], [[1, 2], []])
  assert.not.equal(driver.image.unfenced(3), 0)
})

test('that a disk is new is not forgotten with the registration that said so', () => {
  const driver = new Driver()
  driver.record({ leader: 2, by: 'i2' })
  driver.gone(3)
  driver.change('nodes/3', { dir: 'd', state: 'new' })
  driver.register(3, { incarnation: 'again' })
  driver.settle()
  assert.equal(driver.state.isr, [1, 2])
  assert.equal(driver.image.entry('nodes/3')!.value, { dir: 'd', state: 'member' })
})

test('after a power cut a log that is not flushed counts no more, unless there is no other', () => {
  const driver = new Driver()
  driver.record({ leader: 2, by: 'i2', durable: false })
  for (const id of [1, 2, 3]) driver.gone(id)
  for (const id of [3, 1, 2]) driver.register(id, { start: 'recovered', incarnation: `j${id}` })
  driver.settle().pass(1_000)
  assert.equal(driver.state.isr.length, 1)
  assert.is(driver.state.leader, driver.state.isr[0])
  const killed = new Driver()
  killed.record({ leader: 2, by: 'i2', durable: false })
  killed.gone(1)
  killed.register(1, { start: 'killed', incarnation: 'again' })
  killed.settle().pass(1_000)
  assert.equal(killed.state.isr, [1, 2, 3])
  const durable = new Driver()
  durable.record({ leader: 2, by: 'i2' })
  durable.gone(1)
  durable.register(1, { start: 'recovered', incarnation: 'again' })
  durable.settle().pass(1_000)
  assert.equal(durable.state.isr, [1, 2, 3])
})

test('a failed partition is led and counted on elsewhere, unless there is no other', () => {
  const driver = new Driver()
  driver.record({})
  driver.register(1, { failed: ['T/0'] })
  driver.settle()
  assert.equal([driver.state.leader, driver.state.isr], [2, [2, 3]])
  const last = new Driver()
  last.record({ isr: [1] })
  last.register(1, { failed: ['T/0'] })
  last.settle()
  assert.equal(last.state.isr, [1])
})

test('a controller just elected waits a lease for those it has never seen', () => {
  const driver = new Driver()
  driver.record({ replicas: [1, 2, 9], isr: [1, 2, 9] })
  driver.pass(TTL_MS - 500)
  assert.equal(driver.state.isr, [1, 2, 9])
  driver.pass(1_000)
  assert.equal(driver.state.isr, [1, 2])
})

test('a partition without a leader gets one when somebody who may lead is let in', () => {
  const driver = new Driver()
  driver.gone(3)
  driver.record({ isr: [], elr: [3], leader: -1, by: '' })
  driver.settle().pass(1_000)
  assert.is(driver.state.leader, -1)
  driver.register(3, { incarnation: 'back' })
  driver.settle()
  assert.equal([driver.state.leader, driver.state.by, driver.state.isr], [3, 'back', [3]])
})

test('a key that let an earlier registration in is not written over: who compares it must see it go', () => {
  const driver = new Driver()
  driver.record({ leader: 2, by: 'i2' })
  const before = driver.image.unfenced(3)
  driver.gone(3)
  driver.register(3, { incarnation: 'again' })
  driver.settle()
  assert.ok(driver.image.unfenced(3) > before)
  assert.is(driver.image.entry('unfenced/3')!.created, driver.image.unfenced(3))
})

test('a broker that drains is followed by others, then fenced, and not let in again', () => {
  const driver = new Driver()
  driver.record({})
  driver.register(1, { draining: true })
  driver.settle().pass(1_000)
  assert.equal([driver.state.leader, driver.state.isr], [2, [2, 3]])
  assert.is(driver.image.unfenced(1), 0)
})

test('a broker that drains keeps what nobody else can lead', () => {
  const driver = new Driver()
  driver.record({ replicas: [2], isr: [2], leader: 2, by: 'i2' })
  driver.register(2, { draining: true })
  driver.settle().pass(1_000)
  assert.equal([driver.state.leader, driver.image.unfenced(2)], [2, 0])
})

test('a process that is gone need not be waited for, unless it was suspected wrongly a moment ago', () => {
  const driver = new Driver()
  driver.record({ leader: 2, by: 'i2' })
  driver.controller.refused(2, driver.now)
  driver.settle().pass(100)
  assert.is(driver.image.broker(2), null)
  assert.is(driver.state.leader, 1)
  driver.register(2, { start: 'live' })
  driver.settle()
  driver.controller.refused(2, driver.now)
  driver.settle()
  assert.not.equal(driver.image.broker(2), null)
})

/** A process that had told of itself once more since it was let in (`live`) was taken for the one before, and waited for. */
test('a process that was started since the last suspicion need not be waited for either', () => {
  const driver = new Driver()
  driver.record({ leader: 2, by: 'i2' })
  driver.controller.refused(2, driver.now)
  driver.settle().pass(100)
  driver.register(2, { start: 'killed', incarnation: 'next' })
  driver.settle()
  driver.register(2, { start: 'live', incarnation: 'next' })
  driver.controller.refused(2, driver.now)
  driver.settle()
  assert.is(driver.image.broker(2), null)
})

const UNCLEAN = { name: 't', id: 'T', partitions: 1, configs: { unclean: 'true' } }

test('where it may be unclean somebody leads when all that have everything are gone, and not before', () => {
  const driver = new Driver()
  driver.change('topics/t', UNCLEAN)
  driver.record({ leader: 2, by: 'i2', isr: [2], elr: [3] })
  driver.gone(2)
  driver.settle().pass(100)
  assert.is(driver.state.leader, 3, 'eligible')
  driver.gone(3)
  driver.settle().pass(100)
  assert.is(driver.state.leader, 1)
  assert.ok(driver.state.unclean > 0)
})

test('elsewhere the partition waits for them, until that is allowed', () => {
  const driver = new Driver()
  driver.record({ leader: 2, by: 'i2', isr: [2], elr: [] })
  driver.gone(2)
  driver.settle().pass(100)
  driver.settle().pass(100)
  assert.is(driver.state.leader, -1)
  driver.change('topics/t', UNCLEAN)
  driver.settle().pass(100)
  assert.is(driver.state.leader, 1)
})

test('one that is back and cannot lead yet is waited for', () => {
  const driver = new Driver()
  driver.record({ leader: 2, by: 'i2', isr: [2], elr: [] })
  driver.gone(2)
  driver.settle().pass(200)
  driver.register(2, { incarnation: 'next', failed: ['T/0'] })
  driver.change('topics/t', UNCLEAN)
  driver.settle().pass(200)
  assert.is(driver.state.leader, -1)
})

test('preferred leaders lead again after a while', () => {
  const driver = new Driver(300_000)
  driver.record({ leader: 2, by: 'i2' })
  driver.pass(299_000)
  assert.is(driver.state.leader, 2)
  driver.pass(2_000)
  assert.is(driver.state.leader, 1)
})

test('a leader whose disk has no room is replaced by one that has some, until it has some again', () => {
  const driver = new Driver(300_000)
  driver.record({})
  driver.register(2, { full: true })
  driver.register(1, { full: true })
  driver.settle()
  assert.equal([driver.state.leader, driver.state.isr], [3, [1, 2, 3]])
  driver.pass(302_000)
  assert.is(driver.state.leader, 3)
  driver.register(1)
  driver.pass(302_000)
  assert.is(driver.state.leader, 1)
})

test('a leader whose disk has no room stays where nobody else has some, and goes when somebody has', () => {
  const driver = new Driver()
  driver.record({})
  for (const id of [3, 2, 1]) driver.register(id, { full: true })
  driver.settle()
  assert.is(driver.state.leader, 1)
  driver.register(3)
  driver.settle()
  assert.is(driver.state.leader, 3)
})

test('records that belong to no topic are deleted after ten minutes', () => {
  const driver = new Driver()
  const orphan = partitionKey('U', 0)
  driver.change(orphan, toRecord(partition()))
  driver.pass(590_000)
  assert.not.equal(driver.image.entry(orphan), null)
  driver.pass(130_000)
  assert.is(driver.image.entry(orphan), null)
})

test('nobody is let in on the word of an own transaction before the watch has told what came before it', () => {
  const driver = new Driver()
  driver.gone(3)
  driver.settle()
  const value: Json = { incarnation: 'again', dir: 'd', lease: 'L3', start: 'new' }
  const revision = driver.revision + 5
  const learnt = driver.image.learn([{ key: 'brokers/3', value, revision, created: revision }])
  driver.controller.changed(learnt, driver.now)
  assert.equal(driver.effects, [])
  driver.revision = revision - 1
  driver.change('configs/x', {})
  driver.controller.tick(driver.now)
  driver.settle()
  assert.not.equal(driver.image.unfenced(3), 0)
})

test('a broker that is not controller changes nothing', () => {
  const driver = new Driver()
  driver.record({})
  driver.changeAll([{ key: 'controller', value: { broker: 2, incarnation: 'i2', tick: 0 } }])
  assert.not(driver.controller.isActive)
  driver.gone(3)
  driver.pass(10_000)
  assert.equal(driver.written, [])
  driver.change('controller', null)
  driver.settle().pass(TTL_MS + 500)
  assert.ok(driver.controller.isActive)
  assert.equal(driver.state.isr, [1, 2])
})

test('a controller whose process is gone is struck, and another takes its place', () => {
  const driver = new Driver()
  driver.record({ leader: 2, by: 'i2' })
  driver.changeAll([{ key: 'controller', value: { broker: 2, incarnation: 'i2', tick: 0 } }])
  driver.controller.refused(2, driver.now)
  driver.settle().pass(1_000)
  assert.ok(driver.controller.isActive)
  assert.equal([driver.image.broker(2), driver.state.leader], [null, 1])
})

test.run()
