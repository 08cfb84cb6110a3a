import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { registrationOf } from '../../src/cluster/registration.ts'
import { Session, type SessionEffect, type SessionOptions } from '../../src/cluster/session.ts'
import type { Json } from '../../src/metadata/store.ts'
import type { Entry } from '../../src/replication/types.ts'

const test = suite('the session of a broker')
type Kind = SessionEffect['kind']
type Of<K extends Kind> = Extract<SessionEffect, { kind: K }>

class Driver {
  now = 0
  readonly effects: SessionEffect[] = []
  readonly session: Session

  constructor(over: Partial<SessionOptions> = {}) {
    this.session = new Session({
      id: 1,
      ttlMs: 6_000,
      incarnation: 'now',
      dir: 'mine',
      start: 'recovered',
      replacesNode: false,
      facts: { rack: 'a' },
      out: this.effects,
      ...over,
    })
  }

  take<K extends Kind>(kind: K): Of<K> {
    const found = this.effects.filter(e => e.kind === kind)
    assert.is(found.length, 1, `${kind} in ${this.effects.map(e => e.kind)}`)
    this.effects.splice(0)
    return found[0] as Of<K>
  }

  /** Up to the lease, which is asked for now. */
  lease(): Of<'register'> {
    this.session.tick(this.now)
    this.session.granted(this.take('grant').id, 'L1', this.now)
    return this.take('register')
  }

  see(value: Json, created: number, revision = created): void {
    const entry = { key: 'brokers/1', value, created, revision }
    this.session.seen(registrationOf(entry), this.now)
  }

  registered(created = 10): this {
    const { id, changes } = this.lease()
    this.see(changes[0]!.value!, created)
    this.session.answered(id, { outcome: 'applied', revision: created }, this.now)
    // What it says of itself it says once more, bound to the lease it has now.
    const again = this.effects.find(e => e.kind === 'register') as Of<'register'>
    this.see(again.changes[0]!.value!, created, created + 1)
    this.session.answered(again.id, { outcome: 'applied', revision: created + 1 }, this.now)
    this.session.told(created + 1, this.now)
    this.effects.splice(0)
    return this
  }
}

const entry = (key: string, value: Json, created = 5): Entry => ({
  key,
  value,
  created,
  revision: created,
})

test('a new broker takes its id and its folder in one transaction', () => {
  const driver = new Driver({ start: 'new' })
  const { compares, changes } = driver.lease()
  assert.equal(compares, [
    { key: 'brokers/1', created: 0 },
    { key: 'nodes/1', revision: 0 },
  ])
  assert.equal(changes[1], { key: 'nodes/1', value: { dir: 'mine', state: 'new' } })
  const own = { rack: 'a', incarnation: 'now', dir: 'mine', lease: 'L1', start: 'new' }
  assert.equal(changes[0], { key: 'brokers/1', value: own, lease: 'L1' })
})

test('an earlier life of the same folder is deleted, so that the new registration has an epoch of its own', () => {
  const driver = new Driver()
  const { id } = driver.lease()
  const now = [entry('brokers/1', { dir: 'mine', incarnation: 'before' })]
  driver.session.answered(id, { outcome: 'refused', revision: 9, now }, 0)
  const { compares, changes, id: second } = driver.take('register')
  assert.equal(compares, [{ key: 'brokers/1', created: 5 }])
  assert.equal(changes, [
    { key: 'brokers/1', value: null },
    { key: 'unfenced/1', value: null },
  ])
  driver.session.answered(second, { outcome: 'applied', revision: 10 }, 0)
  assert.equal(driver.take('register').compares[0], { key: 'brokers/1', created: 0 })
})

test('another folder under the same id is waited for, never deleted, and told once', () => {
  const driver = new Driver()
  const now = [entry('brokers/1', { dir: 'other', incarnation: 'x' })]
  driver.session.answered(driver.lease().id, { outcome: 'refused', revision: 9, now }, 0)
  assert.match(driver.take('blocked').reason, 'in use by data folder other')
  driver.session.tick(500)
  driver.session.answered(driver.take('register').id, { outcome: 'refused', revision: 9, now }, 500)
  assert.equal(driver.effects, [])
})

test('an id that belongs to another folder is not taken, unless that is what was asked for', () => {
  const now = [entry('nodes/1', { dir: 'old', state: 'member' })]
  const driver = new Driver()
  driver.session.answered(driver.lease().id, { outcome: 'refused', revision: 9, now }, 0)
  assert.match(driver.take('blocked').reason, 'belongs to data folder old')
  const replacing = new Driver({ replacesNode: true, start: 'new' })
  replacing.session.answered(replacing.lease().id, { outcome: 'refused', revision: 9, now }, 0)
  const { compares, changes } = replacing.take('register')
  assert.equal(compares[1], { key: 'nodes/1', revision: 5 })
  assert.equal(changes[1]!.value, { dir: 'mine', state: 'new' })
})

test('the lease counts from when the last successful keep-alive was sent', () => {
  const driver = new Driver().registered()
  driver.now = 2_000
  driver.session.tick(2_000)
  const { id } = driver.take('keepAlive')
  driver.session.kept(id, 6_000, 5_000)
  assert.ok(driver.session.isHeld(2_000 + 5_940 - 500))
  assert.not(driver.session.isHeld(2_001 + 5_940 - 500))
})

test('a keep-alive without an answer leaves the broker uncertain in time, and one with an answer ends that', () => {
  const driver = new Driver().registered()
  driver.session.tick(2_000)
  const { id } = driver.take('keepAlive')
  driver.session.kept(id, null, 3_000)
  driver.effects.splice(0)
  driver.session.tick(5_441)
  assert.equal(driver.effects[0], { kind: 'uncertain', isUncertain: true })
  driver.session.kept(driver.take('keepAlive').id, 6_000, 5_500)
  assert.equal(driver.effects[0], { kind: 'uncertain', isUncertain: false })
})

test('a jump of the clock makes the broker uncertain, whatever is on its way', () => {
  const driver = new Driver().registered()
  driver.session.tick(2_000)
  const { id } = driver.take('keepAlive')
  driver.session.clockJumped(2_100)
  assert.not(driver.session.isHeld(2_100))
  driver.session.kept(id, 6_000, 2_200)
  assert.not(driver.session.isHeld(2_200), 'sent before the jump')
  const next = driver.effects.find(e => e.kind === 'keepAlive') as Of<'keepAlive'>
  driver.session.kept(next.id, 6_000, 2_300)
  assert.ok(driver.session.isHeld(2_300))
})

test('a new registration makes nothing certain before the image shows what came before it', () => {
  const driver = new Driver().registered()
  driver.session.seen(null, 100)
  driver.session.granted(driver.take('grant').id, 'L2', 200)
  driver.see(driver.take('register').changes[0]!.value!, 30)
  assert.not(driver.session.isHeld(300))
  driver.session.told(29, 300)
  assert.not(driver.session.isHeld(300))
  driver.session.told(30, 300)
  assert.ok(driver.session.isHeld(300))
})

test('a lease that is gone is asked for anew, and the registration says that the process went on', () => {
  const driver = new Driver().registered()
  driver.session.unfenced()
  driver.session.tick(2_000)
  driver.session.kept(driver.take('keepAlive').id, 0, 2_100)
  assert.is(driver.session.epoch, 0)
  assert.ok(driver.effects.some(e => e.kind === 'uncertain' && e.isUncertain))
  driver.session.granted(driver.take('grant').id, 'L2', 2_200)
  const { start, lease } = driver.take('register').changes[0]!.value as Record<string, string>
  assert.equal([start, lease], ['live', 'L2'])
})

test('a broker that was never unfenced says of its start what it said first', () => {
  const driver = new Driver().registered()
  driver.session.seen(null, 100)
  driver.session.granted(driver.take('grant').id, 'L2', 200)
  const { start } = driver.take('register').changes[0]!.value as Record<string, string>
  assert.is(start, 'recovered')
})

test('a change of what it says compares the revision, and is sent until it is applied', () => {
  const driver = new Driver().registered(10)
  driver.session.change({ failed: ['T/0'] }, 100)
  const first = driver.take('register')
  assert.equal(first.compares, [{ key: 'brokers/1', revision: 11 }])
  driver.session.answered(first.id, { outcome: 'unknown' }, 200)
  driver.session.tick(1_000)
  const second = driver.take('register')
  assert.equal((second.changes[0]!.value as { failed: string[] }).failed, ['T/0'])
  driver.session.answered(second.id, { outcome: 'applied', revision: 12 }, 1_000)
  driver.effects.splice(0)
  driver.session.tick(1_900)
  assert.equal(driver.effects, [])
})

test('a broker that stops gives its lease back', () => {
  const driver = new Driver().registered()
  driver.session.stop()
  assert.equal(driver.take('revoke').lease, 'L1')
  driver.session.tick(99_999)
  assert.equal(driver.effects, [])
})

test.run()
