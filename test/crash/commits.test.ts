import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { commitMutants, runCommitKills } from './commits.ts'

/** A planted bug must show within so many kills. */
const CYCLES_MAX = 30

const test = suite('the crash test of commits finds planted bugs')

for (const mutant of Object.keys(commitMutants)) {
  test(`it finds ${mutant}`, async () => {
    const report = await runCommitKills({ cycles: CYCLES_MAX, seed: 5, mutant })
    assert.ok(report.violations.length > 0, `${report.cycles} cycles and nothing was noticed`)
  })
}

test.run()
