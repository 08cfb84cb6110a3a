import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ENDINGS, killRepair, repairDamage } from '../lib/doctor-run.ts'
import { ARE_FEW, seeds } from '../lib/random.ts'

const RUNS = Number(process.env.RUNS ?? 40)

const test = suite('odradek doctor --data --repair')

for (const ending of ENDINGS) {
  test(`after a repair all is online, and what is not there was said to be lost, after a ${ending}`, async () => {
    const outcomes = { mended: 0, refused: 0, well: 0 }
    for (const seed of seeds(1, RUNS)) outcomes[await repairDamage(seed, ending)]++
    const { mended, refused } = outcomes
    const isMuch = mended > RUNS / 3 && refused < RUNS / 6
    assert.ok(isMuch || ARE_FEW, JSON.stringify(outcomes))
  })
}

test('a repair that is killed, or meets a power cut, at any file call can be done again, and loses nothing more', async () => {
  let killed = 0
  for (const seed of seeds(1, RUNS * 2)) if (await killRepair(seed)) killed++
  assert.ok(killed > RUNS / 2 || ARE_FEW, `${killed} killed`)
})

test.run()
