/**
 * The cluster in virtual time (docs/testing.md):
 *
 *   npm run sim                        seeds 1 to 1000
 *   npm run sim -- --seeds 1..10000    these
 *   npm run sim -- --seed 17 --trace   one, and what happened
 *   npm run sim -- --seeds 1..300 --real   with the logs of storage in all of them, not in every hundredth
 *   npm run sim -- --mutants           each planted bug, until a seed shows it (--seeds 1..10000: out of these)
 *   npm run sim -- --mutants 12        this one
 */
import { parseArgs } from 'node:util'
import { bundled, find } from './find.ts'
import { mutants } from './mutants.ts'
import { shrink } from './shrink.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seed: { type: 'string' },
    seeds: { type: 'string', default: '1..1000' },
    trace: { type: 'boolean', default: false },
    real: { type: 'boolean' },
    mutants: { type: 'boolean', default: false },
    'keep-going': { type: 'boolean', default: false },
  },
})

const range = (values.seed ?? values.seeds).split('..').map(Number) as [number, number?]
const [first, last = first] = range
if (values.mutants) await findMutants()
else await runSeeds()

async function findMutants(): Promise<void> {
  for (const [name, mutant] of Object.entries(mutants)) {
    if (positionals.length > 0 && !positionals.includes(name.split(' ')[0]!)) continue
    const found = await find(mutant, first, last - first + 1)
    if (found === null) process.exitCode = 1
    const how = found === null ? 'NOT FOUND' : `${found.seeds} seeds: ${found.result.violation}`
    console.log(`${name}: ${how.split('\n')[0]}`)
  }
}

async function runSeeds(): Promise<void> {
  // As tsx loads it, each function that is made in passing is given its name: a fifth of the time.
  const { Simulation } = await bundled([])
  const began = performance.now()
  let events = 0
  let acks = 0
  let failed = 0
  for (let seed = first; seed <= last; seed++) {
    const options = { isReal: values.real }
    const result = new Simulation(seed, { ...options, isTraced: values.trace }).run()
    events += result.events
    acks += result.acks
    if (values.trace) console.log(result.lines.join('\n'))
    if (result.violation === null) continue
    failed++
    console.log(`seed ${seed}: ${result.violation}`)
    if (!values['keep-going']) {
      console.log('the least of what has to go wrong:')
      for (const fault of shrink(seed, result, options).faults)
        console.log(`  ${JSON.stringify(fault)}`)
      console.log(`npm run sim -- --seed ${seed} --trace${values.real ? ' --real' : ''}`)
      break
    }
  }
  const count = last - first + 1
  const seconds = (performance.now() - began) / 1000
  console.log(
    `${count} seeds, ${failed} violations, ${events} events, ${acks} acks, ${seconds.toFixed(1)} s, ` +
      `${(count / seconds).toFixed(0)} seeds/s`,
  )
  process.exitCode = failed === 0 ? 0 : 1
}
