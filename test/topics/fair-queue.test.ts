import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { FairQueue } from '../../src/topics/fair-queue.ts'

const test = suite('a queue that is fair between clients')

test('one action at a time, clients in turn, each client in its order', async () => {
  const queue = new FairQueue()
  const order: string[] = []
  let running = 0
  const action = (name: string) => async () => {
    assert.is(++running, 1)
    await new Promise(resolve => setImmediate(resolve))
    running--
    order.push(name)
    return name
  }
  const greedy = [1, 2, 3, 4, 5].map(i => queue.run('greedy', action(`g${i}`)))
  const modest = [1, 2].map(i => queue.run('modest', action(`m${i}`)))
  assert.equal(await Promise.all([...greedy, ...modest]), [
    'g1',
    'g2',
    'g3',
    'g4',
    'g5',
    'm1',
    'm2',
  ])
  assert.equal(order, ['g1', 'g2', 'm1', 'g3', 'm2', 'g4', 'g5'])
})

test("an action that fails is its own caller's matter", async () => {
  const queue = new FairQueue()
  const failed = queue.run('a', () => Promise.reject(new RangeError('no')))
  const next = queue.run('a', () => Promise.resolve('yes'))
  await failed.then(
    () => assert.unreachable(),
    error => assert.instance(error, RangeError),
  )
  assert.is(await next, 'yes')
})

test('also one that throws at once', async () => {
  const queue = new FairQueue()
  const failed = queue.run('a', async () => {
    throw new RangeError('no')
  })
  const next = queue.run('b', () => Promise.resolve('yes'))
  assert.is(await failed.catch((error: Error) => error.message), 'no')
  assert.is(await next, 'yes')
})

test.run()
