import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { CompactionCase, type CompactionMutant } from '../lib/compaction-case.ts'
import { seeds } from '../lib/random.ts'

const CASES = Number(process.env.CASES ?? 1_000)
const test = suite('compaction')

test(`random logs, compacted and killed at random, against what was written (${CASES} cases)`, async () => {
  let compactions = 0
  let crashes = 0
  const all = seeds(1, CASES)
  for (const seed of all) {
    const one = new CompactionCase(seed)
    try {
      await one.run()
    } catch (error) {
      const reason = error instanceof Error ? error.stack : String(error)
      throw new Error(`seed ${seed}: ${reason}`, { cause: error })
    }
    compactions += one.compactions
    crashes += one.crashes
  }
  assert.ok(compactions > all.length, `${compactions} compactions`)
  assert.ok(crashes > all.length / 2, `${crashes} crashes`)
})

const MUTANTS: readonly CompactionMutant[] = [
  'swap not written down',
  'cleaned names not flushed',
  'cleaned files not flushed',
  'swap not finished at the start',
  'tombstones go at once',
  'producers forgotten',
  'checkpoint too far',
]
/** Cases within which a planted bug must show. */
const FOUND_WITHIN = 400

for (const mutant of MUTANTS) {
  test(`planted bug: ${mutant}`, async () => {
    for (let seed = 1; seed <= FOUND_WITHIN; seed++) {
      try {
        await new CompactionCase(seed, mutant).run()
      } catch {
        return
      }
    }
    assert.unreachable(`not found in ${FOUND_WITHIN} cases`)
  })
}

test.run()
