import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { attacks } from './attacks.ts'
import { measure } from './measure.ts'

/** How long each attack goes on. The slowest of so few pings stands for their p99: */
const MS = Number(process.env.ATTACK_MS ?? 1_500)
/** so what looks wrong is measured for longer, and that counts. */
const LONGER_MS = 10_000
/** What fills memory until the broker refuses more has to come that far, on a slow machine, too. */
const FILLING_MS: Readonly<Record<string, number>> = {
  'commits of one group after another, all new': 20_000,
}

const test = suite('whatever one client sends, others are served')

for (const name of Object.keys(attacks)) {
  test(name, async () => {
    let measured = await measure(name, FILLING_MS[name] ?? MS)
    if (measured.problems.length > 0) measured = await measure(name, FILLING_MS[name] ?? LONGER_MS)
    assert.equal(measured.problems, [], JSON.stringify(measured))
  })
}

test.run()
