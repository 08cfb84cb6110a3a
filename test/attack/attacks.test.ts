import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { attacks } from './attacks.ts'
import { measure } from './measure.ts'

/** How long each attack goes on; `run.ts` does it for longer. */
const MS = Number(process.env.ATTACK_MS ?? 1_500)

const test = suite('whatever one client sends, others are served')

for (const name of Object.keys(attacks)) {
  test(name, async () => {
    const { problems, ...measured } = await measure(name, MS)
    assert.equal(problems, [], JSON.stringify(measured))
  })
}

test.run()
