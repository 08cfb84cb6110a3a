import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ConfigSource } from '../../src/configs/describe.ts'
import { ZERO_UUID } from '../../src/protocol/fields.ts'
import {
  type CreateTopicsResponse,
  createTopicsApi,
} from '../../src/protocol/messages/19-create-topics.ts'
import { errorsBy, expectError, versionsOf, Wire } from './wire.ts'

const test = suite('CreateTopics')
let wire: Wire

test.before(async () => {
  wire = await Wire.start({ numPartitions: 3, logRetentionMs: 1234 })
})
test.after(() => wire.close())

interface NewTopic {
  name: string
  numPartitions?: number
  replicationFactor?: number
  configs?: { name: string; value: string | null }[]
  assignments?: { partitionIndex: number; brokerIds: number[] }[]
}

type Topics = CreateTopicsResponse['topics']

async function create(topics: NewTopic[], validateOnly = false, version = 7): Promise<Topics> {
  const withDefaults = topics.map(t => ({ numPartitions: 1, replicationFactor: 1, ...t }))
  const answer = await wire.send(createTopicsApi, version, { topics: withDefaults, validateOnly })
  return answer.topics
}

const byName = (topics: Topics) => errorsBy(topics, t => t.name)

/** Brokers of partition 0, 1, ... of a topic. */
function assigned(name: string, ...brokers: number[][]): NewTopic {
  const assignments = brokers.map((brokerIds, partitionIndex) => ({ partitionIndex, brokerIds }))
  return { name, numPartitions: -1, replicationFactor: -1, assignments }
}

test('every version creates a topic that is there when it is answered', async () => {
  for (const version of versionsOf(createTopicsApi)) {
    const name = `version-${version}`
    const [topic] = await create([{ name, numPartitions: 2 }], false, version)
    expectError(topic!, 'NONE')
    assert.is(topic!.errorMessage, null)
    const made = wire.node.registry.topic(name)!
    assert.is(made.partitions.length, 2)
    assert.is(topic!.topicId, version >= 7 ? made.id : ZERO_UUID)
    assert.is(topic!.numPartitions, version >= 5 ? 2 : -1)
    assert.is(topic!.replicationFactor, version >= 5 ? 1 : -1)
    assert.is(topic!.configs!.length, version >= 5 ? 33 : 0)
  }
})

test('-1 stands for num.partitions and default.replication.factor, in every version', async () => {
  for (const version of versionsOf(createTopicsApi)) {
    const name = `defaults-${version}`
    const topics = [{ name, numPartitions: -1, replicationFactor: -1 }]
    expectError((await create(topics, false, version))[0]!, 'NONE')
    assert.is(wire.node.registry.topic(name)!.partitions.length, 3)
  }
})

test('the answer tells the configs and where each comes from', async () => {
  const [topic] = await create([
    { name: 'configured', configs: [{ name: 'max.message.bytes', value: ' 5000 ' }] },
  ])
  const sources = new Map(topic!.configs!.map(c => [c.name, [c.value, c.configSource]]))
  assert.equal(sources.get('max.message.bytes'), ['5000', ConfigSource.TOPIC])
  assert.equal(sources.get('retention.ms'), ['1234', ConfigSource.STATIC_BROKER])
  assert.equal(sources.get('segment.bytes'), ['1073741824', ConfigSource.DEFAULT])
  assert.is(wire.node.registry.topic('configured')!.config.maxMessageBytes, 5000)
})

test('of a config given twice the last value counts', async () => {
  const configs = ['1', '2'].map(value => ({ name: 'retention.ms', value }))
  expectError((await create([{ name: 'twice-config', configs }]))[0]!, 'NONE')
  assert.is(wire.node.registry.topic('twice-config')!.config.retentionMs, 2)
})

test('bad names, names that exist and names that collide are refused, the rest is created', async () => {
  await wire.createTopic('taken.name')
  const long = 'x'.repeat(250)
  const names = ['', '.', '..', 'a b', 'ü', long, 'taken.name', 'taken_name', 'good']
  assert.equal(byName(await create([...names, '__cluster_metadata'].map(name => ({ name })))), {
    '': 'INVALID_TOPIC_EXCEPTION',
    '.': 'INVALID_TOPIC_EXCEPTION',
    '..': 'INVALID_TOPIC_EXCEPTION',
    'a b': 'INVALID_TOPIC_EXCEPTION',
    ü: 'INVALID_TOPIC_EXCEPTION',
    [long]: 'INVALID_TOPIC_EXCEPTION',
    'taken.name': 'TOPIC_ALREADY_EXISTS',
    taken_name: 'INVALID_TOPIC_EXCEPTION',
    good: 'NONE',
    __cluster_metadata: 'INVALID_REQUEST',
  })
})

test('a refused topic has a sentence, no configs and no counts', async () => {
  const [topic] = await create([{ name: 'a b' }])
  assert.match(topic!.errorMessage ?? '', 'a b')
  assert.equal(topic!.configs, [])
  assert.is(topic!.numPartitions, -1)
  assert.is(topic!.replicationFactor, -1)
})

test('of two names that collide in one request the first is created', async () => {
  assert.equal(byName(await create([{ name: 'z.z' }, { name: 'z_z' }])), {
    'z.z': 'NONE',
    z_z: 'INVALID_TOPIC_EXCEPTION',
  })
})

test('a name that is given twice is refused once, and not created', async () => {
  const topics = await create([{ name: 'dup' }, { name: 'single' }, { name: 'dup' }])
  assert.is(topics.length, 2)
  assert.equal(byName(topics), { dup: 'INVALID_REQUEST', single: 'NONE' })
  assert.is(wire.node.registry.topic('dup'), undefined)
})

test('numbers of partitions and replicas that cannot be are refused', async () => {
  const topics = await create([
    { name: 'p0', numPartitions: 0 },
    { name: 'p-2', numPartitions: -2 },
    { name: 'r0', replicationFactor: 0 },
    { name: 'r-2', replicationFactor: -2 },
    { name: 'r2', replicationFactor: 2 },
  ])
  assert.equal(byName(topics), {
    p0: 'INVALID_PARTITIONS',
    'p-2': 'INVALID_PARTITIONS',
    r0: 'INVALID_REPLICATION_FACTOR',
    'r-2': 'INVALID_REPLICATION_FACTOR',
    r2: 'INVALID_REPLICATION_FACTOR',
  })
  assert.match(topics[4]!.errorMessage ?? '', /2.*brokers, 1/)
})

test('a request for more than 10,000 partitions in all is refused as a whole', async () => {
  const most = { numPartitions: 2_147_483_647 }
  assert.equal(byName(await create([{ name: 'huge', ...most }, { name: 'tiny' }])), {
    huge: 'POLICY_VIOLATION',
    tiny: 'POLICY_VIOLATION',
  })
  const halves = ['one', 'two'].map(name => ({ name, numPartitions: 5001 }))
  assert.equal(byName(await create(halves, true)), {
    one: 'POLICY_VIOLATION',
    two: 'POLICY_VIOLATION',
  })
  expectError((await create([{ name: 'most', numPartitions: 10_000 }], true))[0]!, 'NONE')
})

test('configs that are unknown, bad, missing or at odds are refused', async () => {
  const config = (name: string, value: string | null) => ({ name, value })
  const topics = await create([
    { name: 'c1', configs: [config('nope', '1')] },
    { name: 'c2', configs: [config('retention.ms', 'x')] },
    { name: 'c3', configs: [config('retention.ms', null)] },
    {
      name: 'c4',
      configs: [config('min.compaction.lag.ms', '10'), config('max.compaction.lag.ms', '5')],
    },
    { name: 'c5', configs: [config('__proto__', '1')] },
    { name: 'c6', configs: [config('retention.m', '1')] },
  ])
  for (const topic of topics) expectError(topic, 'INVALID_CONFIG')
  assert.is(topics.length, 6)
  assert.match(topics[1]!.errorMessage ?? '', /x for retention\.ms: .* \(-1: no limit\), in ms\.$/)
  assert.match(topics[5]!.errorMessage ?? '', /did you mean retention\.ms\?$/)
})

test('assignments must name this broker once for each partition from 0 on', async () => {
  const both = { assignments: [{ partitionIndex: 0, brokerIds: [1] }] }
  const gap = [0, 2].map(partitionIndex => ({ partitionIndex, brokerIds: [1] }))
  const same = [0, 0].map(partitionIndex => ({ partitionIndex, brokerIds: [1] }))
  const topics = await create([
    assigned('good-assignment', [1], [1]),
    assigned('stranger', [1], [2]),
    assigned('doubled', [1, 1]),
    assigned('nobody', []),
    { ...assigned('gap'), assignments: gap },
    { ...assigned('same'), assignments: same },
    { name: 'count-too', numPartitions: 1, replicationFactor: -1, ...both },
    { name: 'factor-too', numPartitions: -1, replicationFactor: 1, ...both },
  ])
  assert.equal(byName(topics), {
    'good-assignment': 'NONE',
    stranger: 'INVALID_REPLICA_ASSIGNMENT',
    doubled: 'INVALID_REPLICA_ASSIGNMENT',
    nobody: 'INVALID_REPLICA_ASSIGNMENT',
    gap: 'INVALID_REPLICA_ASSIGNMENT',
    same: 'INVALID_REPLICA_ASSIGNMENT',
    'count-too': 'INVALID_REQUEST',
    'factor-too': 'INVALID_REQUEST',
  })
  assert.is(topics[0]!.numPartitions, 2)
  assert.is(wire.node.registry.topic('good-assignment')!.partitions.length, 2)
})

test('validateOnly answers the same and creates nothing', async () => {
  await wire.createTopic('there')
  const topics = await create([{ name: 'not-there' }, { name: 'there' }], true)
  assert.equal(byName(topics), { 'not-there': 'NONE', there: 'TOPIC_ALREADY_EXISTS' })
  assert.is(topics[0]!.topicId, ZERO_UUID)
  assert.is(topics[0]!.configs!.length, 33)
  assert.is(wire.node.registry.topic('not-there'), undefined)
})

test('the same name from many connections at once is created once', async () => {
  const answers = await Promise.all(
    Array.from({ length: 8 }, () => create([{ name: 'race', numPartitions: 2 }])),
  )
  const codes = answers.map(topics => byName(topics).race)
  assert.is(codes.filter(code => code === 'NONE').length, 1)
  assert.is(codes.filter(code => code === 'TOPIC_ALREADY_EXISTS').length, 7)
  assert.is(wire.node.registry.topic('race')!.partitions.length, 2)
})

test('no topics, no answers', async () => {
  assert.equal(await create([]), [])
})

test.run()
