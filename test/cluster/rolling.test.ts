import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { BrokerCluster } from '../lib/broker-cluster.ts'
import { Fleet, wrongIn } from './clients/fleet.ts'
import { CLIENTS } from './clients/program.ts'
import { rollOnce } from './clients/runs.ts'

const test = suite('four clients and a rolling restart')

test('no client sees an error, and nothing is lost, doubled, out of order or left out', async () => {
  await using cluster = await BrokerCluster.start(3)
  await using fleet = await Fleet.start(cluster, CLIENTS, 6)
  await rollOnce(cluster, fleet)
  for (const verdict of await fleet.judge()) assert.equal(wrongIn(verdict), [])
})

test.run()
