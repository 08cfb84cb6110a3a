import { randomBytes } from 'node:crypto'
import { rmSync } from 'node:fs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Client } from '../../src/client/client.ts'
import { encodeBatch } from '../../src/protocol/records.ts'
import { unequal } from '../crash/cluster-cut/check.ts'
import { BrokerCluster } from '../lib/broker-cluster.ts'
import { buildCopy, type Edit } from '../lib/build-copy.ts'
import { makeTopicOn, move } from '../lib/cluster-ledger.ts'
import { produceOne } from '../lib/produce-one.ts'

const test = suite('a new replica that has much to catch up with')

/** The answers to a fetch of all of them do not fit into the ring: batches wait in the memory in which they were received. */
const TOPICS = Array.from({ length: 6 }, (_, i) => `large-${i}`)
const RING = ['message.max.bytes=400000', 'odradek.ring.bytes=1048576']
const BATCHES = 60
const BATCH_BYTES = 100_000
const [LEADER, NEW] = [1, 2]

/** That are all different: what takes the place of another is seen. */
async function fill(cluster: BrokerCluster, name: string): Promise<void> {
  await makeTopicOn(cluster, name, [LEADER])
  const { port } = cluster.member(LEADER)
  await using client = await Client.connect({ host: '127.0.0.1', port })
  const produce = async (): Promise<void> => {
    const records = await encodeBatch([{ timestamp: 0, value: randomBytes(BATCH_BYTES) }])
    await produceOne(client, name, 0, records)
  }
  await Promise.all(Array.from({ length: BATCHES }, produce))
}

/** @returns what the logs of leader and new replica differ in */
async function catchUp(root?: string): Promise<string[]> {
  await using cluster = await BrokerCluster.start(2, RING, root === undefined ? {} : { root })
  for (const topic of TOPICS) await fill(cluster, topic)
  for (const topic of TOPICS) await move(cluster, topic, [LEADER, NEW])
  for (const topic of TOPICS) await cluster.untilWhole(topic)
  const found = await Promise.all(TOPICS.map(topic => unequal(cluster, topic)))
  return found.flat()
}

test('it has the bytes of its leader, also where its ring was full', async () => {
  assert.equal(await catchUp(), [])
})

/** What is flushed is asked for while the rest of an answer still waits for room. */
const ASKED_EARLY: Edit = {
  file: 'src/cluster/lane.ts',
  from: 'return !this.isBusy && this.flushing.size === 0',
  to: 'return !this.isBusy',
}

const USED_EARLY: Edit = {
  file: 'src/cluster/lane.ts',
  from: 'if (isCopied) memory.giveBack()',
  to: 'memory.giveBack()',
}

/** Batches wait for room for long: shares as large as these are flushed in their segments. */
const SLOW_FLUSH: Edit = {
  file: 'src/storage/segment.ts',
  from: 'this.#files.fdatasync(this.fd)',
  to: `this.#files.fdatasync(this.fd)
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20)`,
}

async function catchUpWith(edits: readonly Edit[]): Promise<string[]> {
  const root = buildCopy(['build:esm'], [...edits, SLOW_FLUSH])
  try {
    return await catchUp(root).catch((error: Error) => [error.message])
  } finally {
    rmSync(root, { recursive: true })
  }
}

test('a planted bug: memory is used again before its batches are copied', async () => {
  assert.equal(await catchUpWith([ASKED_EARLY]), [])
  assert.is.not((await catchUpWith([ASKED_EARLY, USED_EARLY])).length, 0)
})

test.run()
