import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { stormMutants } from './storm/mutants.ts'
import { runStorms } from './storm.ts'

/** A planted bug must show in a storm of so many seconds. */
const SECONDS = 8

const test = suite('the rebalance storm finds planted bugs')

/** How each of them shows. */
const SIGNS: Readonly<Record<string, RegExp>> = {
  'give-too-early': /owned by .* at once/,
  'any-generation': /may commit \d+, sent \d+ ms after|may commit after generation/,
  'skip-one': /reads offset \d+, but the last commits are/,
  immortal: /is not stable after the storm/,
}

for (const mutant of Object.keys(stormMutants)) {
  test(`it finds ${mutant}`, async () => {
    const { violations } = await runStorms({ storms: 1, seconds: SECONDS, seed: 5, mutant })
    const sign = SIGNS[mutant]!
    assert.ok(
      violations.some(violation => sign.test(violation)),
      `nothing like ${sign} among ${violations.slice(0, 3).join('\n')}`,
    )
  })
}

test('a name that is no mutant is refused', async () => {
  const options = { storms: 1, seconds: 1, seed: 1, mutant: 'none' }
  const error = await runStorms(options).catch((e: Error) => e)
  assert.match((error as Error).message, /no mutant none; there are give-too-early/)
})

test.run()
