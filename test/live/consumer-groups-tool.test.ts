import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import kafkajs from 'kafkajs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { GroupBroker } from './groups/broker.ts'
import { Member } from './groups/member.ts'
import { createTopics } from './groups/topics.ts'
import { formatTranscript, GroupTools, parseTranscript, type Section } from './groups/transcript.ts'
import { tool } from './tools.ts'

/**
 * What Kafka 4.3.1's tools print about groups of Kafka 4.3.1, in order; see transcript.ts for what is left out.
 * RECORD=1 with KAFKA_ADDRESS (see broker.ts) writes the file anew: look at the difference.
 */
const EXPECTED = join(import.meta.dirname, 'groups', 'consumer-groups-tool.txt')
const MINUTE_MS = 60_000
const OWNED_MS_MAX = 20_000
const POLL_MS = 50
const PARTITIONS = [0, 1, 2]
const RECORDS = 10

const test = suite('kafka-consumer-groups')
const prefix = `tool-${Date.now().toString(36)}-`
const started = Date.now()
const members: Member[] = []
const recorded: Section[] = []
let broker: GroupBroker
let tools: GroupTools
let work: string

test.before(async () => {
  broker = await GroupBroker.start()
  work = mkdtempSync(join(tmpdir(), 'odradek-group-tool-'))
  const file = join(work, 'offsets.csv')
  writeFileSync(file, `${prefix}topic,0,3\n${prefix}topic,2,9\n`)
  // Between the records 4 and 5, and after all of them.
  const middle = new Date(started - 55 * MINUTE_MS).toISOString()
  const future = new Date(started + 60 * MINUTE_MS).toISOString()
  tools = new GroupTools({ address: broker.address, prefix, values: { file, middle, future } })
  await writeTopics()
  await Promise.all([
    startMembers('classic', [process.execPath, program('kafkajs.mjs')], [null, null]),
    startMembers(
      'consumer',
      [tool('python/bin/python'), '-B', program('confluent.py')],
      ['instance-1'],
    ),
  ])
})

test.after(async () => {
  tools.close()
  await Promise.all(members.map(member => member.kill()))
  await broker.close()
  rmSync(work, { recursive: true })
  if (process.env.RECORD) writeFileSync(EXPECTED, formatTranscript(recorded))
})

/** In each partition a record every 10 minutes, the first 100 minutes ago. */
async function writeTopics(): Promise<void> {
  const logLevel = kafkajs.logLevel.NOTHING
  const kafka = new kafkajs.Kafka({ brokers: [broker.address], logLevel })
  await createTopics(kafka, { [`${prefix}topic`]: PARTITIONS.length, [`${prefix}other`]: 1 })
  const producer = kafka.producer()
  await producer.connect()
  const record = (i: number) => ({
    value: `v${i}`,
    timestamp: String(started - (100 - 10 * i) * MINUTE_MS),
  })
  const records = Array.from({ length: RECORDS }, (_, i) => record(i))
  const messages = PARTITIONS.flatMap(partition => records.map(r => ({ ...r, partition })))
  await producer.send({ topic: `${prefix}topic`, messages })
  const others = [0, 1].map(i => ({ ...record(i), partition: 0 }))
  await producer.send({ topic: `${prefix}other`, messages: others })
  await producer.disconnect()
}

const program = (name: string) => join(import.meta.dirname, 'groups', name)

/** Members that have committed offset 4 of all that they own. The group is called as its protocol. */
async function startMembers(
  protocol: string,
  command: readonly string[],
  instances: readonly (string | null)[],
): Promise<void> {
  const group = `${prefix}${protocol}`
  const topic = `${prefix}topic`
  const ours = instances.map(() => new Member(protocol, [...command, broker.address], () => {}))
  members.push(...ours)
  await Promise.all(
    ours.map((member, i) => member.join({ group, topic, protocol, instance: instances[i]! })),
  )
  const deadline = Date.now() + OWNED_MS_MAX
  const isShared = () => {
    const owned = new Set(ours.flatMap(member => member.owned))
    return owned.size === PARTITIONS.length && ours.every(member => member.owned.length > 0)
  }
  while (!isShared()) {
    assert.ok(Date.now() < deadline, ours.join('\n'))
    await sleep(POLL_MS)
  }
  for (const member of ours) {
    const offsets = Object.fromEntries(member.owned.map(partition => [partition, 4]))
    await member.call('commit', { offsets, metadata: '' })
  }
}

for (const { title, entries } of parseTranscript(readFileSync(EXPECTED, 'utf8'))) {
  test(title, async () => {
    const seen: Section = { title, entries: [] }
    recorded.push(seen)
    for (const { command, output } of entries) {
      const lines = await tools.run(command)
      seen.entries.push({ command, output: lines })
      if (!process.env.RECORD) assert.equal(lines, output, command)
    }
  })
}

test.run()
