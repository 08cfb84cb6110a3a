import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { ConfigValues } from '../../src/configs/definition.ts'
import { parseIpOverrides, plainAddress } from '../../src/configs/ip-overrides.ts'
import { ConnectionBounds } from '../../src/net/connection-bounds.ts'

const test = suite('connection bounds')

const viewOf = (values: ConfigValues) => ({
  view: { dynamicBroker: values, dynamicDefault: {}, static: {} },
})

test('an address is the same however it is written', () => {
  assert.is(plainAddress('::ffff:10.0.0.1'), '10.0.0.1')
  assert.is(plainAddress('2001:DB8:0:0:0:0:0:1'), '2001:db8::1')
  const overrides = parseIpOverrides(' ::1:5 , 10.0.0.1:100,0:0:0:0:0:0:0:2:7')!
  assert.equal(
    [...overrides],
    [
      ['::1', 5],
      ['10.0.0.1', 100],
      ['::2', 7],
    ],
  )
})

test('an override goes before the bound of all addresses', () => {
  const overrides = { 'max.connections.per.ip.overrides': '10.0.0.1:3,10.0.0.2:0' }
  const configs = viewOf({ 'max.connections': '9', 'max.connections.per.ip': '1', ...overrides })
  const bounds = new ConnectionBounds(configs)
  assert.is(bounds.refusal('10.0.0.1', 5, 2), null)
  assert.is(bounds.refusal('10.0.0.1', 5, 3), 'max.connections.per.ip.overrides has 10.0.0.1:3')
  assert.is(bounds.refusal('10.0.0.2', 5, 0), 'max.connections.per.ip.overrides has 10.0.0.2:0')
  assert.is(bounds.refusal('10.0.0.3', 5, 0), null)
  assert.is(bounds.refusal('10.0.0.3', 5, 1), 'max.connections.per.ip is 1')
  assert.is(bounds.refusal('10.0.0.1', 9, 0), 'max.connections is 9')
})

test('turns come at the rate, after as many at once as a second has', () => {
  const configs = viewOf({ 'max.connection.creation.rate': '4' })
  const bounds = new ConnectionBounds(configs)
  const take = (now: number, count: number) =>
    Array.from({ length: count }, () => bounds.takeTurn(now))
  assert.equal(take(10_000, 6), [0, 0, 0, 0, 250, 500])
  assert.equal(take(10_750, 1), [0])
  assert.equal(take(60_000, 5), [0, 0, 0, 0, 250], 'no more is saved up than a second has')
  configs.view = { ...configs.view, dynamicBroker: { 'max.connection.creation.rate': '1000' } }
  assert.equal(take(60_000, 1), [0], 'a new rate begins anew')
  configs.view = { ...configs.view, dynamicBroker: { 'max.connection.creation.rate': '0' } }
  assert.ok(take(60_000, 1)[0]! > 1e9, 'none at all')
})

test('without a rate nobody waits', () => {
  const bounds = new ConnectionBounds(viewOf({}))
  for (let i = 0; i < 10_000; i++) assert.is(bounds.takeTurn(1_000), 0)
})

test.run()
