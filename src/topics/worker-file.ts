import { createHash } from 'node:crypto'
import * as fs from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type * as Esbuild from 'esbuild'

/** Of what worker threads are made where the sources run as they are, in tests: found again by the next process. */
const CACHE = '../../node_modules/.cache/odradek-workers/'
const made = new Map<string, string>()

export interface WorkerFile {
  /** URL of the thread's entry file. */
  readonly filename: string
  /** Node options of the thread: none of the process's, which may load what only the main thread wants. */
  readonly execArgv: string[]
}

/**
 * The entry file of a worker thread, in `workers/` two folders up: in dist, where it is JavaScript whether this module
 * stands alone or is bundled into dist/src/cjs/index.cjs, or beside the sources. There it is bundled first: a thread that
 * compiles its sources itself takes half a second of CPU at every start.
 */
export function workerFile(name: string): WorkerFile {
  if (!import.meta.url.endsWith('.ts')) {
    return { filename: new URL(`../../workers/${name}.js`, import.meta.url).href, execArgv: [] }
  }
  const filename = made.get(name) ?? bundle(name)
  made.set(name, filename)
  return { filename, execArgv: [] }
}

function bundle(name: string): string {
  const { buildSync } = createRequire(import.meta.url)('esbuild') as typeof Esbuild
  const { outputFiles } = buildSync({
    ...{ bundle: true, packages: 'external', write: false, sourcemap: 'inline' },
    ...{ platform: 'node', target: 'node20', format: 'esm' },
    entryPoints: [fileURLToPath(new URL(`../../workers/${name}.ts`, import.meta.url))],
  })
  const { contents } = outputFiles[0]!
  const hash = createHash('sha256').update(contents).digest('hex')
  const path = fileURLToPath(new URL(`${CACHE}${name}-${hash}.mjs`, import.meta.url))
  if (!fs.existsSync(path)) {
    fs.mkdirSync(fileURLToPath(new URL(CACHE, import.meta.url)), { recursive: true })
    fs.writeFileSync(`${path}.${process.pid}`, contents)
    fs.renameSync(`${path}.${process.pid}`, path)
  }
  return pathToFileURL(path).href
}
