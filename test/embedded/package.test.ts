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
