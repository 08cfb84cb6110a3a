import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { HttpClient, NoAnswer, NotSent } from '../../src/metadata/etcd/http.ts'
import { Etcd } from '../lib/etcd.ts'
import { Random, seeds } from '../lib/random.ts'
import { again, instead, type LedgerResult, ledger, type Plant } from './ledger.ts'

const RUNS = Number(process.env.RUNS ?? 12)
/** Runs that a planted bug may take to be found. */
const RUNS_MAX = 40

const test = suite('transactions of which no answer comes')
let etcd: Etcd
let runs = 0

test.before(async () => {
  etcd = await Etcd.start()
})
test.after(() => etcd.close())

const run = (seed: number, plant: Plant = store => store): Promise<LedgerResult> =>
  ledger(etcd, `run/${++runs}`, new Random(seed), plant)

test('what is said of a transaction is true, whatever is lost, cut, delayed or held back', async () => {
  const sum = { applied: 0, refused: 0, failed: 0, unknownApplied: 0, unknownLost: 0 }
  for (const seed of seeds(1, RUNS)) {
    try {
      const result = await run(seed)
      for (const name of Object.keys(sum) as (keyof typeof sum)[]) sum[name] += result[name]
    } catch (error) {
      throw new Error(`SEED=${seed}: ${error instanceof Error ? error.stack : error}`)
    }
  }
  console.log(JSON.stringify(sum))
  for (const name of ['applied', 'refused', 'unknownApplied', 'unknownLost'] as const) {
    assert.ok(sum[name] > 0, `${name} is among them`)
  }
})

async function isFound(plant?: Plant): Promise<void> {
  for (let seed = 1; seed <= RUNS_MAX; seed++) {
    const error = await run(seed, plant).then(
      () => null,
      (thrown: Error) => thrown,
    )
    if (error === null) continue
    assert.is(error.name, 'Broken', error.stack)
    return
  }
  assert.unreachable('it was not found')
}

const BUGS: Record<string, Plant> = {
  'unknown is taken as refused': instead((_, revision) => ({
    outcome: 'refused',
    revision,
    now: [],
  })),
  'unknown is taken as applied': instead((_, revision) => ({
    outcome: 'applied',
    revision: revision + 1,
  })),
  'what may have arrived is sent again': again,
}

for (const [name, plant] of Object.entries(BUGS)) test(`found: ${name}`, () => isFound(plant))

test('found: no answer is taken as not sent', async () => {
  const { send } = HttpClient.prototype
  HttpClient.prototype.send = async function (call) {
    try {
      return await send.call(this, call)
    } catch (error) {
      if (error instanceof NoAnswer) throw new NotSent(error.message)
      throw error
    }
  }
  try {
    await isFound()
  } finally {
    HttpClient.prototype.send = send
  }
})

test.run()
