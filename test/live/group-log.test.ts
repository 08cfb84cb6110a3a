import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { beat, commit, joined } from '../apis/grouping.ts'
import { Wire } from '../apis/wire.ts'
import { kafkaTool, lines } from './tools.ts'

const DUMP_LOG = 'org.apache.kafka.tools.DumpLogSegments'

const test = suite("Kafka's dump-log on the offsets topic")

/** What Kafka decodes: the kinds of keys with their groups, and the values. */
async function dump(path: string): Promise<string[]> {
  const { stdout } = await kafkaTool(DUMP_LOG, ['--offsets-decoder', '--files', path])
  assert.not.match(stdout, /unknown record type|Failed to decode|error/i)
  return lines(stdout).filter(line => line.includes('key: '))
}

test('every kind of record of groups is decoded, with its fields', async () => {
  const options = { groupInitialRebalanceDelayMs: 0, offsetsTopicNumPartitions: 1 }
  const wire = await Wire.start(options)
  try {
    await wire.createTopic('topic', 2)
    const { memberId, generationId } = await joined(wire, 'classic', 'topic')
    const over = { memberId, generationIdOrMemberEpoch: generationId }
    assert.is(await commit(wire, 'classic', 'topic', 42, over), 0)
    assert.is(await commit(wire, 'old', 'topic', 43, { retentionTimeMs: 60_000 }, 4), 0)
    const regex = { subscribedTopicNames: null, subscribedTopicRegex: 'top.*' }
    const { memberEpoch } = await beat(wire, 'consumer', 'm', 0, regex)
    await beat(wire, 'consumer', 'm', memberEpoch)
    wire.node.groups.expire()
    await wire.node.groups.find('consumer')!.log.flushed()
    const path = join(wire.node.dataDir, '__consumer_offsets-0', '00000000000000000000.log')
    const dumped = (await dump(path)).join('\n')
    const keyOf = (type: number, data: string) => `key: {"type":"${type}","data":${data}}`
    const expected = [
      keyOf(2, '{"group":"classic"}'),
      keyOf(1, '{"group":"classic","topic":"topic","partition":0}'),
      keyOf(1, '{"group":"old","topic":"topic","partition":0}'),
      keyOf(3, '{"groupId":"consumer"}'),
      keyOf(5, '{"groupId":"consumer","memberId":"m"}'),
      keyOf(6, '{"groupId":"consumer"}'),
      keyOf(7, '{"groupId":"consumer","memberId":"m"}'),
      keyOf(8, '{"groupId":"consumer","memberId":"m"}'),
      keyOf(16, '{"groupId":"consumer","regularExpression":"top.*"}'),
    ]
    for (const key of expected) assert.ok(dumped.includes(key), `${key} is missing in\n${dumped}`)
    assert.match(dumped, /"offset":42,"leaderEpoch":-1,"metadata":"text"/)
    assert.match(dumped, /"version":"1","data":\{"offset":43,/)
    assert.match(dumped, /"protocolType":"consumer","generation":1,"protocol":"range"/)
  } finally {
    await wire.close()
  }
})

test.run()
