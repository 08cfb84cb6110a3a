import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { benches } from '../../bench/all.ts'

const test = suite('benches')

for (const [name, bench] of Object.entries(benches)) {
  test(`${name} runs with tiny parameters and gives numbers`, async () => {
    const rows = await bench({ tiny: true })
    assert.ok(rows.length > 0)
    for (const { parameters, numbers } of rows) {
      for (const [unit, value] of Object.entries(numbers)) {
        assert.ok(Number.isFinite(value) && value >= 0, `${parameters}: ${unit} is ${value}`)
      }
    }
  })
}

test.run()
