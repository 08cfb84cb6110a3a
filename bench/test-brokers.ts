/**
 * Brokers of odradek/testing: how long it takes to start and stop one after the other, what is left open, and what
 * memory each takes when all run at once.
 *
 *   npm run build && node --import tsx bench/test-brokers.ts [--brokers 100]
 */
import { parseArgs } from 'node:util'
import type { TestBroker } from '../src/testing/index.ts'
import { median } from './harness.ts'

const { values } = parseArgs({ options: { brokers: { type: 'string', default: '100' } } })
const count = Number(values.brokers)
const KIB = 1024

// What is built, as programs have it.
const built = new URL('../dist/src/esm/testing.js', import.meta.url).href
const { startTestBroker } = (await import(built)) as typeof import('../src/testing/index.ts')

async function timed(run: () => Promise<unknown>): Promise<number> {
  const start = performance.now()
  await run()
  return performance.now() - start
}

async function oneAfterTheOther(): Promise<void> {
  const open = process.getActiveResourcesInfo().length
  const resets: number[] = []
  const total = await timed(async () => {
    for (let i = 0; i < count; i++) {
      await using broker = await startTestBroker()
      await broker.append('orders', [{ value: 'x' }])
    }
  })
  const left = process.getActiveResourcesInfo().length - open
  console.log(
    `${count} brokers started, written to and stopped one after the other: ${(total / 1000).toFixed(1)} s, ${left} handles left open`,
  )
  await using broker = await startTestBroker()
  for (let i = 0; i < count; i++) {
    await broker.seed({ a: [{ value: 'x' }], b: [{ value: 'x' }], c: { partitions: 3 } })
    resets.push(await timed(() => broker.reset()))
  }
  console.log(
    `reset of 3 topics with 5 partitions: median ${median(resets).toFixed(1)} ms, longest ${Math.max(...resets).toFixed(1)} ms`,
  )
}

async function allAtOnce(): Promise<void> {
  const before = process.memoryUsage.rss()
  const brokers: TestBroker[] = []
  const total = await timed(async () => {
    for (let i = 0; i < count; i++) brokers.push(await startTestBroker())
    await Promise.all(brokers.map(broker => broker.append('orders', [{ value: 'x' }])))
  })
  const each = (process.memoryUsage.rss() - before) / count / KIB / KIB
  console.log(
    `${count} brokers at once, each with a topic: ${each.toFixed(1)} MiB of resident memory each, ${(total / 1000).toFixed(1)} s to start`,
  )
  const stopped = await timed(() => Promise.all(brokers.map(broker => broker.close())))
  console.log(`all stopped in ${(stopped / 1000).toFixed(1)} s`)
}

await oneAfterTheOther()
await allAtOnce()
