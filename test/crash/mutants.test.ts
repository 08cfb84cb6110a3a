import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { runKills } from './kill.ts'
import { mutants } from './mutants.ts'

/** A planted bug must show within so many kills. */
const CYCLES_MAX = 100
const KILL_MS_MAX = 150

const test = suite('the crash test finds planted bugs')

for (const mutant of Object.keys(mutants)) {
  test(`it finds ${mutant}`, async () => {
    const report = await runKills({ cycles: CYCLES_MAX, seed: 7, mutant, killMsMax: KILL_MS_MAX })
    assert.ok(report.violations.length > 0, `${report.cycles} cycles and nothing was noticed`)
  })
}

test('a name that is no mutant is refused', async () => {
  const error = await runKills({ cycles: 1, seed: 1, mutant: 'none' }).catch((e: Error) => e)
  assert.match((error as Error).message, /no mutant none; there are ack-before-write/)
})

test('without a bug, power cuts lose nothing that was acknowledged or seen', async () => {
  const report = await runKills({ cycles: 10, seed: 11, powerCut: true })
  assert.equal(report.violations.slice(0, 5), [])
  assert.is(report.cycles, 10)
  assert.ok(report.ackedRecords > 1_000)
})

test.run()
