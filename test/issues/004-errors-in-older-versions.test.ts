import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ErrorCode } from '../../src/protocol/error-codes.ts'
import { metadataApi } from '../../src/protocol/messages/03-metadata.ts'
import { randomUuid } from '../../src/topics/uuid.ts'
import { fetchOne } from '../apis/fetching.ts'
import { Wire } from '../apis/wire.ts'

const test = suite(
  'issue 4: errors that older versions have less room for do not close the connection',
)
let wire: Wire

test.before(async () => {
  wire = await Wire.start()
})
test.after(() => wire.close())

/** The leader's epoch rises with every start of the broker: consumers that were there before it send an older one. */
test('a fetch with an old leader epoch is fenced in every version that has epochs', async () => {
  await wire.createTopic('fenced')
  wire = await wire.restart()
  for (let version = 9; version <= 18; version++) {
    const answer = await fetchOne(wire, 'fenced', 0, { version, currentLeaderEpoch: 0 })
    assert.is(answer.error, 'FENCED_LEADER_EPOCH', `version ${version}`)
  }
})

/** The fields are there since version 10, but only since 12 the answer can go without a name. */
test('metadata by topic id is refused before version 12', async () => {
  for (const version of [10, 11]) {
    const topics = [{ topicId: randomUuid(), name: null }]
    const answer = await wire.send(metadataApi, version, { topics })
    assert.equal(
      answer.topics.map(t => [t.errorCode, t.name]),
      [[ErrorCode.INVALID_REQUEST, '']],
    )
  }
})

test.run()
