import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const FOLDERS = ['src/replication', 'src/controller']
/** Beside the shell that drives them. */
const OF_CLUSTER = ['image', 'image-diff', 'placement', 'registration', 'session']

const test = suite('the machines')

const machines = [
  ...FOLDERS.flatMap(folder =>
    (readdirSync(ROOT + folder, { recursive: true }) as string[])
      .filter(name => name.endsWith('.ts'))
      .map(name => `${folder}/${name}`),
  ),
  ...OF_CLUSTER.map(name => `src/cluster/${name}.ts`),
]

const textOf = (path: string): string => readFileSync(ROOT + path, 'utf8')
const importsOf = (path: string): string[] =>
  [...textOf(path).matchAll(/^(?:import|export) (?!type\b)[^'"]*?from '([^']+)'/gm)].map(m => m[1]!)

test('they import nothing of Node, no package, and nothing that does', () => {
  const seen = new Set<string>()
  const visit = (path: string, by: string): void => {
    if (seen.has(path)) return
    seen.add(path)
    for (const target of importsOf(path)) {
      assert.ok(target.startsWith('.'), `${path} (for ${by}) imports ${target}`)
      visit(new URL(target, `file:///${path}`).pathname.slice(1), by)
    }
  }
  for (const path of machines) visit(path, path)
  assert.ok(seen.size > 10)
})

test('they know no time, no chance, no promises and no timers', () => {
  const forbidden =
    /\b(Date\b|performance\b|Math\.random|Promise\b|async\b|await\b|set(Timeout|Interval|Immediate)\b|queueMicrotask|process\.|Buffer\b|WeakRef)/
  for (const path of machines) {
    const code = textOf(path)
      .replace(/\/\*[\s\S]*?\*\//g, '')
      .replace(/\/\/.*$/gm, '')
    assert.not.match(code, forbidden, path)
  }
})

test.run()
