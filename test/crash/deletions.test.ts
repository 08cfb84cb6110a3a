import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { metadataApi } from '../../src/protocol/messages/03-metadata.ts'
import { createTopicsApi } from '../../src/protocol/messages/19-create-topics.ts'
import { deleteTopicsApi } from '../../src/protocol/messages/20-delete-topics.ts'
import { BrokerProcess } from '../lib/broker-process.ts'
import { Random, seeds } from '../lib/random.ts'

const CYCLES = Number(process.env.CYCLES ?? 12)
const TOPICS = 4
const PARTITIONS = 25
/** By then all are deleted. */
const KILL_MS_MAX = 25

const test = suite('kill -9 amid DeleteTopics')

/** `topic-partition` of all that the broker has. */
async function known(broker: BrokerProcess): Promise<string[]> {
  const client = await broker.connect(1)
  const { topics } = await client.send(metadataApi, 9, { topics: null })
  client.close()
  return topics.flatMap(t => t.partitions.map(p => `${t.name}-${p.partitionIndex}`)).sort()
}

test('a start leaves the folders of the topics that it has, and no others', async () => {
  const [seed] = seeds(Number(process.hrtime.bigint() % 1_000_000n), 1)
  const random = new Random(seed!)
  const dir = mkdtempSync(join(tmpdir(), 'odradek-deletions-'))
  let half = 0
  let last: BrokerProcess | null = null
  try {
    for (let cycle = 0; cycle < CYCLES; cycle++) {
      const broker = await BrokerProcess.start({ dir })
      last = broker
      const there = readdirSync(dir).filter(name => /-\d+$|-stray$|-delete$/.test(name))
      assert.equal(there.sort(), await known(broker), `SEED=${seed}, cycle ${cycle}`)
      if (there.length % (TOPICS * PARTITIONS) > 0) half++
      const client = await broker.connect(2)
      const names = Array.from({ length: TOPICS }, (_, i) => `cycle${cycle}.${i}`)
      const topics = names.map(name => ({
        ...{ name, numPartitions: PARTITIONS, replicationFactor: 1 },
        assignments: [],
        configs: [],
      }))
      await client.send(createTopicsApi, 5, { topics })
      const answer = client.send(deleteTopicsApi, 5, { topicNames: names, timeoutMs: 30_000 })
      answer.catch(() => {})
      await delay(random.below(KILL_MS_MAX))
      await broker.kill()
      client.close()
    }
  } finally {
    await last?.kill()
    rmSync(dir, { recursive: true })
  }
  console.log(`seed ${seed}: ${half} of ${CYCLES} starts found some deleted and some not`)
})

test.run()
