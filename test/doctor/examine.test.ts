import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { examine } from '../../src/doctor/examine.ts'
import { RunningFolder, writeFolder } from '../lib/data-folder.ts'
import { contentOf, ENDINGS, lookAtDamage, textOf } from '../lib/doctor-run.ts'
import { ARE_FEW, Random, seeds } from '../lib/random.ts'
import { DATA_DIR } from '../lib/store-driver.ts'

const RUNS = Number(process.env.RUNS ?? 15)

const test = suite('odradek doctor --data')

for (const ending of ENDINGS) {
  test(`nothing is wrong with a folder that is not damaged, after a ${ending}`, async () => {
    for (const seed of seeds(1, RUNS)) {
      const files = await writeFolder(new Random(seed), ending)
      const before = contentOf(files)
      const { findings, partitions } = await examine(files, DATA_DIR)
      assert.is(textOf(findings.faults), '', `SEED=${seed}`)
      assert.is(partitions, 4, `SEED=${seed}`)
      assert.equal(contentOf(files), before, `SEED=${seed}`)
      const running = await RunningFolder.start(files)
      for (const [name, stored] of running.served()) {
        assert.ok(stored !== null, `${name} SEED=${seed}`)
      }
    }
  })

  test(`what is damaged is reported, or changes nothing that is served, after a ${ending}`, async () => {
    let reported = 0
    for (const seed of seeds(1, RUNS * 4)) {
      if (await lookAtDamage(seed, ending)) reported++
    }
    assert.ok(reported > RUNS || ARE_FEW, `${reported} reported`)
  })
}

test.run()
