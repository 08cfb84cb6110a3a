import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { BrokerError } from '../../src/errors.ts'
import { ErrorCode } from '../../src/protocol/error-codes.ts'
import { initProducerIdApi } from '../../src/protocol/messages/22-init-producer-id.ts'
import { expectError, versionsOf, Wire } from './wire.ts'

const test = suite('InitProducerId')
let wire: Wire

test.before(async () => {
  wire = await Wire.start()
})
test.after(() => wire.close())

interface Asked {
  transactionalId?: string | null
  producerId?: number
  producerEpoch?: number
}

const init = (request: Asked, version = 5) =>
  wire.send(initProducerIdApi, version, { transactionalId: null, ...request })

test('every version gives a fresh id with epoch 0', async () => {
  const seen = new Set<number>()
  for (const version of versionsOf(initProducerIdApi)) {
    const answer = await init({}, version)
    expectError(answer, 'NONE')
    assert.is(answer.producerEpoch, 0)
    assert.ok(answer.producerId >= 0)
    assert.not(seen.has(answer.producerId))
    seen.add(answer.producerId)
  }
})

test('an id that is brought along makes no difference without a transactional id', async () => {
  const { producerId } = await init({})
  const again = await init({ producerId, producerEpoch: 3 })
  expectError(again, 'NONE')
  assert.is.not(again.producerId, producerId)
  assert.is(again.producerEpoch, 0)
})

test('ids are unique however many ask at once', async () => {
  const answers = await Promise.all(Array.from({ length: 2500 }, () => init({})))
  assert.is(new Set(answers.map(a => a.producerId)).size, 2500)
})

test('an empty transactional id, or id and epoch only half given, is refused', async () => {
  const refused = [
    await init({ transactionalId: '' }),
    await init({ producerId: 5 }),
    await init({ producerEpoch: 5 }),
    await init({ transactionalId: 'tx', producerId: 5 }),
  ]
  for (const answer of refused) {
    expectError(answer, 'INVALID_REQUEST')
    assert.is(answer.producerId, -1)
    assert.is(answer.producerEpoch, -1)
  }
})

test('no version has a coordinator for a transactional id', async () => {
  for (const version of versionsOf(initProducerIdApi)) {
    const answer = await init({ transactionalId: 'tx' }, version)
    expectError(answer, 'COORDINATOR_NOT_AVAILABLE')
    assert.is(answer.producerId, -1)
  }
})

test('a failure of the metadata store is an error that producers retry', async () => {
  const { producerIds } = wire.node
  const { next } = producerIds
  try {
    producerIds.next = async () => {
      throw new Error('disk full')
    }
    expectError(await init({}), 'COORDINATOR_NOT_AVAILABLE')
    producerIds.next = async () => {
      throw new BrokerError(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, 'later')
    }
    expectError(await init({}), 'COORDINATOR_LOAD_IN_PROGRESS')
  } finally {
    producerIds.next = next
  }
  expectError(await init({}), 'NONE')
})

test('ids are not given again after a restart', async () => {
  const { producerId } = await init({})
  wire = await wire.restart()
  assert.ok((await init({})).producerId > producerId)
})

test.run()
