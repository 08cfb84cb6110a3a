import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { servedApis } from '../src/apis/index.ts'
import { clusterCutMutants, slowFlush } from './crash/cluster-cut/mutants.ts'
import { mutants as crashMutants } from './crash/mutants.ts'
import { stormMutants } from './crash/storm/mutants.ts'
import { jepsenMutants } from './jepsen/mutants.ts'
import { mutants as simMutants } from './sim/mutants.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const LINES_MAX = 500
/** Spelled in halves, so that this file does not hold them. */
const BANNED = ['TO' + 'DO', 'FIX' + 'ME', 'XX' + 'X', 'HA' + 'CK'].map(
  w => new RegExp(`\\b${w}\\b`),
)

interface File {
  /** From the root, with slashes. */
  readonly path: string
  readonly text: string
}

function filesIn(folder: string, ending = /\.ts$/): File[] {
  const whole = join(ROOT, folder)
  if (!existsSync(whole)) return []
  return readdirSync(whole, { recursive: true, encoding: 'utf8' })
    .filter(name => ending.test(name))
    .map(name => ({
      path: `${folder}/${name}`,
      text: readFileSync(join(whole, name), 'utf8'),
    }))
}

const src = filesIn('src')
const workers = filesIn('workers')
const tests = filesIn('test')
const all = [...src, ...workers, ...tests, ...filesIn('bench')]

interface Import {
  readonly from: string
  readonly to: string
  readonly isType: boolean
}

/** Imports of our own files: static ones, re-exports, and dynamic ones. */
function importsOf({ path, text }: File): Import[] {
  const found = text.matchAll(
    /(?:^(?:import|export)( type)?[^'"]*? from |^import |\bimport\()'(\.[^']+)'/gm,
  )
  return [...found].map(([, type, target]) => ({
    from: path,
    to: relative(ROOT, resolve(ROOT, dirname(path), target!)),
    isType: type !== undefined,
  }))
}

const imports = [...src, ...workers].flatMap(importsOf)
const layerOf = (path: string): string => path.split('/').slice(0, 2).join('/')

/** What each layer may import besides itself. A file directly in src is a layer of its own name. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  'src/protocol': ['src/compression', 'src/assert.ts'],
  'src/compression': [],
  'src/shared': ['src/assert.ts'],
  'src/storage': ['src/protocol', 'src/shared', 'src/compression', 'src/assert.ts'],
  'src/errors.ts': ['src/protocol'],
  'src/assert.ts': [],
}

/** Only these may see everything. */
const TOPS = ['src/broker.ts', 'src/index.ts', 'src/cli', 'src/testing']

const test = suite('the repository itself')

test('every test file runs its suites', () => {
  for (const { path, text } of tests.filter(f => f.path.endsWith('.test.ts'))) {
    const made = [...text.matchAll(/^(?:export )?const (\w+) = suite(?:<[^\n]*>)?\(/gm)]
    assert.ok(made.length > 0, `${path} has a suite`)
    for (const [, name] of made) {
      assert.match(text, new RegExp(`^${name}\\.run\\(\\)`, 'm'), `${path} runs ${name}`)
    }
  }
})

test('no file is longer than 500 lines', () => {
  for (const { path, text } of all) {
    const lines = text.split('\n')
    assert.ok(lines.length <= LINES_MAX + 1, `${path} has ${lines.length} lines`)
  }
})

test('nothing is left for later, and no type is given up', () => {
  for (const { path, text } of all) {
    for (const word of BANNED) assert.not.match(text, word, path)
  }
  for (const { path, text } of [...src, ...workers]) {
    assert.not.match(text, /(: |as |<)any\b(\[|>|,|;|\)|$| [=|&{])/m, `${path} has an any`)
    assert.not.match(text, /@ts-(ignore|expect-error|nocheck)/, path)
  }
})

test('no test is skipped or run alone', () => {
  for (const { path, text } of tests) {
    assert.not.match(text, /^\s*\w+\.(skip|only)\(/m, path)
  }
})

test('the lower layers import nothing above them', () => {
  const wrong = imports
    .filter(({ from, to, isType }) => {
      const allowed = ALLOWED[layerOf(from)]
      return (
        !isType &&
        allowed !== undefined &&
        layerOf(from) !== layerOf(to) &&
        !allowed.includes(layerOf(to))
      )
    })
    .map(({ from, to }) => `${from} imports ${to}`)
  assert.equal(wrong, [])
})

test('only the broker, the faces of the library and the command line see the broker', () => {
  const wrong = imports
    .filter(({ to, isType }) => to === 'src/broker.ts' && !isType)
    .map(({ from }) => from)
    .filter(from => !TOPS.includes(layerOf(from)))
  assert.equal(wrong, [])
})

test('nothing outside of the testing kit imports it', () => {
  const wrong = imports
    .filter(({ to }) => layerOf(to) === 'src/testing')
    .map(({ from }) => from)
    .filter(from => layerOf(from) !== 'src/testing')
  assert.equal(wrong, [])
})

test('worker entries are imported by nobody, and import no main-thread code', () => {
  const importers = imports.filter(({ to, isType }) => to.startsWith('workers/') && !isType)
  assert.equal(
    importers.map(({ from }) => from),
    [],
  )
  const above = ['src/net', 'src/apis', 'src/cli', 'src/embedded', 'src/broker.ts', 'src/index.ts']
  const wrong = imports.filter(
    ({ from, to }) => from.startsWith('workers/') && above.includes(layerOf(to)),
  )
  assert.equal(
    wrong.map(({ from, to }) => `${from} imports ${to}`),
    [],
  )
})

test('every API file is in the table and has its messages, and the other way round', () => {
  const names = (folder: string): string[] =>
    src
      .map(({ path }) => path)
      .filter(path => path.startsWith(folder) && /^\d\d+-/.test(path.slice(folder.length)))
      .map(path => path.slice(folder.length))
      .sort()
  const apis = names('src/apis/')
  assert.equal(
    apis.filter(name => !names('src/protocol/messages/').includes(name)),
    [],
    'APIs without messages',
  )
  const keys = apis.map(name => Number(name.split('-')[0])).sort((a, b) => a - b)
  assert.equal(
    keys,
    servedApis.map(({ request }) => request.apiKey).sort((a, b) => a - b),
  )
})

/** The tests that plant them take minutes, and run in CI only. */
test('the bugs that slow tests plant still fit the sources', () => {
  const edits = [
    ...Object.values(crashMutants).flatMap(mutant => mutant.edits),
    ...Object.values(stormMutants).flat(),
    ...Object.values(clusterCutMutants).flat(),
    slowFlush(1),
    ...Object.values(jepsenMutants).flat(),
    ...Object.values(simMutants).flatMap(mutant => mutant.edits ?? []),
  ]
  assert.ok(edits.length > 30)
  const misfits = edits.filter(({ file, from }) => {
    return readFileSync(join(ROOT, file), 'utf8').split(from).length !== 2
  })
  assert.equal(misfits, [])
})

test('every source file is used', () => {
  const used = new Set(imports.map(({ to }) => to))
  const entries = ['src/index.ts', 'src/testing/index.ts', 'src/cli/main.ts']
  const dead = src
    .map(({ path }) => path)
    .filter(path => !used.has(path) && !entries.includes(path))
  assert.equal(dead, [])
})

test.run()
