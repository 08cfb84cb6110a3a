import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { nameFromVariable } from '../../src/configs/sources.ts'
import { InvalidOption } from '../../src/errors.ts'
import { brokerConfigView, type OptionSources, resolveOptions } from '../../src/options.ts'

const dir = mkdtempSync(join(tmpdir(), 'odradek-options-'))
let files = 0

/** A properties file with these lines; returns its path. */
function file(...lines: string[]): string {
  const path = join(dir, `server-${files++}.properties`)
  writeFileSync(path, lines.join('\n'))
  return path
}

function refused(sources: OptionSources, key: string, message: RegExp): void {
  try {
    resolveOptions(sources)
  } catch (error) {
    assert.instance(error, InvalidOption)
    assert.is((error as InvalidOption).key, key)
    assert.match((error as Error).message, message)
    return
  }
  assert.unreachable(String(message))
}

const fromEnv = (env: Record<string, string>) => resolveOptions({ env })

const options = suite('options')

options.after(() => rmSync(dir, { recursive: true }))

options('the defaults listen on loopback only and keep data in ./data', () => {
  const { listeners, advertised, dataDir, nodeId, warnings, origins } = resolveOptions()
  const here = { name: 'PLAINTEXT', host: '127.0.0.1', port: 9092 }
  assert.equal(listeners, [{ ...here, protocol: 'PLAINTEXT' }])
  assert.equal(advertised, [here])
  assert.is(dataDir, resolve('data'))
  assert.is(nodeId, 1)
  assert.equal([warnings, origins], [[], {}])
})

options(
  'code goes before flags, flags before environment, environment before file, file before defaults',
  () => {
    const layers: OptionSources = {
      defaults: { numPartitions: 2 },
      file: file('num.partitions=3'),
      env: { KAFKA_NUM_PARTITIONS: '4' },
      overrides: ['num.partitions=5'],
      code: { numPartitions: 6 },
    }
    const seen = (sources: OptionSources) => {
      const { settings, origins } = resolveOptions(sources)
      return `${settings.numPartitions} ${origins['num.partitions']}`
    }
    assert.is(seen(layers), '6 code')
    assert.is(seen({ ...layers, code: {} }), '5 flag')
    assert.is(seen({ ...layers, code: {}, overrides: [] }), '4 environment KAFKA_NUM_PARTITIONS')
    assert.is(seen({ ...layers, code: {}, overrides: [], env: {} }), `3 file ${layers.file}`)
    assert.is(seen({ defaults: { numPartitions: 2 } }), '2 default')
  },
)

options('what was given is the static layer of DescribeConfigs', () => {
  const given = resolveOptions({ code: { logRetentionMs: 5, 'num.partitions': '3' } })
  const view = brokerConfigView(given, { 'log.retention.ms': '6' })
  assert.equal(view.static, { 'log.retention.ms': '5', 'num.partitions': '3' })
  assert.equal([view.dynamicBroker, view.dynamicDefault], [{ 'log.retention.ms': '6' }, {}])
  assert.ok(
    Object.isFrozen(given) && Object.isFrozen(given.settings) && Object.isFrozen(given.given),
  )
})

options('code takes camelCase aliases, dotted names and dataDir, typed or as text', () => {
  const { settings, dataDir } = resolveOptions({
    code: {
      dataDir: '/tmp/x',
      autoCreateTopicsEnable: false,
      ringBytes: 1_048_576 * 4,
      listeners: ['PLAINTEXT://127.0.0.1:0'],
      'log.cleanup.policy': 'compact',
      logFlushIntervalMessages: undefined,
    },
  })
  assert.is(dataDir, resolve('/tmp/x'))
  assert.is(settings.autoCreateTopicsEnable, false)
  assert.is(settings.ringBytes, 4_194_304)
  assert.equal(settings.logCleanupPolicy, ['compact'])
  assert.is(settings.logFlushIntervalMessages, 1)
  refused({ code: { dataDir: 'a', 'log.dirs': 'b' } }, 'log.dirs', /given once/)
})

options('a properties file is read with its comments, escapes and continued lines', () => {
  const path = file(
    '# a comment',
    '! another',
    'num.partitions = 3',
    'log.dirs:/tmp/a\\u0062c',
    'listeners=PLAINTEXT://127.0.0.1:1,\\',
    '    OTHER://127.0.0.1:2',
    'listener.security.protocol.map=PLAINTEXT:PLAINTEXT,OTHER:PLAINTEXT',
    'num.partitions = 4',
  )
  const { settings, dataDir, listeners, warnings } = resolveOptions({ file: path })
  assert.is(settings.numPartitions, 4)
  assert.is(dataDir, resolve('/tmp/abc'))
  assert.equal(
    listeners.map(({ name, port }) => `${name}:${port}`),
    ['PLAINTEXT:1', 'OTHER:2'],
  )
  assert.equal(warnings, [
    `Option num.partitions is given twice in file ${path}; the last one counts.`,
  ])
})

options('a file that is missing or no text of this size is refused', () => {
  refused(
    { file: join(dir, 'none') },
    'config',
    /none \(from flag\): it must be a file that exists/,
  )
  refused({ file: file('#'.repeat(1_048_577)) }, 'config', /at most 1048576 bytes/)
})

options(
  'a KRaft server.properties works: controller listeners are left out, the rest is said',
  () => {
    const { listeners, warnings, nodeId } = resolveOptions({
      file: file(
        'process.roles=broker,controller',
        'node.id=7',
        'controller.quorum.bootstrap.servers=localhost:9093',
        'listeners=PLAINTEXT://:9092,CONTROLLER://:9093',
        'inter.broker.listener.name=PLAINTEXT',
        'advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093',
        'controller.listener.names=CONTROLLER',
        'listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL',
        'num.network.threads=3',
        'offsets.topic.replication.factor=1',
        'num.partitons=1',
      ),
    })
    assert.is(nodeId, 7)
    assert.equal(
      listeners.map(one => one.name),
      ['PLAINTEXT'],
    )
    assert.is(warnings.length, 2)
    assert.match(warnings[0]!, /Unknown option num\.partitons .* Did you mean num\.partitions\?/)
    assert.match(warnings[1]!, /Listener CONTROLLER is left out/)
  },
)

options('environment names follow the rule of the apache/kafka image', () => {
  assert.is(nameFromVariable('KAFKA_LOG_RETENTION_MS'), 'log.retention.ms')
  assert.is(nameFromVariable('KAFKA_A__B_C___D'), 'a_b.c-d')
  const { settings } = fromEnv({
    KAFKA_LOG_RETENTION_MS: '5',
    KAFKA_ODRADEK_RING_BYTES: '4194304',
  })
  assert.is(settings.logRetentionMs, 5)
  assert.is(settings.ringBytes, 4_194_304)
})

options('variables of start scripts and of other programs are passed over', () => {
  const { warnings, given } = fromEnv({
    KAFKA_HEAP_OPTS: '-Xmx1g',
    KAFKA_OPTS: 'x',
    KAFKA_LOG4J_ROOT_LOGLEVEL: 'INFO',
    KAFKA_LOG4J_LOGGERS: 'x',
    KAFKA_JMX_PORT: '1',
    KAFKA_JVM_PERFORMANCE_OPTS: 'x',
    KAFKA_BROKERS: 'a:1',
    KAFKA_BOOTSTRAP_SERVERS: 'a:1',
    KAFKA_CLIENT_ID: 'x',
    KAFKA_PORT_9092_TCP: 'tcp://1.2.3.4:9092',
    KAFKA_SERVICE_HOST: 'x',
    PATH: '/bin',
    NUM_PARTITIONS: '9',
  })
  assert.equal([warnings, given], [[], {}])
})

options('a slip in an environment name, or a setting not built in yet, is said', () => {
  const { warnings } = fromEnv({
    KAFKA_NUM_PARTITION: '2',
    KAFKA_SUPER_USERS: 'User:me',
  })
  assert.match(
    warnings[0]!,
    /num\.partition \(from environment KAFKA_NUM_PARTITION\).*num\.partitions\?/,
  )
  assert.match(warnings[1]!, /super\.users .* no effect/)
})

options('what would leave access or data unprotected stops the start, its default does not', () => {
  const bad = (override: string, message: RegExp) =>
    refused({ overrides: [override] }, override.split('=')[0]!, message)
  bad('authorizer.class.name=org.example.Acl', /left out: there are no ACLs here/)
  bad('create.topic.policy.class.name=org.example.P', /left out: there are no classes/)
  bad('ssl.client.auth=required', /none: TLS is not built in/)
  bad('remote.log.storage.system.enable=true', /false: there is no tiered storage/)
  bad('max.connections.per.ip=0', /at least 1 if max\.connections\.per\.ip\.overrides/)
  const overrides = ['authorizer.class.name=', 'ssl.client.auth=none', 'cordoned.log.dirs=']
  assert.equal(resolveOptions({ overrides }).warnings, [])
})

options(
  'names that Kafka takes without listing them, and its old ones, are told apart from typos',
  () => {
    const told = (line: string) => resolveOptions({ file: file(line) }).warnings[0] ?? ''
    assert.match(told('listener.name.a.ssl.key.password=x'), /one of Kafka's that Odradek does not/)
    assert.match(told('super.users=User:me'), /one of Kafka's that Odradek does not have/)
    assert.match(told('zookeeper.connect=a:1'), /of older versions of Kafka/)
    assert.match(told('sasl.jaas.confg=x'), /Did you mean sasl\.jaas\.config\?/)
    assert.is(told('ssl.keystore.location=/x'), '')
    assert.not.match(told('listener.name.a.ssl.key.password=hunter2'), 'hunter2')
  },
)

options("a name of bitnami's image is said to have no effect, with the one that has", () => {
  const { warnings, given } = fromEnv({
    KAFKA_CFG_NUM_PARTITIONS: '3',
    KAFKA_CFG_SASL_PASSWORD: 'hunter2',
  })
  assert.equal(given, {})
  assert.equal(warnings, [
    "KAFKA_CFG_NUM_PARTITIONS is a name of bitnami's image and has no effect: call it KAFKA_NUM_PARTITIONS.",
    "KAFKA_CFG_SASL_PASSWORD is a name of bitnami's image and has no effect: call it KAFKA_SASL_PASSWORD.",
  ])
})

options('CLUSTER_ID names the cluster, as in the image', () => {
  assert.is(
    fromEnv({ CLUSTER_ID: '4L6g3nShT-eMCtK--X86sw' }).settings.clusterId,
    '4L6g3nShT-eMCtK--X86sw',
  )
  refused({ env: { CLUSTER_ID: 'a b' } }, 'odradek.cluster.id', /from environment CLUSTER_ID/)
})

options('a bad value is refused with its key, itself, its origin and what is allowed', () => {
  const bad = (override: string, key: string, message: RegExp) =>
    refused({ overrides: [override] }, key, message)
  bad(
    'num.partitions=x',
    'num.partitions',
    /^Invalid option num\.partitions=x \(from flag\): it must be a whole number from 1 to 2147483647\.$/,
  )
  bad('num.partitions=', 'num.partitions', /num\.partitions= \(from flag\)/)
  bad('auto.create.topics.enable=1', 'auto.create.topics.enable', /true or false/)
  bad(
    'odradek.ring.bytes=3000000',
    'odradek.ring.bytes',
    /a power of two from 1048576 to 1073741824/,
  )
  bad('odradek.partition.workers=0', 'odradek.partition.workers', /from 1 to 256/)
  bad('log.dirs=/a,/b', 'log.dirs', /exactly one directory/)
  bad('log.dirs=', 'log.dirs', /exactly one directory/)
  bad('log.dir=/a,/b', 'log.dir', /exactly one directory/)
  refused(
    { overrides: ['message.max.bytes=20000000', 'odradek.ring.bytes=33554432'] },
    'message.max.bytes',
    /at most 16777136: odradek\.ring\.bytes is 33554432/,
  )
  bad('no-equals-sign', 'override', /key=value/)
  refused(
    { overrides: ['log.cleaner.min.compaction.lag.ms=9', 'log.cleaner.max.compaction.lag.ms=8'] },
    'log.cleaner.min.compaction.lag.ms',
    /at most 8/,
  )
  refused(
    { overrides: ['node.id=1', 'broker.id=2'] },
    'node.id',
    /the same as broker\.id, which is 2/,
  )
  assert.is(resolveOptions({ overrides: ['broker.id=2'] }).nodeId, 2)
})

const listen = (listeners: string, more: Record<string, string> = {}) =>
  resolveOptions({ code: { listeners, ...more } })

options('listeners take names, addresses, IPv6 in brackets, port 0 and all interfaces', () => {
  const { listeners } = listen('a://h-1.example:1, B://[::1]:2,C://127.0.0.1:0,D://10.0.0.1:0', {
    listenerSecurityProtocolMap: 'A:PLAINTEXT,b:plaintext,C:PLAINTEXT,D:PLAINTEXT',
  })
  assert.equal(
    listeners.map(({ name, host, port }) => [name, host, port]),
    [
      ['A', 'h-1.example', 1],
      ['B', '::1', 2],
      ['C', '127.0.0.1', 0],
      ['D', '10.0.0.1', 0],
    ],
  )
})

options('listeners that cannot work are refused with the reason', () => {
  const bad = (listeners: string, message: RegExp, more: Record<string, string> = {}) =>
    refused({ code: { listeners, ...more } }, 'listeners', message)
  bad('', /like PLAINTEXT:\/\/127\.0\.0\.1:9092/)
  bad('localhost:9092', /which "localhost:9092" is not/)
  bad('PLAINTEXT://::1:9092', /which "PLAINTEXT:\/\/::1:9092" is not/)
  bad('PLAINTEXT://a:99999', /ports from 0 to 65535, not 99999/)
  bad('PLAINTEXT://a:1,plaintext://b:2', /PLAINTEXT is there twice/)
  bad('SSL://a:1', /SSL, of listener SSL, is not supported yet/)
  bad('SASL_SSL://a:1', /is not supported yet/)
  bad('X://a:1', /listener\.security\.protocol\.map, where X is missing/)
  bad('X://a:1', /TLS, of listener X, is no security protocol/, {
    listenerSecurityProtocolMap: 'X:TLS',
  })
  bad('CONTROLLER://a:1', /a listener for clients/, { controllerListenerNames: 'CONTROLLER' })
  const map = { listenerSecurityProtocolMap: 'A:PLAINTEXT,B:PLAINTEXT' }
  bad('A://h:1,B://h:1', /A and B both take port 1/, map)
  bad('A://:1,B://h:1', /A and B both take port 1/, map)
  bad('PLAINTEXT://0.0.0.0:1', /clients cannot connect to 0\.0\.0\.0/)
  bad('PLAINTEXT://[::]:1', /clients cannot connect to ::/)
})

options('clients are told the listeners, or what is advertised', () => {
  assert.equal(listen('PLAINTEXT://:9092').advertised, [
    { name: 'PLAINTEXT', host: hostname(), port: 9092 },
  ])
  const told = listen('PLAINTEXT://0.0.0.0:1', {
    advertisedListeners: 'PLAINTEXT://kafka.example:2',
  })
  assert.equal(told.advertised, [{ name: 'PLAINTEXT', host: 'kafka.example', port: 2 }])
  const bad = (advertised: string, message: RegExp) =>
    refused(
      { code: { listeners: 'PLAINTEXT://:1', advertisedListeners: advertised } },
      'advertised.listeners',
      message,
    )
  bad('OTHER://a:1', /names that are in listeners, where OTHER is missing/)
  bad('PLAINTEXT://0.0.0.0:1', /which 0\.0\.0\.0 is not/)
  bad('PLAINTEXT://a', /which "PLAINTEXT:\/\/a" is not/)
})

options('only advertised given: listens on all interfaces, as the image does', () => {
  const { listeners } = fromEnv({ KAFKA_ADVERTISED_LISTENERS: 'PLAINTEXT://localhost:29092' })
  assert.equal(listeners, [{ name: 'PLAINTEXT', host: '', port: 29092, protocol: 'PLAINTEXT' }])
})

options('the limits follow the settings', () => {
  const { limits } = resolveOptions({ code: { ringBytes: 1 << 22, socketRequestMaxBytes: 5000 } })
  assert.is(limits.batchBytesMax, (1 << 21) - 80)
  assert.is(limits.frameBytesMax, 5000)
  assert.is(limits.ringBytes, 1 << 22)
})

options('a ring that nobody has set holds two of the largest batches that can come', () => {
  const ringOf = (...lines: string[]) => {
    const { settings, limits, given, origins } = resolveOptions({ file: file(...lines) })
    assert.is(limits.ringBytes, settings.ringBytes)
    return [settings.ringBytes, given['odradek.ring.bytes'], origins['odradek.ring.bytes']]
  }
  const grown = (bytes: number) => [bytes, String(bytes), 'message.max.bytes']
  assert.equal(ringOf('message.max.bytes=16777136'), [1 << 25, undefined, undefined])
  assert.equal(ringOf('message.max.bytes=16777137'), grown(1 << 26))
  // No request is larger than 100 MiB.
  assert.equal(ringOf('message.max.bytes=200000000'), grown(1 << 28))
  assert.equal(ringOf('message.max.bytes=2147483647'), grown(1 << 28))
  const requests = 'socket.request.max.bytes=2147483647'
  assert.equal(ringOf('message.max.bytes=536870832', requests), grown(1 << 30))
  refused(
    { file: file('message.max.bytes=536870833', requests) },
    'message.max.bytes',
    /at most 536870832: odradek\.ring\.bytes is 1073741824/,
  )
})

options.run()
