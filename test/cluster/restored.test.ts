import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { BrokerCluster } from '../lib/broker-cluster.ts'
import { judge, Ledger, makeTopic, readAll } from '../lib/cluster-ledger.ts'
import { until } from '../lib/until.ts'

const test = suite('etcd that was restored from an old backup')
const GONE_BACK = /the metadata has gone back/
const WAIT_MS_MAX = 30_000

const etcd = mkdtempSync(join(tmpdir(), 'odradek-restored-'))
let cluster: BrokerCluster

test.before(async () => {
  cluster = await BrokerCluster.start(3, [], { etcd })
})
test.after(async () => {
  await cluster[Symbol.asyncDispose]()
  rmSync(etcd, { recursive: true })
})

/** Of etcd, which does not run meanwhile. */
async function aside(act: () => void): Promise<void> {
  await cluster.etcd.stop()
  act()
  await cluster.etcd.start()
}

test('brokers go on by what they know, and one that is started is refused', async () => {
  await makeTopic(cluster, 'before')
  const [data, backup] = [join(etcd, 'data'), join(etcd, 'backup')]
  await aside(() => cpSync(data, backup, { recursive: true }))
  await makeTopic(cluster, 'since')
  const ledger = await Ledger.start(cluster, 'since')
  await ledger.more(20)
  // Makes the topic of the groups, which nobody can make later.
  await readAll(cluster, 'since', 20)
  await aside(() => {
    rmSync(data, { recursive: true })
    cpSync(backup, data, { recursive: true })
  })
  for (const { id } of cluster.members) {
    await until(() => GONE_BACK.test(cluster.broker(id).output), WAIT_MS_MAX)
  }
  await ledger.more(100)
  await ledger.stop()
  assert.equal(ledger.errors, [])
  const found = await readAll(cluster, 'since', ledger.acknowledged.length, 'again')
  assert.equal(judge(ledger.acknowledged, found), { lost: [], doubled: 0, isInOrder: true })
  await cluster.broker(3).kill()
  const refusal = await cluster.startBroker(3).then(
    () => null,
    (error: Error) => error,
  )
  assert.match(String(refusal), /is at revision \d+, and .* has seen \d+: etcd was restored/)
})

test('all that are stopped and started with leave to do so go on from what there was then', async () => {
  const ids = cluster.members.map(({ id }) => id)
  for (const id of ids) await cluster.broker(id).kill()
  const accepting = ['odradek.accept.restored.metadata=true']
  await Promise.all(ids.map(id => cluster.startBroker(id, accepting)))
  await cluster.untilWhole('before')
  const ledger = await Ledger.start(cluster, 'before')
  await ledger.more(20)
  await ledger.stop()
  assert.equal(ledger.errors, [])
})

test.run()
