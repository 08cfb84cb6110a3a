import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { BrokerNode } from '../../src/broker.ts'
import { startTestBroker } from '../../src/testing/index.ts'
import { Wire } from '../apis/wire.ts'
import { addressOf, brokerAndProgram, type Program } from './program.ts'

const test = suite('odradek cluster and doctor')
let wire: Wire
let cli: Program

test.before(async () => {
  ;({ wire, cli } = await brokerAndProgram())
})
test.after(() => wire.close())

interface Finding {
  check: string
  verdict: string
  found: string
  advice: string | null
}

const unwell = (findings: Finding[]): Finding[] =>
  findings.filter(({ verdict }) => verdict === 'fail' || verdict === 'warn')

/** What `doctor` finds that is not well; it then ends with this code. */
async function problems(code: number, args: readonly string[]): Promise<Finding[]> {
  const ran = await cli.run(['doctor', '--json', ...args])
  assert.is(ran.code, code, ran.stderr)
  return unwell(JSON.parse(ran.stdout))
}

test('info names the cluster and its brokers', async () => {
  const found = await cli.json(['cluster', 'info'])
  const { host, port } = wire.node.endpoint('PLAINTEXT')
  assert.equal(found.brokers, [{ id: 1, host, port, rack: null }])
  assert.is(found.clusterId, wire.node.clusterId)
  assert.match(await cli.ok(['cluster', 'info']), /^cluster \S{22}, controller 1, .*\nBROKER +HOST/)
})

test('a cluster that is well is healthy, and the doctor finds nothing', async () => {
  await wire.createTopic('well', 3)
  await wire.produce('well', 5)
  assert.match(await cli.ok(['cluster', 'health']), /^ok +broker 1 +answers\nok +partitions online/)
  const findings: Finding[] = await cli.json(['doctor'])
  assert.equal(unwell(findings), [])
  const checks = findings.map(({ check }) => check.replace(/ [\d.]+:\d+$/, ''))
  assert.equal(checks, [
    'bootstrap',
    'broker 1 at',
    'disk of broker 1',
    'open files of broker 1',
    'partitions online',
    'replicas in sync',
    'acks=all',
    'clock',
  ])
})

test('health and doctor say to which partitions acks=all is refused, as the release of the broker does', async () => {
  await using broker = await startTestBroker({ numPartitions: 2 })
  await broker.seed({ one: [], strict: { configs: { 'min.insync.replicas': '2' } } })
  const flags = ['-b', broker.bootstrapServers]
  const bounded =
    /^ok +acks=all +refused by no partition; min\.insync\.replicas is more than the replicas of strict, and counts as no more$/m
  assert.match(await cli.ok(['cluster', 'health', ...flags]), bounded)
  assert.match(await cli.ok(['doctor', ...flags]), bounded)
  // Before Kafka 3.7 the replicas that there are were no bound.
  broker.emulate('3.5')
  const health = await cli.run(['cluster', 'health', ...flags])
  assert.is(health.code, 1)
  assert.match(
    health.stdout,
    /^fail +acks=all +refused by 2, whose replicas in sync are fewer than min\.insync\.replicas: strict-0, strict-1\n +-> bring their brokers back/m,
  )
  const [finding, ...others] = await problems(1, flags)
  assert.equal([finding!.check, others], ['acks=all', []])
})

/** A broker that tells clients another address than the one it has. */
async function advertising(address: string, look: (real: string) => Promise<void>): Promise<void> {
  const dataDir = mkdtempSync(join(tmpdir(), 'odradek-advertised-'))
  const listeners = 'PLAINTEXT://127.0.0.1:0'
  const advertisedListeners = `PLAINTEXT://${address}`
  const node = await BrokerNode.start({ code: { listeners, advertisedListeners, dataDir } })
  try {
    await look(node.bound[0]!.replace(/^.*:\/\//, ''))
  } finally {
    await node.close()
    rmSync(dataDir, { recursive: true })
  }
}

test('the doctor finds an advertised address that leads nowhere, and says which option to set', () =>
  advertising('127.0.0.1:1', async real => {
    const [finding, ...others] = await problems(1, ['-b', real])
    assert.equal(others, [])
    assert.is(finding!.check, 'broker 1 at 127.0.0.1:1')
    assert.match(finding!.found, /ECONNREFUSED/)
    assert.match(finding!.advice!, /set advertised\.listeners/)
    const health = await cli.run(['cluster', 'health', '-b', real])
    assert.is(health.code, 1)
    assert.match(health.stdout, /^fail +broker 1 +cannot connect to broker 1 at its advertised/)
  }))

test('the doctor finds an advertised address of another cluster', () =>
  advertising(addressOf(wire), async real => {
    const [finding] = await problems(1, ['-b', real])
    assert.match(finding!.found, new RegExp(`it is of another cluster, ${wire.node.clusterId}`))
  }))

test('the doctor finds records that are ahead of the clock', async () => {
  const ahead = await Wire.start()
  try {
    await ahead.createTopic('future')
    await ahead.append('future', [{ timestamp: Date.now() + 1_800_000, value: null }])
    const [finding] = await problems(1, ['-b', addressOf(ahead)])
    assert.match(finding!.found, /^future has a record that is (29m 5\ds|30m 0s) ahead/)
  } finally {
    await ahead.close()
  }
})

test('the doctor tells a name, a port and a program that are wrong', async () => {
  const [name] = await problems(3, ['-b', 'no-such-host.invalid'])
  assert.match(name!.found, /cannot be resolved/)
  const [port] = await problems(3, ['-b', '127.0.0.1:1'])
  assert.match(port!.advice!, /is the broker running/)
  const web = createServer(socket => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))
  await once(web.listen(0, '127.0.0.1'), 'listening')
  const address = `127.0.0.1:${(web.address() as AddressInfo).port}`
  const [program] = await problems(3, ['-b', address])
  assert.match(program!.found, /it is an HTTP server/)
  web.close()
})

test.run()
