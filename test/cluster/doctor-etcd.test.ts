import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Finding } from '../../src/cli/cluster/health.ts'
import { examineEtcd } from '../../src/cli/doctor/etcd.ts'
import { parseMetadataUrl } from '../../src/metadata/url.ts'
import { Program } from '../cli/program.ts'
import { ETCD_RELEASES, Etcd, etcdProgram } from '../lib/etcd.ts'
import { addressOf, killAll, newFolder, start } from './lone-node.ts'

const test = suite('odradek doctor on etcd')
const cli = new Program()

test.after.each(async () => {
  await killAll()
  await Etcd.closeAll()
})

const SESSION_MS = 6_000
const examine = (hosts: string, sessionMs = SESSION_MS): Promise<Finding[]> =>
  examineEtcd(parseMetadataUrl(`etcd://${hosts}/p`), sessionMs)
const verdicts = (findings: readonly Finding[]): Record<string, string> =>
  Object.fromEntries(findings.map(({ check, verdict }) => [check, verdict]))
const found = (findings: readonly Finding[], check: string): Finding =>
  findings.find(one => one.check.startsWith(check))!

for (const release of ETCD_RELEASES.filter(one => etcdProgram(one) !== null)) {
  test(`etcd ${release} that is well`, async () => {
    const etcd = await Etcd.start({ release })
    const at = `127.0.0.1:${etcd.port}`
    const findings = await examine(at)
    assert.equal(verdicts(findings), {
      [`etcd at ${at}`]: 'ok',
      [`etcd's database at ${at}`]: 'ok',
      [`clock of ${at}`]: 'ok',
      "etcd's alarms": 'ok',
      'leases of brokers': 'ok',
    })
    assert.match(found(findings, 'etcd at').found, new RegExp(`^${release}.*leads, a linearizable`))
    assert.match(found(findings, "etcd's database").found, /of at most 2\.1 GB$/)
    assert.match(
      found(findings, 'leases').found,
      /^broker\.session\.timeout\.ms is 6000, etcd's least 1000/,
    )
  })
}

test('a database that is full: how large it is, the alarm, and what to do', async () => {
  const etcd = await Etcd.start({ flags: ['--quota-backend-bytes', '2000000'] })
  const at = `127.0.0.1:${etcd.port}`
  const value = Buffer.alloc(100_000).toString('base64')
  for (let i = 0, isFull = false; !isFull; i++) {
    const key = Buffer.from(`k${i}`).toString('base64')
    isFull = 'code' in (await etcd.ask('/v3/kv/put', { key, value }))
  }
  const findings = await examine(at)
  const alarm = found(findings, "etcd's alarms")
  assert.is(alarm.verdict, 'fail')
  assert.is(alarm.found, `NOSPACE of ${at}`)
  assert.match(alarm.advice!, /etcdctl defrag.*then run etcdctl alarm disarm/)
  assert.is(found(findings, "etcd's database").verdict, 'warn')
  assert.match(found(findings, 'leases').found, /^none was granted: .*NOSPACE/)
})

test('an endpoint that is down, beside one that is well', async () => {
  const [etcd, away] = [await Etcd.start(), await Etcd.start()]
  await away.kill()
  const at = `127.0.0.1:${etcd.port}`
  const findings = await examine(`127.0.0.1:${away.port},${at}`)
  const down = found(findings, `etcd at 127.0.0.1:${away.port}`)
  assert.is(down.verdict, 'fail')
  assert.match(down.found, /ECONNREFUSED/)
  assert.match(down.advice!, /more than half of its members/)
  const { [down.check]: _, ...others } = verdicts(findings)
  assert.equal(new Set(Object.values(others)), new Set(['ok']))
  assert.ok(`etcd at ${at}` in others)
  // Nobody is left to ask.
  await etcd.kill()
  assert.equal(
    (await examine(at)).map(({ check, verdict }) => [check, verdict]),
    [[`etcd at ${at}`, 'fail']],
  )
})

test('endpoints of two clusters, and a lease that is longer than wanted', async () => {
  const [one, two] = [
    await Etcd.start({ flags: ['--initial-cluster-token', 'other'] }),
    await Etcd.start(),
  ]
  const findings = await examine(`127.0.0.1:${one.port},127.0.0.1:${two.port}`, 900)
  assert.match(findings.find(({ check }) => check === 'etcd')!.found, /of several clusters/)
  const lease = found(findings, 'leases')
  assert.is(lease.verdict, 'warn')
  assert.match(lease.advice!, /replaced after 1000 ms only.*election-timeout/)
})

/** What answers as an etcd that is not well would. */
async function fake(answers: Record<string, object>, aheadMs = 0) {
  const server = createServer((request, response) => {
    response.setHeader('date', new Date(Date.now() + aheadMs).toUTCString())
    response.end(JSON.stringify(answers[request.url!] ?? { header: { revision: '1' } }))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const close = (): void => {
    server.close()
    server.closeAllConnections()
  }
  return { at: `127.0.0.1:${port}`, close }
}

const HEADER = { cluster_id: '1', member_id: '18446744073709551615', revision: '1' }
const VERSION = { etcdserver: '3.5.1', etcdcluster: '3.5.0' }
const STATUS = {
  header: HEADER,
  version: '3.5.1',
  dbSize: '90',
  dbSizeInUse: '9',
  dbSizeQuota: '100',
}

test('clocks that part, members without a leader, a damaged one, a release with a bug', async () => {
  const alarm = { alarms: [{ memberID: HEADER.member_id, alarm: 'CORRUPT' }] }
  const lead = { ...STATUS, leader: HEADER.member_id }
  const paths = { '/version': VERSION, '/v3/maintenance/alarm': alarm }
  const ahead = await fake({ ...paths, '/v3/maintenance/status': lead }, 3_600_000)
  const first = await examine(ahead.at)
  ahead.close()
  assert.match(found(first, 'clock').found, /^it is at least .* ahead of this machine's$/)
  assert.match(found(first, 'clock').advice!, /synchronise both/)
  assert.is(found(first, "etcd's alarms").found, `CORRUPT of ${ahead.at}`)
  assert.match(found(first, "etcd's alarms").advice!, /add it anew/)
  assert.match(found(first, 'etcd at').found, /members of this release may come to differ/)
  assert.is(found(first, "etcd's database").verdict, 'warn')
  const behind = await fake({ ...paths, '/v3/maintenance/status': STATUS }, -10_000)
  const second = await examine(behind.at)
  behind.close()
  assert.match(found(second, 'clock').found, /behind this machine's$/)
  assert.match(found(second, 'etcd at').found, /has no leader/)
  assert.match(found(second, 'etcd at').advice!, /more than half of the members/)
})

test('the program finds the etcd where a start would: by its option, the environment, --override', async () => {
  const etcd = await Etcd.start()
  const place = `etcd://127.0.0.1:${etcd.port}/test`
  const broker = await start(newFolder(), place)
  const doctor = ['doctor', '-b', addressOf(broker)]
  const checks = async (args: string[], env = {}): Promise<string[]> =>
    (await cli.json([...doctor, ...args], { env })).map(({ check }: Finding) => check)
  const isThere = (all: string[]): boolean => all.includes(`etcd at 127.0.0.1:${etcd.port}`)
  assert.ok(isThere(await checks(['--metadata', place])))
  assert.ok(isThere(await checks([], { KAFKA_ODRADEK_METADATA: place })))
  const all = await checks([
    '-o',
    `odradek.metadata=${place}`,
    '-o',
    'broker.session.timeout.ms=1000',
  ])
  assert.ok(isThere(all))
  assert.ok(
    all.some(check => check.startsWith('broker 7')),
    'and goes the way of a client',
  )
  assert.not.ok((await checks([])).some(check => check.includes('etcd')))
  const wrong = await cli.run([...doctor, '--json', '--metadata', 'http://x'])
  assert.is(wrong.code, 1)
  assert.match(wrong.stdout, /starts with http:\/\/, not with etcd:/)
  await cli.fails(2, /are not for a data folder/, ['doctor', '--data', '.', '--metadata', place])
  await broker.close()
})

test.run()
