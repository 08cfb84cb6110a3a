import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { EtcdMetadataStore } from '../../src/metadata/etcd/store.ts'
import { parseMetadataUrl } from '../../src/metadata/url.ts'
import { Etcd } from '../lib/etcd.ts'
import { FaultProxy } from '../lib/fault-proxy.ts'
import { SILENT } from '../lib/silent.ts'
import { Mirror } from '../metadata/mirror.ts'

/** As short as etcd grants it here. */
const TTL_MS = 2_000

const test = suite('leases of etcd')
let etcd: Etcd
let proxy: FaultProxy
let direct: EtcdMetadataStore
let store: EtcdMetadataStore

test.before(async () => {
  etcd = await Etcd.start()
})
test.after(() => etcd.close())
test.before.each(async () => {
  proxy = await FaultProxy.start(etcd.port)
  const open = (port: number) =>
    EtcdMetadataStore.open({ url: parseMetadataUrl(`etcd://127.0.0.1:${port}/lease`), log: SILENT })
  direct = await open(etcd.port)
  store = await open(proxy.port)
})
test.after.each(async () => {
  await store.close()
  await direct.close()
  await proxy.close()
})

/** A key bound to a new lease, and who sees it go. */
async function bind(): Promise<{ lease: string; mirror: Mirror }> {
  const lease = await store.grant(TTL_MS)
  await direct.transact([], [{ key: 'bound', value: 1, lease }])
  return { lease, mirror: await Mirror.of(direct, '') }
}

/** What a keep-alive says; null: it failed. */
const kept = (lease: string): Promise<number | null> => store.keepAlive(lease).catch(() => null)

test('without keep-alives it ends by itself, and the next one says so', async () => {
  const { lease, mirror } = await bind()
  await mirror.until(() => mirror.told.length > 0)
  assert.is(await direct.get('bound'), null)
  assert.is(await kept(lease), 0)
})

test('a keep-alive that etcd did not answer fails; it never says that the lease has ended', async () => {
  const { lease } = await bind()
  proxy.faultOf = path => (path.startsWith('/v3/lease/keepalive') ? 'lose' : 'none')
  const until = performance.now() + 1.5 * TTL_MS
  for (let count = 0; performance.now() < until; count++) {
    assert.is(await kept(lease), null, `keep-alive ${count}`)
    await new Promise(resolve => setTimeout(resolve, TTL_MS / 4))
  }
  assert.is((await direct.get('bound'))!.lease, lease, 'they have arrived')
  await proxy.refuse()
  assert.is(await kept(lease), null)
  await proxy.accept()
  proxy.faultOf = () => 'none'
  assert.is(await kept(lease), TTL_MS)
})

test('etcd is killed and started again: the lease goes on', async () => {
  const { lease } = await bind()
  await etcd.kill()
  assert.is(await kept(lease), null)
  await etcd.start()
  assert.is(await kept(lease), TTL_MS)
  assert.is((await direct.get('bound'))!.lease, lease)
})

test('somebody else ends it: the next keep-alive hears of it', async () => {
  const { lease } = await bind()
  await direct.revoke(lease)
  assert.is(await direct.get('bound'), null)
  assert.is(await kept(lease), 0)
})

test.run()
