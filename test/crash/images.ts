import { CrashRun } from '../lib/crash-run.ts'

/** Crash images by the thousand: `node --import tsx test/crash/images.ts --images 100000 [--seed 1]`. */
const option = (name: string, fallback: number): number => {
  const at = process.argv.indexOf(`--${name}`)
  return at === -1 ? fallback : Number(process.argv[at + 1])
}
const wanted = option('images', 1_000)
let seed = option('seed', 1)
let images = 0
let acknowledged = 0
let broken = 0
const started = Date.now()
while (images < wanted) {
  const run = new CrashRun(seed)
  try {
    for (let round = 0; round < 4; round++) run.round(3)
  } catch (error) {
    broken++
    console.log(`seed ${seed}: ${error instanceof Error ? error.stack : error}`)
    if (broken >= option('stop', 5)) break
  }
  images += run.images
  acknowledged += run.acknowledged
  seed++
}
const seconds = (Date.now() - started) / 1000
console.log(
  `${images} images, ${acknowledged} acknowledged, ${broken} broken, ${seconds.toFixed(1)} s`,
)
process.exitCode = broken > 0 ? 1 : 0
