/** Every attack against the built broker: `node --import tsx test/attack/run.ts [--seconds 5] [--only PART_OF_NAME]`. */
import { parseArgs } from 'node:util'
import { attacks } from './attacks.ts'
import { measure } from './measure.ts'

const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '5' }, only: { type: 'string', default: '' } },
})
let failed = 0
let passed = 0
for (const name of Object.keys(attacks).filter(n => n.includes(values.only))) {
  const m = await measure(name, Number(values.seconds) * 1_000)
  const mb = (value: number) => value.toFixed(0)
  const ms = (value: number) => value.toFixed(1)
  console.log(
    `${m.problems.length === 0 ? 'ok  ' : 'FAIL'} ${name}: p99 ${ms(m.p99Ms)} ms, max ${ms(m.maxMs)} ms, ${m.pings} pings, idle ${mb(m.idleMb)} MB, peak ${mb(m.peakMb)}, after ${mb(m.afterMb)}, honest ${m.produced}`,
  )
  for (const problem of m.problems) console.log(`     ${problem}`)
  if (m.problems.length === 0) passed++
  else failed++
}
console.log(`${passed} passed, ${failed} failed`)
process.exitCode = failed === 0 ? 0 : 1
