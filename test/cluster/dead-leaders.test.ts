import { once } from 'node:events'
import { createServer, type Server } from 'node:net'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Client } from '../../src/client/client.ts'
import { SETTLING_MS_MAX } from '../../src/cluster/cluster-view.ts'
import { realDial } from '../../src/cluster/dial.ts'
import { Probes } from '../../src/cluster/probes.ts'
import { metadataApi } from '../../src/protocol/messages/03-metadata.ts'
import { NO_LEADER } from '../../src/replication/partition-state.ts'
import { BrokerCluster } from '../lib/broker-cluster.ts'
import { makeTopic } from '../lib/cluster-ledger.ts'
import { freePort } from '../lib/free-port.ts'
import type { PartitionNow } from '../lib/process-cluster.ts'
import { until } from '../lib/until.ts'

const WAIT_MS_MAX = 5_000

const test = suite('leaders that have died')

/** franz-go asks for metadata every five seconds at most: told of the dead one, or of nobody, it stood still for so long. */
test('clients that ask when one has just died are told who leads in its place, for which they wait a second', async () => {
  await using cluster = await BrokerCluster.start(3)
  await makeTopic(cluster, 't')
  const [{ leaderId: dead }] = (await cluster.untilWhole('t')) as [PartitionNow]
  const asked = cluster.members.find(({ id }) => id !== dead)!
  await using client = await Client.connect({ host: '127.0.0.1', port: asked.port })
  const leaderOf = async (): Promise<number> => {
    const { topics } = await client.send(metadataApi, 9, { topics: [{ name: 't' }] })
    return topics[0]!.partitions[0]!.leaderId
  }
  assert.is(await leaderOf(), dead)
  await cluster.broker(dead).kill()
  // It may be asked before it has noticed.
  let [leader, askedAt] = [dead, 0]
  while (leader === dead) {
    askedAt = performance.now()
    leader = await leaderOf()
  }
  assert.ok(leader !== NO_LEADER || performance.now() - askedAt >= SETTLING_MS_MAX)
})

async function listening(port: number): Promise<Server> {
  const server = createServer(socket => socket.resume()).listen(port, '127.0.0.1')
  await once(server, 'listening')
  return server
}

test('a broker is away from the moment that its connection ends until it listens again', async () => {
  const port = await freePort()
  const server = createServer(socket => socket.resume())
  const sockets = new Set<{ destroy(): void }>()
  server.on('connection', socket => sockets.add(socket))
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  const refused: number[] = []
  const probes = new Probes({
    addressOf: () => ({ host: '127.0.0.1', port }),
    dial: realDial,
    onRefused: id => refused.push(id),
  })
  probes.watch(new Set([1]))
  await until(() => sockets.size === 1, WAIT_MS_MAX)
  assert.not(probes.isAway(1))
  server.close()
  for (const socket of sockets) socket.destroy()
  await until(() => probes.isAway(1), WAIT_MS_MAX)
  await until(() => refused.length > 0, WAIT_MS_MAX)
  assert.ok(probes.isAway(1))
  assert.not(probes.isAway(2))
  const again = await listening(port)
  await until(() => !probes.isAway(1), WAIT_MS_MAX)
  probes.close()
  again.close()
})

test('a connection that is only closed, as idle ones are, makes nobody away for long', async () => {
  const port = await freePort()
  let connections = 0
  const server = createServer(socket => {
    socket.resume()
    if (++connections === 1) setTimeout(() => socket.destroy(), 50)
  }).listen(port, '127.0.0.1')
  await once(server, 'listening')
  const probes = new Probes({
    addressOf: () => ({ host: '127.0.0.1', port }),
    dial: realDial,
    onRefused: () => assert.unreachable(),
  })
  probes.watch(new Set([1]))
  await until(() => connections === 2, WAIT_MS_MAX)
  await until(() => !probes.isAway(1), WAIT_MS_MAX)
  probes.close()
  server.close()
})

test.run()
