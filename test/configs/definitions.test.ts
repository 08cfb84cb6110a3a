import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
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
  shownText,
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

/**
 * The same of the broker configs, with their update mode, range and whether they are sensitive. What Kafka calls "per-broker"
 * and takes with a listener's prefix only (SslConfigs.RECONFIGURABLE_CONFIGS) is "per-listener".
 */
const KAFKA_BROKER_CONFIGS = readFileSync(
  join(import.meta.dirname, 'kafka-broker-configs.txt'),
  'utf8',
).replace(/^#.*\n/, '')

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

/** Configs that Kafka can change while it runs and Odradek cannot: sockets are bound at start. */
const READ_ONLY_HERE = new Set(['listener.security.protocol.map', 'listeners'])

/** Values that Kafka takes and Odradek refuses, because it would be believed to do what they say. */
const REFUSED_HERE: Readonly<Record<string, string>> = {
  'alter.config.policy.class.name': 'com.example.Policy',
  'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
  'client.quota.callback.class': 'com.example.Quotas',
  'cordoned.log.dirs': '*',
  'create.topic.policy.class.name': 'com.example.Policy',
  'remote.log.storage.system.enable': 'true',
  'ssl.client.auth': 'required',
}

/** Where Odradek takes less, as its segments are never that small. */
const OTHER_RANGES = new Set(['offsets.topic.segment.bytes'])

const SRC = join(import.meta.dirname, '..', '..', 'src')

const rowsOf = (table: string) =>
  table
    .trim()
    .split('\n')
    .map(line => line.split(' ') as [string, string, string, string, string, string])

const typeName = (definition: Definition<unknown>) =>
  Object.entries(ConfigType).find(([, number]) => number === definition.type)![0]

const all: readonly (readonly [string, Definition<unknown>])[] = [
  ...Object.entries(topicConfigs),
  ...Object.entries(brokerConfigs()),
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
  const ours = Object.keys(brokerConfigs()).filter(name => !name.startsWith('odradek.'))
  assert.equal(ours.sort(), rows.map(([name]) => name).sort())
  for (const [name, type, standard, update, range, sensitive] of rows) {
    const definition = definitionOf<Definition<unknown>>(brokerConfigs(), name)!
    assert.is(typeName(definition), type, name)
    const expected = OTHER_DEFAULTS[name] ?? standard.replace(/^-$/, '')
    assert.is(definition.standard ?? 'null', expected, name)
    assert.is(definition.update, READ_ONLY_HERE.has(name) ? 'read-only' : update, name)
    assert.is(definition.type === ConfigType.PASSWORD, sensitive === 'sensitive', name)
    if (range !== '-' && !OTHER_RANGES.has(name)) checkRange(name, definition, range)
  }
})

/** `1..` or `1..17`: the ends are allowed, what is past them is not. */
function checkRange(name: string, definition: Definition<unknown>, range: string): void {
  const [min, max] = range.split('..') as [string, string]
  const takes = (value: number) => definition.parse(String(value)) !== undefined
  assert.ok(takes(Number(min)), `${name}=${min}`)
  assert.not.ok(takes(Number(min) - 1), `${name}=${Number(min) - 1}`)
  if (max === '') return
  assert.ok(takes(Number(max)), `${name}=${max}`)
  assert.not.ok(takes(Number(max) + 1), `${name}=${Number(max) + 1}`)
}

definitions('what would leave something unprotected is refused, with the reason', () => {
  for (const [name, value] of Object.entries(REFUSED_HERE)) {
    const definition = definitionOf<Definition<unknown>>(brokerConfigs(), name)!
    assert.match(problemWith(name, definition, value) ?? '', `for ${name}: it must be `)
    assert.match(definition.documentation, 'Must stay', name)
  }
})

/** A secret that is not allowed cannot be made: any text is. What is shown of one is tested all the same. */
definitions('a secret is not shown', () => {
  const secret = brokerConfigs()['ssl.key.password']
  assert.is(shownText(secret, 'hunter2'), '(hidden)')
  const picky: Definition<unknown> = { ...secret, parse: () => undefined }
  assert.not.match(problemWith('ssl.key.password', picky, 'hunter2') ?? 'hunter2', 'hunter2')
})

/** All code but the definitions: what it has the name or the alias of, it reads. */
const code = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .filter(path => path.endsWith('.ts') && !path.startsWith(join('configs', 'broker')))
  .map(path => readFileSync(join(SRC, path), 'utf8'))
  .join('\n')

definitions('a broker config is read somewhere, or says that it has no effect', () => {
  const ofTopics = new Set<string>(
    Object.values(brokerKeys).flatMap(keys => keys.map(({ name }) => name)),
  )
  const byParts =
    /^group\.consumer\.((min|max)\.(session\.timeout|heartbeat\.interval)|assignment\.interval)\.ms$/
  const names = Object.keys(brokerConfigs()).filter(one => !ofTopics.has(one) && !byParts.test(one))
  for (const name of names) {
    const { documentation } = definitionOf<Definition<unknown>>(brokerConfigs(), name)!
    const idle = documentation.includes('No effect here') || documentation.includes('Must stay')
    const alias = camelCase(name)
    if (idle) assert.not.match(code, new RegExp(`settings\\.${alias}\\b|'${name}'`), name)
    else assert.match(code, new RegExp(`\\b${alias}\\b|'${name}'`), name)
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
      const definition = definitionOf<Definition<unknown>>(brokerConfigs(), key.name)
      assert.ok(definition, `${name}: ${key.name}`)
    }
  }
})

definitions('no two names share a camelCase alias', () => {
  const aliases = Object.keys(brokerConfigs()).map(camelCase)
  assert.is(new Set(aliases).size, aliases.length)
  assert.is(camelCase('log.retention.ms'), 'logRetentionMs')
  assert.is(camelCase('odradek.ring.bytes'), 'ringBytes')
})

definitions('a bad value is told with its key, itself and what is allowed', () => {
  const ms = 'a whole number from -1 to 9223372036854775807 (-1: no limit), in ms'
  const cases: [string, string, string][] = [
    ['retention.ms', 'abc', ms],
    ['retention.ms', '', ms],
    ['retention.ms', '-2', ms],
    ['retention.ms', '9223372036854775808', ms],
    ['retention.ms', '1e3', ms],
    [
      'retention.bytes',
      '1 GB',
      'a whole number from -9223372036854775808 to 9223372036854775807 (negative: no limit), in bytes',
    ],
    ['max.message.bytes', '2147483648', 'a whole number from 0 to 2147483647, in bytes'],
    ['segment.bytes', '100', 'a whole number from 1048576 to 2147483647, in bytes'],
    ['compression.gzip.level', '0', "a whole number from 1 to 9, or -1 (gzip's own)"],
    ['compression.lz4.level', '18', 'a whole number from 1 to 17'],
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
  assert.is(definitionOf(brokerConfigs(), 'constructor' as never), undefined)
  assert.is(definitionOf(topicConfigs, '__proto__' as never), undefined)
})

definitions.run()
