import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { HostedReplica } from '../../src/cluster/hosted-replica.ts'
import { RoleChanges } from '../../src/cluster/role-changes.ts'
import { SILENT } from '../lib/silent.ts'

const test = suite('a replica that gets two roles in one turn of the event loop')

/** It was told to lead and then to follow, whichever came last: a leader whose worker refused every append. */
test('its worker is told the last one only', async () => {
  for (const roles of [
    [false, true],
    [true, false],
  ]) {
    const told: unknown[] = []
    const worker = {
      isLost: false,
      command: async (name: string, request: { items: { epoch: number }[] }) => {
        told.push([name, request.items.map(({ epoch }) => epoch)])
        return { views: [] }
      },
    }
    const replica = { partition: { handle: 1, worker }, machine: { hw: 0 } }
    const changes = new RoleChanges(SILENT, () => {})
    roles.forEach((leads, i) => {
      changes.ask(replica as unknown as HostedReplica, leads, 7 + i)
    })
    await new Promise(resolve => setTimeout(resolve, 10))
    assert.equal(told, [[roles[1] ? 'lead' : 'follow', [8]]])
  }
})

test.run()
