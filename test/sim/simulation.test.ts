import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ARE_FEW, seeds } from '../lib/random.ts'
import { find } from './find.ts'
import { mutants } from './mutants.ts'
import { Simulation } from './simulation.ts'

/** `npm run sim` looks at many more. */
const SEEDS = 300
const TWICE = 50
/** With the logs of storage, which take ten times as long. */
const REAL_SEEDS = 10
const REAL_TWICE = 3
/** Of planted bugs: those that few seeds show. `npm run sim -- --mutants` looks for all. */
const QUICK = ['1', '4', '5', '12', '14', '19', '23', '27', '28', '29', '39', '41']
const QUICK_SEEDS = 60

const test = suite('a cluster in virtual time')

test('whatever goes wrong, no rule is broken', () => {
  let acks = 0
  const chosen = seeds(1, SEEDS)
  for (const seed of chosen) {
    const result = new Simulation(seed).run()
    assert.is(result.violation, null, `npm run sim -- --seed ${seed} --trace`)
    acks += result.acks
  }
  assert.ok(ARE_FEW || acks > 100 * chosen.length, `${acks} acknowledged`)
})

test('nor with the logs of storage', () => {
  for (const seed of seeds(1, REAL_SEEDS)) {
    const result = new Simulation(seed, { isReal: true }).run()
    assert.is(result.violation, null, `npm run sim -- --seed ${seed} --real --trace`)
  }
})

for (const [isReal, count] of [
  [false, TWICE],
  [true, REAL_TWICE],
] as const) {
  test(`the same seed gives the same run${isReal ? ' with the logs of storage' : ''}`, () => {
    const hash = (_: unknown, i: number) => new Simulation(i + 1, { isReal }).run().hash
    const hashes = () => Array.from({ length: count }, hash)
    const first = hashes()
    assert.equal(hashes(), first)
    assert.is(new Set(first).size, count)
  })
}

for (const [name, mutant] of Object.entries(mutants)) {
  if (!QUICK.includes(name.split(' ')[0]!)) continue
  test(`found: ${name}`, async () => {
    assert.is.not(await find(mutant, 1, QUICK_SEEDS), null)
  })
}

test('every planted bug still fits the sources', async () => {
  for (const mutant of Object.values(mutants)) await find(mutant, 1, 0)
})

test.run()
