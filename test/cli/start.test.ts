import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { lockFolder } from '../../src/topics/folder-lock.ts'
import { BrokerProcess, type BrokerProcessOptions, brokerCommand } from '../lib/broker-process.ts'

/** A start that cannot succeed must have said so by then. */
const REFUSE_MS_MAX = 20_000

const test = suite('odradek start')
let work: string
let live: BrokerProcess

test.before(async () => {
  work = mkdtempSync(join(tmpdir(), 'odradek-cli-'))
  live = await BrokerProcess.start({ fromSource: true, dir: join(work, 'live') })
})
test.after(async () => {
  await live.kill()
  rmSync(work, { recursive: true })
})

interface Refusal {
  readonly code: number | null
  /** The log lines of level fatal. */
  readonly fatal: string[]
  readonly stderr: string
}

function refused(options: BrokerProcessOptions): Refusal {
  const [program, ...args] = brokerCommand({ fromSource: true, ...options })
  const env = { ...process.env, ...options.env }
  const ran = spawnSync(program!, args, { encoding: 'utf8', env, timeout: REFUSE_MS_MAX })
  const fatal = ran.stdout
    .split('\n')
    .filter(line => line !== '')
    .map(line => JSON.parse(line) as { level: string; msg: string; err?: unknown })
    .filter(({ level }) => level === 'fatal')
  assert.ok(
    fatal.every(({ err }) => err === undefined),
    'no stack for what the operator can mend',
  )
  return { code: ran.status, fatal: fatal.map(({ msg }) => msg), stderr: ran.stderr }
}

/** Refused with code 1 and this one line. */
function expectRefusal(options: BrokerProcessOptions, line: RegExp): void {
  const { code, fatal, stderr } = refused(options)
  assert.is(code, 1)
  assert.is(fatal.length, 1, fatal.join('\n'))
  assert.match(fatal[0]!, line)
  assert.is(stderr, '')
}

const free = 'listeners=PLAINTEXT://127.0.0.1:0'
const newDir = (): string => `log.dirs=${mkdtempSync(join(work, 'd-'))}`

test('a port in use is refused', () => {
  const listeners = `listeners=PLAINTEXT://127.0.0.1:${live.port}`
  expectRefusal(
    { overrides: [listeners, newDir()] },
    new RegExp(`port ${live.port} is in use by another program`),
  )
})

test('an address that is not of this machine is refused', () => {
  const overrides = ['listeners=PLAINTEXT://203.0.113.1:0', newDir()]
  expectRefusal({ overrides }, /203\.0\.113\.1 is not an address of this machine/)
})

test('a host name that does not resolve is refused, with what to do', () => {
  const overrides = ['listeners=PLAINTEXT://no-such-host.invalid:0', newDir()]
  expectRefusal(
    { overrides },
    /no-such-host\.invalid does not resolve here \((ENOTFOUND|EAI_AGAIN)\); listen on .*advertised\.listeners\.$/,
  )
})

test('a folder that a live broker holds is refused, with its pid', () => {
  expectRefusal(
    { overrides: [free, `log.dirs=${live.dir}`] },
    new RegExp(`in use by the process ${live.pid}: stop it first`),
  )
})

test('a folder of another cluster, or of another node, is refused', () => {
  const dir = mkdtempSync(join(work, 'other-'))
  writeFileSync(join(dir, 'meta.properties'), 'version=1\ncluster.id=theirs\nnode.id=7\n')
  const cluster = ['odradek.cluster.id=ours', 'node.id=7']
  expectRefusal(
    { overrides: [free, `log.dirs=${dir}`, ...cluster] },
    /belongs to cluster theirs, but this broker is of cluster ours/,
  )
  expectRefusal(
    { overrides: [free, `log.dirs=${dir}`, 'node.id=8'] },
    /belongs to node 7, but this broker has node\.id 8/,
  )
  lockFolder(dir).release()
})

test('a folder that cannot be made is refused', () => {
  const file = join(work, 'file')
  writeFileSync(file, '')
  expectRefusal({ overrides: [free, `log.dirs=${join(file, 'data')}`] }, /cannot be made/)
})

test('a folder that cannot be written is refused', () => {
  const dir = join(work, 'read-only')
  mkdirSync(dir, { mode: 0o555 })
  // Root may write anywhere: then the broker runs as nobody.
  const wrapper =
    process.getuid?.() === 0 ? ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'] : []
  spawnSync('chmod', ['755', work])
  const env = { TMPDIR: '/tmp', TSX_DISABLE_CACHE: '1' }
  expectRefusal({ wrapper, env, overrides: [free, `log.dirs=${dir}`] }, /cannot be written/)
})

test('bad values are refused with the key, the value, where it came from and what is allowed', () => {
  expectRefusal(
    { overrides: [free, newDir(), 'num.partitions=none'] },
    /Invalid option num\.partitions=none \(from flag\): it must be/,
  )
  const env = { KAFKA_LOG_RETENTION_MS: 'soon' }
  expectRefusal(
    { env, overrides: [free, newDir()] },
    /log\.retention\.ms=soon \(from environment KAFKA_LOG_RETENTION_MS\)/,
  )
  const file = join(work, 'bad.properties')
  writeFileSync(file, 'message.max.bytes=-5\n')
  expectRefusal(
    { args: ['--config', file], overrides: [free, newDir()] },
    /message\.max\.bytes=-5 \(from file .*bad\.properties\)/,
  )
  expectRefusal({ overrides: ['nonsense'] }, /Invalid option override=nonsense/)
  expectRefusal({ args: ['--config', '/nowhere'] }, /a file that exists/)
  expectRefusal({ args: ['--config', work] }, /a file, not a folder/)
})

test('an unknown flag is refused with code 2, as wrong usage is everywhere, and the help', () => {
  const { code, stderr } = refused({ args: ['--nonsense'] })
  assert.is(code, 2)
  assert.match(stderr, /unknown option '--nonsense'[\s\S]*Usage: odradek start/)
})

test('file, environment and flags are taken in that order; unknown keys warn', async () => {
  const file = join(work, 'server.properties')
  const keys = [
    'num.partitions=2',
    'log.retention.ms=1000000',
    'message.max.bytes=2000',
    'no.such=1',
  ]
  writeFileSync(file, keys.join('\n'))
  const broker = await BrokerProcess.start({
    fromSource: true,
    dir: join(work, 'order'),
    args: ['--config', file],
    env: { KAFKA_NUM_PARTITIONS: '3', KAFKA_LOG_RETENTION_MS: '2000000' },
    overrides: ['num.partitions=4'],
  })
  const { Client } = await import('../../src/client/client.ts')
  const { describeConfigsApi } = await import('../../src/protocol/messages/32-describe-configs.ts')
  const client = await Client.connect({ host: '127.0.0.1', port: broker.port })
  const names = ['num.partitions', 'log.retention.ms', 'message.max.bytes']
  const resource = { resourceType: 4, resourceName: '1', configurationKeys: names }
  const { results } = await client.send(describeConfigsApi, 4, { resources: [resource] })
  const found = Object.fromEntries(results[0]!.configs.map(c => [c.name, c.value]))
  await client.close()
  await broker.kill()
  assert.equal(found, {
    'num.partitions': '4',
    'log.retention.ms': '2000000',
    'message.max.bytes': '2000',
  })
  assert.match(broker.output, /Unknown option no\.such \(from file [^)]*\) has no effect/)
})

test('SIGTERM, SIGINT and SIGHUP end it with code 0, leaving a clean folder', async () => {
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
    const broker = await BrokerProcess.start({ fromSource: true, dir: join(work, signal) })
    const { code, ms } = await broker.end(signal)
    assert.is(code, 0)
    assert.ok(ms < 5_000, `${ms} ms`)
    assert.ok(existsSync(join(broker.dir, '.kafka_cleanshutdown')))
    assert.is(readFileSync(join(broker.dir, '.lock'), 'utf8'), '', 'it names nobody')
    lockFolder(broker.dir).release()
  }
})

test('a lock whose process is gone is taken over', async () => {
  const dir = join(work, 'killed')
  const first = await BrokerProcess.start({ fromSource: true, dir })
  await first.kill()
  assert.is(readFileSync(join(dir, '.lock'), 'utf8').split(' ')[0], String(first.pid))
  const second = await BrokerProcess.start({ fromSource: true, dir })
  assert.is(readFileSync(join(dir, '.lock'), 'utf8').split(' ')[0], String(second.pid))
  await second.kill()
  assert.not.match(first.output, /recovered/)
  assert.match(second.output, /the last stop was no clean one: the logs were checked and recovered/)
})

test('where clients are sent is said when it is not where it listens', async () => {
  const advertised = 'advertised.listeners=PLAINTEXT://broker.example:1234'
  const dir = join(work, 'advertised')
  const broker = await BrokerProcess.start({ fromSource: true, dir, overrides: [advertised] })
  assert.match(broker.output, /clients are sent to PLAINTEXT:\/\/broker\.example:1234/)
  assert.not.match(live.output, /clients are sent/)
  await broker.kill()
})

test.run()
