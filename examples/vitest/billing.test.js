import { Kafka, logLevel } from 'kafkajs'
import { startTestBroker } from 'odradek/testing'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { startBilling } from './billing.js'

let broker
let kafka

beforeAll(async () => {
  broker = await startTestBroker()
  const brokers = [broker.bootstrapServers]
  kafka = new Kafka({ brokers, logLevel: logLevel.NOTHING, retry: { initialRetryTime: 20 } })
})
afterAll(() => broker.close())
beforeEach(async () => {
  await broker.seed({ orders: {}, receipts: {} })
})
afterEach(() => broker.reset())

test('every order gets its receipt', async () => {
  await broker.seed({ orders: [{ key: 'o-1', value: 'coffee' }] })
  const billing = await startBilling(kafka)
  await broker.waitForGroupStable('billing')
  const [receipt] = await broker.waitForMessages('receipts')
  expect(String(receipt.value)).toBe('receipt for coffee')
  await billing.stop()
})

test('a receipt is written once, though the leader has just moved', async () => {
  const error = 'NOT_LEADER_OR_FOLLOWER'
  const fault = broker.fault({ api: 'Produce', topic: 'receipts', error, times: 2 })
  await broker.seed({ orders: [{ value: 'tea' }] })
  const billing = await startBilling(kafka)
  await broker.waitForMessages('receipts')
  await billing.stop()
  expect(fault.hits).toBe(2)
  let written = 0
  for await (const _ of broker.read('receipts', { until: 'end' })) written++
  expect(written).toBe(1)
})

test('what was acknowledged is there after a crash', async () => {
  const billing = await startBilling(kafka)
  await broker.append('orders', [{ value: 'water' }])
  await broker.waitForMessages('receipts')
  await billing.stop()
  await broker.restart({ crash: true })
  const [receipt] = await broker.waitForMessages('receipts')
  expect(String(receipt.value)).toBe('receipt for water')
})
