import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { brokerConfigs } from '../../src/configs/broker.ts'
import {
  ConfigType,
  camelCase,
  canonical,
  type Definition,
  definitionOf,
  problemWith,
} from '../../src/configs/definition.ts'
import { brokerKeys, topicConfigs } from '../../src/configs/topic.ts'

/** Name, type, default (- is empty) and broker config of every topic config, as Kafka 4.3.1 answers. */
const KAFKA_TOPIC_CONFIGS = `
cleanup.policy LIST delete log.cleanup.policy
compression.gzip.level INT -1 compression.gzip.level
compression.lz4.level INT 9 compression.lz4.level
compression.type STRING producer compression.type
compression.zstd.level INT 3 compression.zstd.level
delete.retention.ms LONG 86400000 log.cleaner.delete.retention.ms
file.delete.delay.ms LONG 60000 log.segment.delete.delay.ms
flush.messages LONG 9223372036854775807 log.flush.interval.messages
flush.ms LONG 9223372036854775807 log.flush.interval.ms
follower.replication.throttled.replicas LIST - null
index.interval.bytes INT 4096 log.index.interval.bytes
leader.replication.throttled.replicas LIST - null
local.retention.bytes LONG -2 log.local.retention.bytes
local.retention.ms LONG -2 log.local.retention.ms
max.compaction.lag.ms LONG 9223372036854775807 log.cleaner.max.compaction.lag.ms
max.message.bytes INT 1048588 message.max.bytes
message.timestamp.after.max.ms LONG 3600000 log.message.timestamp.after.max.ms
message.timestamp.before.max.ms LONG 9223372036854775807 log.message.timestamp.before.max.ms
message.timestamp.type STRING CreateTime log.message.timestamp.type
min.cleanable.dirty.ratio DOUBLE 0.5 log.cleaner.min.cleanable.ratio
min.compaction.lag.ms LONG 0 log.cleaner.min.compaction.lag.ms
min.insync.replicas INT 1 min.insync.replicas
preallocate BOOLEAN false log.preallocate
remote.log.copy.disable BOOLEAN false null
remote.log.delete.on.disable BOOLEAN false null
remote.storage.enable BOOLEAN false null
retention.bytes LONG -1 log.retention.bytes
retention.ms LONG 604800000 log.retention.ms
segment.bytes INT 1073741824 log.segment.bytes
segment.index.bytes INT 10485760 log.index.size.max.bytes
segment.jitter.ms LONG 0 log.roll.jitter.ms
segment.ms LONG 604800000 log.roll.ms
unclean.leader.election.enable BOOLEAN false unclean.leader.election.enable
`

/** Name, type, default (- is empty) and update mode of our broker configs in Kafka 4.3.1. */
const KAFKA_BROKER_CONFIGS = `
advertised.listeners LIST null read-only
auto.create.topics.enable BOOLEAN true read-only
auto.leader.rebalance.enable BOOLEAN true read-only
background.threads INT 10 cluster-wide
broker.id INT -1 read-only
broker.rack STRING null read-only
compression.gzip.level INT -1 cluster-wide
compression.lz4.level INT 9 cluster-wide
compression.type STRING producer cluster-wide
compression.zstd.level INT 3 cluster-wide
connections.max.idle.ms LONG 600000 read-only
controller.listener.names LIST - read-only
controller.quorum.bootstrap.servers LIST - read-only
controller.quorum.voters LIST - read-only
default.replication.factor INT 1 read-only
delete.topic.enable BOOLEAN true read-only
fetch.max.bytes INT 57671680 read-only
group.consumer.assignment.interval.ms INT 1000 cluster-wide
group.consumer.assignors LIST uniform,range read-only
group.consumer.heartbeat.interval.ms INT 5000 read-only
group.consumer.max.assignment.interval.ms INT 15000 read-only
group.consumer.max.heartbeat.interval.ms INT 15000 read-only
group.consumer.max.session.timeout.ms INT 60000 read-only
group.consumer.max.size INT 2147483647 read-only
group.consumer.migration.policy STRING bidirectional read-only
group.consumer.min.assignment.interval.ms INT 0 read-only
group.consumer.min.heartbeat.interval.ms INT 5000 read-only
group.consumer.min.session.timeout.ms INT 45000 read-only
group.consumer.session.timeout.ms INT 45000 read-only
group.coordinator.append.linger.ms INT -1 read-only
group.coordinator.background.threads INT 2 read-only
group.coordinator.rebalance.protocols LIST classic,consumer,streams read-only
group.coordinator.threads INT 4 read-only
group.initial.rebalance.delay.ms INT 3000 read-only
group.max.session.timeout.ms INT 1800000 read-only
group.max.size INT 2147483647 read-only
group.min.session.timeout.ms INT 6000 read-only
inter.broker.listener.name STRING null read-only
listener.security.protocol.map STRING SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT per-broker
listeners LIST PLAINTEXT://:9092 per-broker
log.cleaner.backoff.ms LONG 15000 cluster-wide
log.cleaner.dedupe.buffer.size LONG 134217728 cluster-wide
log.cleaner.delete.retention.ms LONG 86400000 cluster-wide
log.cleaner.enable BOOLEAN true read-only
log.cleaner.io.buffer.load.factor DOUBLE 0.9 cluster-wide
log.cleaner.io.buffer.size INT 524288 cluster-wide
log.cleaner.io.max.bytes.per.second DOUBLE 1.7976931348623157e+308 cluster-wide
log.cleaner.max.compaction.lag.ms LONG 9223372036854775807 cluster-wide
log.cleaner.min.cleanable.ratio DOUBLE 0.5 cluster-wide
log.cleaner.min.compaction.lag.ms LONG 0 cluster-wide
log.cleaner.threads INT 1 cluster-wide
log.cleanup.policy LIST delete cluster-wide
log.dir LIST /tmp/kafka-logs read-only
log.dirs LIST null read-only
log.flush.interval.messages LONG 9223372036854775807 cluster-wide
log.flush.interval.ms LONG null cluster-wide
log.flush.scheduler.interval.ms LONG 9223372036854775807 read-only
log.index.interval.bytes INT 4096 cluster-wide
log.index.size.max.bytes INT 10485760 cluster-wide
log.local.retention.bytes LONG -2 cluster-wide
log.local.retention.ms LONG -2 cluster-wide
log.message.timestamp.after.max.ms LONG 3600000 cluster-wide
log.message.timestamp.before.max.ms LONG 9223372036854775807 cluster-wide
log.message.timestamp.type STRING CreateTime cluster-wide
log.preallocate BOOLEAN false cluster-wide
log.retention.bytes LONG -1 cluster-wide
log.retention.check.interval.ms LONG 300000 read-only
log.retention.hours INT 168 read-only
log.retention.minutes INT null read-only
log.retention.ms LONG null cluster-wide
log.roll.hours INT 168 read-only
log.roll.jitter.hours INT 0 read-only
log.roll.jitter.ms LONG null cluster-wide
log.roll.ms LONG null cluster-wide
log.segment.bytes INT 1073741824 cluster-wide
log.segment.delete.delay.ms LONG 60000 cluster-wide
max.connections INT 2147483647 cluster-wide
max.connections.per.ip INT 2147483647 cluster-wide
max.incremental.fetch.session.cache.slots INT 1000 read-only
max.request.partition.size.limit INT 2000 read-only
message.max.bytes INT 1048588 cluster-wide
min.insync.replicas INT 1 cluster-wide
node.id INT - read-only
num.io.threads INT 8 cluster-wide
num.network.threads INT 3 cluster-wide
num.partitions INT 1 read-only
num.recovery.threads.per.data.dir INT 2 cluster-wide
num.replica.fetchers INT 1 cluster-wide
offset.metadata.max.bytes INT 4096 read-only
offsets.commit.timeout.ms INT 5000 read-only
offsets.load.buffer.size INT 5242880 read-only
offsets.retention.check.interval.ms LONG 600000 read-only
offsets.retention.minutes INT 10080 read-only
offsets.topic.compression.codec INT 0 read-only
offsets.topic.num.partitions INT 50 read-only
offsets.topic.replication.factor SHORT 3 read-only
offsets.topic.segment.bytes INT 104857600 read-only
process.roles LIST - read-only
producer.id.expiration.ms INT 86400000 cluster-wide
queued.max.requests INT 500 read-only
security.inter.broker.protocol STRING PLAINTEXT read-only
socket.listen.backlog.size INT 50 read-only
socket.receive.buffer.bytes INT 102400 read-only
socket.request.max.bytes INT 104857600 read-only
socket.send.buffer.bytes INT 102400 read-only
unclean.leader.election.enable BOOLEAN false cluster-wide
`

/** Where Odradek's default is another one, and why that is meant. */
const OTHER_DEFAULTS: Readonly<Record<string, string>> = {
  'flush.messages': '1', // durable before it is acknowledged
  'log.flush.interval.messages': '1',
  'socket.listen.backlog.size': '1024', // many clients may connect at once
  'node.id': '1', // no format step, so no need to choose
  'process.roles': 'broker,controller',
  listeners: 'PLAINTEXT://127.0.0.1:9092', // reachable from outside only when asked for
  'listener.security.protocol.map':
    'PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL', // same pairs
  'log.dir': './data',
}

/** Configs that Kafka can change while it runs and Odradek cannot. */
const READ_ONLY_HERE = new Set([
  'background.threads',
  'listener.security.protocol.map',
  'listeners',
  'max.connections',
  'max.connections.per.ip',
  'num.io.threads',
  'num.network.threads',
  'num.recovery.threads.per.data.dir',
  'num.replica.fetchers',
  'producer.id.expiration.ms',
])

const rowsOf = (table: string) =>
  table
    .trim()
    .split('\n')
    .map(line => line.split(' ') as [string, string, string, string])

const typeName = (definition: Definition<unknown>) =>
  Object.entries(ConfigType).find(([, number]) => number === definition.type)![0]

const all: readonly (readonly [string, Definition<unknown>])[] = [
  ...Object.entries(topicConfigs),
  ...Object.entries(brokerConfigs),
]

const definitions = suite('config definitions')

definitions('topic configs have the names, types, defaults and broker configs of Kafka', () => {
  const rows = rowsOf(KAFKA_TOPIC_CONFIGS)
  assert.equal(Object.keys(topicConfigs).sort(), rows.map(([name]) => name).sort())
  for (const [name, type, standard, brokerName] of rows) {
    const definition = definitionOf<Definition<unknown>>(topicConfigs, name)!
    assert.is(typeName(definition), type, name)
    assert.is(definition.standard, OTHER_DEFAULTS[name] ?? standard.replace(/^-$/, ''), name)
    const chain = brokerKeys[name as keyof typeof brokerKeys]
    assert.is(chain?.[0]?.name ?? 'null', brokerName, name)
  }
})

definitions('broker configs have the names, types, defaults and update modes of Kafka', () => {
  const rows = rowsOf(KAFKA_BROKER_CONFIGS)
  const ours = Object.keys(brokerConfigs).filter(name => !name.startsWith('odradek.'))
  assert.equal(ours.sort(), rows.map(([name]) => name).sort())
  for (const [name, type, standard, update] of rows) {
    const definition = definitionOf<Definition<unknown>>(brokerConfigs, name)!
    assert.is(typeName(definition), type, name)
    const expected = OTHER_DEFAULTS[name] ?? standard.replace(/^-$/, '')
    assert.is(definition.standard ?? 'null', expected, name)
    assert.is(definition.update, READ_ONLY_HERE.has(name) ? 'read-only' : update, name)
  }
})

definitions('every default is allowed and in Kafka spelling, every sentence ends', () => {
  for (const [name, definition] of all) {
    if (definition.standard !== null) {
      assert.is(problemWith(name, definition, definition.standard), null)
      assert.is(canonical(definition, definition.standard), definition.standard, name)
    }
    assert.match(definition.documentation, /^[A-Z].*\.$/, name)
  }
})

definitions('every broker config behind a topic config exists and takes the same values', () => {
  for (const [name, chain] of Object.entries(brokerKeys)) {
    for (const key of chain) {
      const definition = definitionOf<Definition<unknown>>(brokerConfigs, key.name)
      assert.ok(definition, `${name}: ${key.name}`)
    }
  }
})

definitions('no two names share a camelCase alias', () => {
  const aliases = Object.keys(brokerConfigs).map(camelCase)
  assert.is(new Set(aliases).size, aliases.length)
  assert.is(camelCase('log.retention.ms'), 'logRetentionMs')
  assert.is(camelCase('odradek.ring.bytes'), 'ringBytes')
})

definitions('a bad value is told with its key, itself and what is allowed', () => {
  const cases: [string, string, string][] = [
    ['retention.ms', 'abc', 'a 64-bit whole number of at least -1'],
    ['retention.ms', '', 'a 64-bit whole number of at least -1'],
    ['retention.ms', '-2', 'a 64-bit whole number of at least -1'],
    ['retention.ms', '9223372036854775808', 'a 64-bit whole number of at least -1'],
    ['retention.ms', '1e3', 'a 64-bit whole number of at least -1'],
    ['max.message.bytes', '2147483648', 'a 32-bit whole number of at least 0'],
    ['segment.bytes', '100', 'a 32-bit whole number of at least 1048576'],
    ['compression.gzip.level', '0', 'a 32-bit whole number from 1 to 9, or -1'],
    ['compression.lz4.level', '18', 'a 32-bit whole number from 1 to 17'],
    ['min.cleanable.dirty.ratio', '1.1', 'a number from 0 to 1'],
    ['min.cleanable.dirty.ratio', 'NaN', 'a number from 0 to 1'],
    ['preallocate', 'yes', 'true or false'],
    ['remote.storage.enable', 'true', 'false: there is no tiered storage here'],
    ['cleanup.policy', 'compact,foo', 'a list of compact and delete'],
    ['cleanup.policy', 'compact,,delete', 'a list of compact and delete'],
    ['message.timestamp.type', 'createtime', 'one of CreateTime, LogAppendTime'],
    [
      'leader.replication.throttled.replicas',
      '1-2',
      '* or a list of partition:broker pairs such as 0:1,1:2',
    ],
  ]
  for (const [name, value, allowed] of cases) {
    const definition = definitionOf<Definition<unknown>>(topicConfigs, name)!
    const expected = `Invalid value ${value} for ${name}: it must be ${allowed}.`
    assert.is(problemWith(name, definition, value), expected)
  }
})

definitions('values are read as Kafka reads them', () => {
  const good: [string, string, unknown, string][] = [
    ['retention.ms', ' 5 ', 5, '5'],
    ['retention.ms', '+07', 7, '7'],
    ['flush.messages', '9223372036854775807', 2 ** 63, '9223372036854775807'],
    ['preallocate', 'TRUE', true, 'true'],
    ['min.cleanable.dirty.ratio', '1', 1, '1.0'],
    ['min.cleanable.dirty.ratio', '.25', 0.25, '0.25'],
    ['cleanup.policy', ' compact , delete,compact ', ['compact', 'delete'], 'compact,delete'],
    ['cleanup.policy', '', [], ''],
    ['leader.replication.throttled.replicas', '*', ['*'], '*'],
  ]
  for (const [name, text, value, shown] of good) {
    const definition = definitionOf<Definition<unknown>>(topicConfigs, name)!
    assert.equal(definition.parse(text), value, name)
    assert.is(canonical(definition, text), shown)
  }
})

definitions('names that every object has are not configs', () => {
  assert.is(definitionOf(brokerConfigs, 'constructor' as never), undefined)
  assert.is(definitionOf(topicConfigs, '__proto__' as never), undefined)
})

definitions.run()
