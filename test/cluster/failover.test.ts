import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { BrokerCluster } from '../lib/broker-cluster.ts'
import { Fleet, wrongIn } from './clients/fleet.ts'
import { CLIENTS } from './clients/program.ts'
import { failOver } from './clients/runs.ts'

const test = suite('four clients and a leader that is killed')

test('no acknowledged record is lost, doubled or out of order, and groups read all of them', async () => {
  await using cluster = await BrokerCluster.start(3)
  await using fleet = await Fleet.start(cluster, CLIENTS, 1)
  const gaps = await failOver(cluster, fleet, 'kill')
  for (const verdict of await fleet.judge()) assert.equal(wrongIn(verdict), [])
  // franz-go asks for metadata every five seconds at most; the machine may be busy.
  for (const [{ name }, { acknowledgements }] of gaps) {
    assert.ok(acknowledgements < 15_000, `${name} had nothing acknowledged for ${acknowledgements}`)
  }
})

test.run()
