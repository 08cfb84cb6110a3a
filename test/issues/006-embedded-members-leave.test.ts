import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Broker, type Subscription } from '../../src/index.ts'

// A member inside the program left twice, and the second time was over before the first was flushed; a broker that was closed
// did not wait for its members at all. The next start gave the group's partitions to nobody for the session timeout of 45 s.
const test = suite('embedded members have left when the broker is closed')

/** How a program may end that has read one record. */
const ENDS: Record<string, (subscription: Subscription, broker: Broker) => Promise<unknown>> = {
  'the loop is left, then the broker is closed': async (subscription, broker) => {
    for await (const record of subscription) {
      await subscription.commit(record)
      break
    }
    await broker.close()
  },
  'the subscription is closed in the loop': async (subscription, broker) => {
    for await (const _ of subscription) await subscription.close()
    await broker.close()
  },
  'the broker is closed while the loop goes on': async (subscription, broker) => {
    for await (const _ of subscription) broker.close()
    await broker.close()
  },
}

for (const [how, end] of Object.entries(ENDS)) {
  test(how, async () => {
    const dataDir = mkdtempSync(join(tmpdir(), 'odradek-guests-'))
    try {
      for (let run = 0; run < 2; run++) {
        const broker = await Broker.start({ dataDir })
        await broker.append('orders', [{ value: `run ${run}` }])
        const started = performance.now()
        const subscription = broker.subscribe({ group: 'billing', topics: ['orders'] })
        await end(subscription, broker)
        const ms = performance.now() - started
        assert.ok(ms < 20_000, `run ${run} took ${Math.round(ms)} ms`)
      }
    } finally {
      rmSync(dataDir, { recursive: true })
    }
  })
}

test.run()
