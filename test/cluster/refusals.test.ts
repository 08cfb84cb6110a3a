import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { BrokerError } from '../../src/errors.ts'
import type { EtcdOptions } from '../../src/metadata/etcd/client.ts'
import { EtcdMetadataStore } from '../../src/metadata/etcd/store.ts'
import { parseMetadataUrl } from '../../src/metadata/url.ts'
import { ErrorCode } from '../../src/protocol/error-codes.ts'
import { Etcd } from '../lib/etcd.ts'
import { SILENT } from '../lib/silent.ts'
import { Mirror } from '../metadata/mirror.ts'

const test = suite('what etcd refuses')

test.after.each(() => Etcd.closeAll())

const open = (url: string, more: Partial<EtcdOptions> = {}): Promise<EtcdMetadataStore> =>
  EtcdMetadataStore.open({ url: parseMetadataUrl(url), log: SILENT, ...more })

async function rejects(
  promise: Promise<unknown>,
  pattern: RegExp,
  code?: ErrorCode,
): Promise<void> {
  const error = await promise.then(
    () => null,
    (thrown: unknown) => thrown,
  )
  assert.instance(error, BrokerError)
  assert.match((error as Error).message, pattern)
  if (code !== undefined) assert.is((error as BrokerError).errorCode, code)
}

const base64 = (text: string): string => Buffer.from(text).toString('base64')

test('no etcd there', async () => {
  const etcd = await Etcd.start()
  const { port } = etcd
  const store = await open(`etcd://127.0.0.1:${port}/p`)
  await etcd.close()
  const what = new RegExp(`^etcd does not answer \\(etcd://127.0.0.1:${port}/p\\): .*ECONNREFUSED`)
  await rejects(open(`etcd://127.0.0.1:${port}/p`), what, ErrorCode.REQUEST_TIMED_OUT)
  await rejects(store.get('a'), what, ErrorCode.REQUEST_TIMED_OUT)
  // It was certainly not sent: that is no unknown outcome.
  await rejects(store.transact([], [{ key: 'a', value: 1 }]), what, ErrorCode.REQUEST_TIMED_OUT)
  await store.close()
})

test('something else is there, or an etcd that is too old', async () => {
  let answer = 'hello'
  const server = createServer((_, response) => response.end(answer)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const url = `etcd://127.0.0.1:${port}/p`
  await rejects(open(url), /is no etcd: it answers 200 "hello"/)
  answer = '{"etcdserver":"3.3.27","etcdcluster":"3.3.0"}'
  await rejects(open(url), /is etcd 3\.3\.27; it takes 3\.4 or newer/)
  answer = '{"etcdserver":"2.10.0"}'
  await rejects(open(url), /is etcd 2\.10\.0/)
  server.close()
  server.closeAllConnections()
})

test('of several endpoints one is enough, whichever it is', async () => {
  const [away, etcd] = [await Etcd.start(), await Etcd.start()]
  await away.close()
  const url = `etcd://127.0.0.1:${away.port},127.0.0.1:${etcd.port}/p`
  const store = await open(url)
  for (let i = 0; i < 5; i++) await store.transact([], [{ key: 'a', value: i }])
  const lease = await store.grant(5_000)
  const mirror = await Mirror.of(store, '')
  await store.transact([], [{ key: 'b', value: 1, lease }])
  await mirror.reaches(store)
  await store.close()
})

test('its database is full', async () => {
  const etcd = await Etcd.start({ flags: ['--quota-backend-bytes', '2000000'] })
  const store = await open(`etcd://127.0.0.1:${etcd.port}/p`)
  await store.transact([], [{ key: 'kept', value: 1 }])
  const fill = async (): Promise<void> => {
    for (let i = 0; i < 100; i++) await store.compareAndSet(`k${i}`, 0, 'x'.repeat(500_000))
  }
  await rejects(fill(), /takes no more changes.*NOSPACE.*disarm/, ErrorCode.KAFKA_STORAGE_ERROR)
  assert.is((await store.get('kept'))!.value, 1)
  await store.close()
})

test('more than a request may have', async () => {
  const etcd = await Etcd.start({ flags: ['--max-request-bytes', '200000'] })
  const store = await open(`etcd://127.0.0.1:${etcd.port}/p`)
  const values = (bytes: number) =>
    Array.from({ length: 4 }, (_, i) => ({ key: `k${i}`, value: 'x'.repeat(bytes) }))
  await rejects(store.transact([], values(1_000_000)), /at most 2097152 bytes/)
  await rejects(
    store.transact([], values(60_000)),
    /request is too large/,
    ErrorCode.INVALID_REQUEST,
  )
  assert.equal((await store.list('')).entries, [])
  await store.close()
})

test('below the prefix is what others wrote', async () => {
  const etcd = await Etcd.start()
  await etcd.ask('/v3/kv/put', { key: base64('p/a'), value: base64('<xml/>') })
  await rejects(open(`etcd://127.0.0.1:${etcd.port}/p`), /p\/a in etcd holds what no Odradek wrote/)
  const store = await open(`etcd://127.0.0.1:${etcd.port}/q`)
  await store.close()
})

/** root, and a user who may use p/ only. */
async function withUsers(flags: readonly string[] = []): Promise<Etcd> {
  const etcd = await Etcd.start({ flags })
  const ask = async (path: string, body: object): Promise<void> => {
    const answer = await etcd.ask(path, body)
    assert.ok(answer.header !== undefined, JSON.stringify(answer))
  }
  await ask('/v3/auth/user/add', { name: 'root', password: 'r' })
  await ask('/v3/auth/role/add', { name: 'root' })
  await ask('/v3/auth/user/grant', { user: 'root', role: 'root' })
  await ask('/v3/auth/user/add', { name: 'kafka', password: 'p:@/%' })
  await ask('/v3/auth/role/add', { name: 'kafka' })
  const perm = { permType: 'READWRITE', key: base64('p/'), range_end: base64('p0') }
  await ask('/v3/auth/role/grant', { name: 'kafka', perm })
  await ask('/v3/auth/user/grant', { user: 'kafka', role: 'kafka' })
  await ask('/v3/auth/enable', {})
  return etcd
}

const SECRET = 'p%3A%40%2F%25'

test('users: none, unknown, wrong, with another prefix, and the right one', async () => {
  const etcd = await withUsers()
  const at = `127.0.0.1:${etcd.port}`
  const denied = ErrorCode.CLUSTER_AUTHORIZATION_FAILED
  await rejects(open(`etcd://${at}/p`), /etcd wants a user: etcd:\/\/user:password@/, denied)
  for (const user of ['nobody:x', 'kafka:x']) {
    const failed = open(`etcd://${user}@${at}/p`)
    await rejects(
      failed,
      /does not know the user or password of etcd:\/\/(nobody|kafka)@127/,
      denied,
    )
  }
  const other = open(`etcd://kafka:${SECRET}@${at}/other`)
  await rejects(other, /does not let user kafka read and write keys below other\//, denied)
  const store = await open(`etcd://kafka:${SECRET}@${at}/p`)
  const mirror = await Mirror.of(store, '')
  const lease = await store.grant(5_000)
  await store.transact([], [{ key: 'a', value: 1, lease }])
  await mirror.reaches(store)
  await store.close()
})

test('a token that is not valid any more is asked for anew', async () => {
  const etcd = await withUsers()
  const store = await open(`etcd://kafka:${SECRET}@127.0.0.1:${etcd.port}/p`)
  const mirror = await Mirror.of(store, '')
  for (let round = 0; round < 3; round++) {
    // Simple tokens are in its memory only.
    await etcd.kill()
    await etcd.start()
    await Promise.all(
      Array.from({ length: 5 }, (_, i) => store.transact([], [{ key: `k${i}`, value: round }])),
    )
  }
  await mirror.reaches(store)
  const { token } = (await etcd.ask('/v3/auth/authenticate', { name: 'root', password: 'r' })) as {
    token: string
  }
  // Then every token is of an older revision of the rights.
  await etcd.ask('/v3/auth/role/add', { name: 'more' }, token)
  assert.is((await store.compareAndSet('new', 0, 1)).outcome, 'applied')
  await store.close()
})

test('a user, where etcd asks for none, does no harm', async () => {
  const etcd = await Etcd.start()
  const store = await open(`etcd://kafka:${SECRET}@127.0.0.1:${etcd.port}/p`)
  assert.is((await store.compareAndSet('new', 0, 1)).outcome, 'applied')
  await store.close()
})

/** A CA, and a certificate that it has signed, for both sides. */
function certificates(dir: string): { ca: string; cert: string; key: string } {
  const file = (name: string): string => join(dir, name)
  const openssl = (...args: string[]): void => {
    execFileSync('openssl', args, { stdio: 'pipe' })
  }
  const fresh = [
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:prime256v1',
    '-nodes',
    '-days',
    '2',
  ]
  openssl(
    'req',
    '-x509',
    ...fresh,
    '-subj',
    '/CN=ca',
    '-keyout',
    file('ca.key'),
    '-out',
    file('ca'),
  )
  openssl(
    ...['req', '-x509', ...fresh, '-subj', '/CN=odradek', '-addext', 'subjectAltName=IP:127.0.0.1'],
    ...['-CA', file('ca'), '-CAkey', file('ca.key'), '-keyout', file('key'), '-out', file('cert')],
  )
  return { ca: file('ca'), cert: file('cert'), key: file('key') }
}

test('TLS with a certificate of the client; without one, without its CA, without TLS', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'odradek-tls-'))
  const files = certificates(dir)
  const etcd = await Etcd.start({ tls: files })
  const [ca, cert, key] = [files.ca, files.cert, files.key].map(name => readFileSync(name, 'utf8'))
  const url = `etcds://127.0.0.1:${etcd.port}/p`
  const store = await open(url, { tls: { ca, cert, key } })
  const mirror = await Mirror.of(store, '')
  const lease = await store.grant(5_000)
  await Promise.all(
    Array.from({ length: 200 }, (_, i) => store.transact([], [{ key: `k${i}`, value: 1, lease }])),
  )
  await mirror.reaches(store)
  await store.close()
  await rejects(open(url, { tls: { ca } }), /certificate/)
  await rejects(open(url), /self-signed|unable to verify|certificate/)
  await rejects(open(`etcd://127.0.0.1:${etcd.port}/p`), /hang up \(if it wants TLS: etcds:\/\/\)/)
  rmSync(dir, { recursive: true })
})

test.run()
