/**
 * From the start of a process to the first record that is acknowledged, in turns with the shortest program that Node runs:
 *
 *   npm run build && node --import tsx bench/cold-start.ts
 *
 * Prints medians, in ms, and how many times as long it takes, of the Node that it is run with.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { encodeBatch } from '../src/protocol/records.ts'
import { BrokerProcess } from '../test/lib/broker-process.ts'
import { produceOne } from '../test/lib/produce-one.ts'
import { median } from './harness.ts'
import { createTopic } from './macro/load.ts'

const RUNS = 15

// What is built, as programs have it.
const built = new URL('../dist/src/esm/index.js', import.meta.url).href
const { Broker } = (await import(built)) as typeof import('../src/index.ts')

async function coldMs(records: Buffer): Promise<number> {
  const started = performance.now()
  const broker = await BrokerProcess.start()
  const client = await broker.connect(1)
  await createTopic(client, 'first', 1, {})
  await produceOne(client, 'first', 0, records)
  const ms = performance.now() - started
  await client.close()
  await broker.remove()
  return ms
}

function nothingMs(): number {
  const started = performance.now()
  spawnSync(process.execPath, ['-e', '0'])
  return performance.now() - started
}

/** Of `Broker.start()` where one has been started before. */
async function warmMs(): Promise<number> {
  const dataDir = mkdtempSync(join(tmpdir(), 'odradek-cold-'))
  const started = performance.now()
  const broker = await Broker.start({ dataDir })
  const ms = performance.now() - started
  await broker.close()
  rmSync(dataDir, { recursive: true })
  return ms
}

const records = await encodeBatch([{ timestamp: Date.now(), value: Buffer.from('first') }])
const times: { nothing: number[]; cold: number[]; warm: number[] } = {
  nothing: [],
  cold: [],
  warm: [],
}
await coldMs(records)
await warmMs()
for (let run = 0; run < RUNS; run++) {
  times.nothing.push(nothingMs())
  times.cold.push(await coldMs(records))
  times.warm.push(await warmMs())
}
const nothing = median(times.nothing)
for (const [name, all] of Object.entries(times)) {
  const ms = median(all)
  process.stdout.write(
    `${name.padEnd(8)} ${ms.toFixed(0).padStart(5)} ms  ${(ms / nothing).toFixed(2)} x\n`,
  )
}
