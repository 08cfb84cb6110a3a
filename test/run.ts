/**
 * Runs test files side by side, in a process for each core:
 *
 *   npm test                      all that need nothing but npm
 *   npm test -- groups/x apis/0   files whose path below test/ holds one of these
 *   npm test -- '!planted-bugs'   none whose path holds this
 *
 * A file without tests, as one that forgets `.run()`, is a failure, and so is one whose process ends amid it.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { dirname, join, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildCopy } from './lib/build-copy.ts'
import type { FileDone } from './lib/test-process.ts'

const TESTS = fileURLToPath(new URL('.', import.meta.url))
const PROCESS = join(TESTS, 'lib/test-process.ts')
/** These want more than npm, or much time: only when they are named. */
const APART = ['definitions/', 'live/', 'crash/', 'attack/', 'cluster/']
const PROCESSES_MAX = 4
/** How long each file took: the longest begin first, so that all processes end about together. */
const TIMES = join(TESTS, '../node_modules/.cache/odradek-test-times.json')

/** What the tests of a file did. */
interface Result extends FileDone {
  readonly file: string
  readonly ms: number
}

function choose(filters: readonly string[]): string[] {
  const without = filters.filter(f => f.startsWith('!')).map(f => f.slice(1))
  const asked = filters.filter(f => !f.startsWith('!')).map(f => f.replace(/^test\//, ''))
  const isAsked = (file: string): boolean => {
    const apart = APART.find(folder => file.startsWith(folder))
    if (asked.length === 0) return apart === undefined
    return asked.some(f => file.includes(f) && (apart === undefined || f.startsWith(apart)))
  }
  return (readdirSync(TESTS, { recursive: true }) as string[])
    .map(file => file.split(sep).join('/'))
    .filter(file => file.endsWith('.test.ts') && isAsked(file))
    .filter(file => !without.some(f => file.includes(f)))
}

function knownTimes(): Record<string, number> {
  try {
    return JSON.parse(readFileSync(TIMES, 'utf8')) as Record<string, number>
  } catch {
    return {} // none has been kept yet: any order will do
  }
}

/** Runs one file after the other in a process of its own, and begins a new process after one that has ended. */
class Lane {
  #child: ChildProcess | null = null
  /** What the process has printed since it was sent its file. */
  #output = ''

  async run(queue: string[], onResult: (result: Result) => void): Promise<void> {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
      const start = performance.now()
      const done = await this.#runOne(file)
      onResult({ file, ...done, ms: performance.now() - start })
    }
    this.#child?.kill()
  }

  #runOne(file: string): Promise<FileDone> {
    this.#output = ''
    const child = this.#child ?? this.#start()
    return new Promise(resolve => {
      const finish = (done: FileDone): void => {
        child.removeAllListeners('message')
        child.removeAllListeners('close')
        resolve(done)
      }
      child.once('message', message => finish(message as FileDone))
      child.once('close', (code, signal) => {
        this.#child = null
        const why = `its process ended amid it (${signal ?? `code ${code}`})`
        finish({ total: 1, passed: 0, output: `${this.#output}\n${why}\n` })
      })
      child.send({ name: file, file: join(TESTS, file) })
    })
  }

  #start(): ChildProcess {
    const child = fork(PROCESS, {
      execArgv: process.execArgv,
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    })
    const take = (chunk: Buffer): void => {
      this.#output += chunk.toString()
    }
    child.stdout!.on('data', take)
    child.stderr!.on('data', take)
    this.#child = child
    return child
  }
}

const files = choose(process.argv.slice(2))
if (files.length === 0) {
  process.stderr.write(`no test file below test/ fits ${process.argv.slice(2).join(' ')}\n`)
  process.exit(1)
}
const times = knownTimes()
files.sort((a, b) => (times[b] ?? 0) - (times[a] ?? 0))
const started = performance.now()
const count = { total: 0, passed: 0 }
const failures: string[] = []
const onResult = ({ file, total, passed, ms, output }: Result): void => {
  count.total += Math.max(total, 1)
  count.passed += passed
  times[file] = Math.round(ms)
  const isGood = total > 0 && passed === total
  process.stdout.write(
    `${isGood ? '' : output}${isGood ? 'ok  ' : 'FAIL'} ${file}: ${passed} of ${total} in ${(ms / 1000).toFixed(1)} s\n`,
  )
  if (!isGood) failures.push(file)
}
const built = buildCopy(['build:esm'])
process.env.BUILT_NOW = built
process.on('exit', () => rmSync(built, { recursive: true }))
const lanes = Math.min(availableParallelism(), PROCESSES_MAX, files.length)
await Promise.all(Array.from({ length: lanes }, () => new Lane().run(files, onResult)))
mkdirSync(dirname(TIMES), { recursive: true })
writeFileSync(TIMES, JSON.stringify(times))
for (const file of failures) process.stdout.write(`FAILED ${file}\n`)
process.stdout.write(`\n  Total:     ${count.total}\n  Passed:    ${count.passed}\n`)
process.stdout.write(`  Duration:  ${((performance.now() - started) / 1000).toFixed(0)} s\n`)
process.exitCode = failures.length > 0 ? 1 : 0
