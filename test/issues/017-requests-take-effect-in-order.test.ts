import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { offsetCommitApi } from '../../src/protocol/messages/08-offset-commit.ts'
import { offsetFetchApi } from '../../src/protocol/messages/09-offset-fetch.ts'
import { offsetDeleteApi } from '../../src/protocol/messages/47-offset-delete.ts'
import { Wire } from '../apis/wire.ts'

const ROUNDS = 50

const test = suite('requests of one connection take effect in their order')

test('a commit behind a deletion of offsets stays, one in front of it goes', async () => {
  const wire = await Wire.start()
  try {
    await wire.createTopic('ordered')
    const partitions = [{ partitionIndex: 0 }]
    const remove = () =>
      wire.send(offsetDeleteApi, 0, { groupId: 'g', topics: [{ name: 'ordered', partitions }] })
    const commit = (committedOffset: number) =>
      wire.send(offsetCommitApi, 2, {
        groupId: 'g',
        topics: [{ name: 'ordered', partitions: [{ partitionIndex: 0, committedOffset }] }],
      })
    const committed = async () => {
      const topics = [{ name: 'ordered', partitionIndexes: [0] }]
      const answer = await wire.send(offsetFetchApi, 5, { groupId: 'g', topics })
      return answer.topics[0]!.partitions[0]!.committedOffset
    }
    await commit(1)
    for (let round = 0; round < ROUNDS; round++) {
      await Promise.all([commit(3), remove(), commit(5)])
      assert.is(await committed(), 5)
      await Promise.all([commit(7), remove()])
      assert.is(await committed(), -1)
    }
  } finally {
    await wire.close()
  }
})

test.run()
