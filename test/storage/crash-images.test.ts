import { suite } from 'uvu'
import { CrashRun } from '../lib/crash-run.ts'
import { seeds } from '../lib/random.ts'

const RUNS = 130
const ROUNDS = 3
const IMAGES_A_ROUND = 3

const test = suite('crash images')

test('after any power cut or kill, all that was acknowledged is there once, in order, and nothing else', () => {
  for (const seed of seeds(1, RUNS)) {
    const run = new CrashRun(seed)
    try {
      for (let round = 0; round < ROUNDS; round++) run.round(IMAGES_A_ROUND)
    } catch (error) {
      throw new Error(`SEED=${seed}: ${error instanceof Error ? error.stack : error}`)
    }
  }
})

test.run()
