import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { GroupRun, type RunOptions } from '../lib/group-run.ts'
import { seeds } from '../lib/random.ts'

const test = suite('consumer groups under random members')

const RUNS = 25
const STEPS = 250

function runAll(name: string, options: RunOptions): void {
  test(name, () => {
    let steps = 0
    for (const seed of seeds(1, RUNS)) {
      try {
        const run = new GroupRun(seed, options)
        // Twice: what came to rest is stirred up again.
        for (let i = 0; i < 2; i++) run.run(STEPS)
        steps += run.steps
      } catch (error) {
        const message = `SEED=${seed}: ${error instanceof Error ? error.stack : error}`
        throw new Error(message, { cause: error })
      }
    }
    assert.ok(steps > RUNS * 20 || process.env.SEED !== undefined, `only ${steps} steps`)
  })
}

runAll('of the consumer protocol', {})
runAll('with patterns', { hasPatterns: true })
runAll('of both protocols', { hasClassic: true })
runAll('of both protocols, with patterns', { hasClassic: true, hasPatterns: true })

test.run()
