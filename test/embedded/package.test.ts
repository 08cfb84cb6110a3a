import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { buildCopy } from '../lib/build-copy.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
/** A program that has closed its broker must have ended by then, without process.exit. */
const EXIT_MS_MAX = 10_000

const PROGRAM = `
const dataDir: string = process.argv[2]!
async function main(): Promise<void> {
  const broker: Broker = await Broker.start({ dataDir, numPartitions: 1 })
  const appended: Appended[] = await broker.append('t', [{ key: 'k', value: 'v' }])
  for await (const record of broker.read('t', { until: 'end' })) {
    console.log(String(record.offset === appended[0]!.offset) + ' ' + String(record.value))
  }
  await broker.close()
}
void main()
`
const IMPORT = `import { type Appended, Broker } from 'odradek'\n`

const TESTING_IMPORT = `import { startTestBroker, type Fault, type TestBroker, WaitTimeout } from 'odradek/testing'\n`
const TESTING_PROGRAM = `
async function main(): Promise<void> {
  const broker: TestBroker = await startTestBroker({ emulate: '3.7' })
  const fault: Fault = broker.fault({ api: 'Produce', error: 'NOT_LEADER_OR_FOLLOWER' })
  await broker.seed({ t: [{ key: 'k', value: 'v' }] })
  const [record] = await broker.waitForMessages('t')
  const error: unknown = await broker.waitForGroupStable('g', { timeout: 1 }).catch(e => e)
  console.log([record!.value, fault.hits, error instanceof WaitTimeout].join(' '))
  await broker.close()
}
void main()
`
/** How long they take is for bench/test-brokers.ts to say. */
const BROKERS = 20
const MANY_BROKERS = `
const { startTestBroker } = require('odradek/testing')
async function main() {
  for (let i = 0; i < ${BROKERS}; i++) await (await startTestBroker()).close()
  console.log(process.getActiveResourcesInfo().join(' '))
}
void main()
`

const RESETS = `
const { startTestBroker } = require('odradek/testing')
async function main() {
  const starts = []
  for (let i = 0; i < 5; i++) {
    const start = performance.now()
    const one = await startTestBroker()
    starts.push(performance.now() - start)
    await one.close()
  }
  const broker = await startTestBroker()
  const resets = []
  for (let i = 0; i < 11; i++) {
    await broker.seed({ a: [{ value: 'x' }], b: [{ value: 'x' }], c: { partitions: 3 } })
    const start = performance.now()
    await broker.reset()
    resets.push(performance.now() - start)
  }
  await broker.close()
  console.log(Math.min(...resets), Math.min(...starts))
}
void main()
`

const test = suite('the built package')
let built = ''
let consumer = ''

test.before(() => {
  built = buildCopy(['build'])
  consumer = mkdtempSync(join(tmpdir(), 'odradek-consumer-'))
  const modules = join(consumer, 'node_modules')
  mkdirSync(join(modules, '@types'), { recursive: true })
  symlinkSync(built, join(modules, 'odradek'))
  symlinkSync(join(ROOT, 'node_modules/@types/node'), join(modules, '@types/node'))
})
test.after(() => {
  if (built !== '') rmSync(built, { recursive: true })
  if (consumer !== '') rmSync(consumer, { recursive: true })
})

/** Compiles a program as a user would, type checking included. */
function compile(name: string, source: string, type: 'module' | 'commonjs'): string {
  const dir = join(consumer, name)
  mkdirSync(dir)
  writeFileSync(join(dir, 'package.json'), JSON.stringify({ type }))
  writeFileSync(join(dir, 'main.ts'), source)
  const flags =
    '--strict --module nodenext --target es2022 --types node --lib es2024,esnext.disposable'
  const tsc = join(ROOT, 'node_modules/.bin/tsc')
  const ran = spawnSync(tsc, [...flags.split(' '), 'main.ts'], { cwd: dir, encoding: 'utf8' })
  assert.is(ran.status, 0, ran.stdout)
  return join(dir, 'main.js')
}

function runProgram(path: string): string {
  const dataDir = mkdtempSync(join(consumer, 'data-'))
  return execFileSync(process.execPath, [path, dataDir], {
    encoding: 'utf8',
    timeout: EXIT_MS_MAX,
  })
}

test('an ES module imports it, with types; the program ends by itself after close', () => {
  assert.is(runProgram(compile('esm', IMPORT + PROGRAM, 'module')), 'true v\n')
})

test('a CommonJS program requires it, with types, and ends by itself', () => {
  assert.is(runProgram(compile('cjs', IMPORT + PROGRAM, 'commonjs')), 'true v\n')
})

test('plain require gives the class and its errors', () => {
  const script = `const o = require('odradek'); console.log(Object.keys(o).sort().join())`
  const out = execFileSync(process.execPath, ['-e', script], { cwd: consumer, encoding: 'utf8' })
  assert.is(out, 'Broker,BrokerError,DataDirError,InvalidOption,ListenError\n')
})

test('odradek/testing is there for ES modules and CommonJS, with types', () => {
  const source = TESTING_IMPORT + TESTING_PROGRAM
  assert.is(runProgram(compile('testing-esm', source, 'module')), 'v 0 true\n')
  assert.is(runProgram(compile('testing-cjs', source, 'commonjs')), 'v 0 true\n')
})

test(`${BROKERS} test brokers start and stop one after the other and leave no open handle`, () => {
  const out = execFileSync(process.execPath, ['-e', MANY_BROKERS], {
    ...{ cwd: consumer, timeout: EXIT_MS_MAX },
    encoding: 'utf8',
  })
  const handles = out.trimEnd().split(' ')
  // The program's own standard output and error.
  const left = handles.filter(handle => handle !== 'PipeWrap')
  assert.equal(left, [])
})

test('a test broker of three topics is emptied in less time than another one takes to start', () => {
  const out = execFileSync(process.execPath, ['-e', RESETS], {
    ...{ cwd: consumer, timeout: EXIT_MS_MAX },
    encoding: 'utf8',
  })
  // The shortest of each: the others may have met other tests at the disk.
  const [reset, start] = out.trimEnd().split(' ').map(Number)
  assert.ok(reset! < start!, `${reset} ms, ${start} ms`)
})

test('a broker that is started and forgotten does not keep its data folder locked against a new process', () => {
  const dataDir = mkdtempSync(join(consumer, 'data-'))
  const script = `require('odradek').Broker.start({ dataDir: '${dataDir}' }).then(() => process.exit(0))`
  for (let i = 0; i < 2; i++) {
    const ran = spawnSync(process.execPath, ['-e', script], { cwd: consumer, encoding: 'utf8' })
    assert.is(ran.status, 0, ran.stderr)
  }
})

test('the command line starts from the built file and says its version', () => {
  const cli = join(built, 'dist/src/cli/main.js')
  const out = execFileSync(process.execPath, [cli, '--version'], { encoding: 'utf8' })
  assert.match(out, /^\d+\.\d+\.\d+\n$/)
})

test.run()
