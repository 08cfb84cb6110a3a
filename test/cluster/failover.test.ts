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
  for (const [{ name }, { acknowledgements, goesOn }] of gaps) {
    assert.ok(acknowledgements < 10_000, `${name} had nothing acknowledged for ${acknowledgements}`)
    assert.ok(goesOn < 10_000, `${name} read nothing for ${goesOn} ms`)
  }
})

test.run()
