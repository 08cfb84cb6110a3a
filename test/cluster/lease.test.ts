import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { EtcdMetadataStore } from '../../src/metadata/etcd/store.ts'
import { parseMetadataUrl } from '../../src/metadata/url.ts'
import { Etcd } from '../lib/etcd.ts'
import { FaultProxy } from '../lib/fault-proxy.ts'
import { SILENT } from '../lib/silent.ts'
import { Mirror } from '../metadata/mirror.ts'

/** As short as etcd grants it here; and what of it is believed in after a keep-alive was sent. */
const TTL_MS = 2_000
const BELIEVED_MS = 0.99 * TTL_MS - 500

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

const lost = (): Promise<string> =>
  new Promise(resolve => {
    store.session.onLost = resolve
  })

/** A key bound to a new lease, and who sees it go. */
async function bind(): Promise<{ lease: string; mirror: Mirror }> {
  const lease = await store.session.open(TTL_MS)
  await direct.transact([], [{ key: 'bound', value: 1, lease }])
  return { lease, mirror: await Mirror.of(direct, '') }
}

test('it is kept alive past its time', async () => {
  const { lease } = await bind()
  const until = performance.now() + 1.5 * TTL_MS
  while (performance.now() < until) {
    assert.ok(store.session.mayHold(performance.now()))
    await new Promise(resolve => setTimeout(resolve, 50))
  }
  assert.is(store.session.lease, lease)
  assert.is((await direct.get('bound'))!.lease, lease)
})

test('cut off from etcd it is believed in for less than its time, and lost when etcd says so', async () => {
  const { lease, mirror } = await bind()
  const cutAt = performance.now()
  await proxy.refuse()
  const isLost = lost()
  assert.ok(store.session.mayHold(performance.now()))
  assert.not(store.session.mayHold(cutAt + BELIEVED_MS))
  await mirror.until(() => mirror.told.length > 0)
  assert.not(store.session.mayHold(performance.now()), 'etcd has ended it')
  assert.is(store.session.lease, lease, 'only etcd knows')
  await proxy.accept()
  assert.is(await isLost, lease)
  assert.is(store.session.lease, null)
  const next = await store.session.open(TTL_MS)
  assert.ok(store.session.mayHold(performance.now()))
  await store.transact([], [{ key: 'bound', value: 2, lease: next }])
})

test('what counts is when a keep-alive was sent, however late its answer is', async () => {
  const delayMs = 600
  let asked = 0
  let answered = (): void => {}
  const isAnswered = new Promise<void>(resolve => {
    answered = resolve
  })
  proxy.faultOf = path => {
    if (!path.startsWith('/v3/lease/keepalive') || asked > 0) return 'none'
    asked = performance.now()
    setTimeout(answered, delayMs + 20)
    return { delayMs }
  }
  await store.session.open(TTL_MS)
  const opened = performance.now()
  await isAnswered
  assert.ok(performance.now() - asked >= delayMs)
  // Of the time between: past what the grant is worth, and not what the answer's arrival would be.
  assert.ok(store.session.mayHold(opened + BELIEVED_MS + 100), 'the keep-alive counts')
  assert.not(store.session.mayHold(asked + BELIEVED_MS + 1))
})

test('lost answers to keep-alives: others are sent before its time is over', async () => {
  const { lease } = await bind()
  let count = 0
  proxy.faultOf = path =>
    path.startsWith('/v3/lease/keepalive') && ++count % 3 !== 0 ? 'lose' : 'none'
  const until = performance.now() + 2 * TTL_MS
  while (performance.now() < until) {
    assert.ok(store.session.mayHold(performance.now()), `after ${count} keep-alives`)
    await new Promise(resolve => setTimeout(resolve, 50))
  }
  assert.is(store.session.lease, lease)
  assert.ok(count >= 6)
})

test('etcd is killed and started again: the lease goes on', async () => {
  const { lease } = await bind()
  await etcd.kill()
  await etcd.start()
  await new Promise(resolve => setTimeout(resolve, TTL_MS / 2))
  assert.ok(store.session.mayHold(performance.now()))
  assert.is((await direct.get('bound'))!.lease, lease)
})

test('somebody else ends it: the next keep-alive hears of it', async () => {
  const { lease } = await bind()
  const isLost = lost()
  await direct.revoke(lease)
  assert.is(await isLost, lease)
})

test('close ends it at once; without etcd it does not wait for long', async () => {
  const { mirror } = await bind()
  await store.close()
  assert.is(await direct.get('bound'), null)
  await mirror.until(() => mirror.told.length > 0)
  const other = await EtcdMetadataStore.open({
    url: parseMetadataUrl(`etcd://127.0.0.1:${proxy.port}/lease`),
    log: SILENT,
  })
  await other.session.open(TTL_MS)
  proxy.silence()
  const start = performance.now()
  await other.close()
  assert.ok(performance.now() - start < 2_000)
})

test.run()
