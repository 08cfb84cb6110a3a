import { rmSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build, type Plugin } from 'esbuild'
import type { Edit } from '../lib/build-copy.ts'
import type { Mutant } from './mutants.ts'
import { type Options, type Result, Simulation as Sound } from './simulation.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** Applies edits to sources while they are read; each must fit exactly once. */
const edited = (edits: readonly Edit[]): Plugin => ({
  name: 'edits',
  setup(builder) {
    builder.onLoad({ filter: /\.ts$/ }, async ({ path }) => {
      const file = relative(ROOT, path)
      let contents = await readFile(path, 'utf8')
      for (const { from, to } of edits.filter(edit => edit.file === file)) {
        const parts = contents.split(from)
        if (parts.length !== 2) throw new Error(`${file} holds ${parts.length - 1} times: ${from}`)
        contents = parts.join(to)
      }
      return { contents, loader: 'ts' }
    })
  },
})

type Simulations = typeof import('./simulation.ts')
let bundles = 0

/** The simulation around sources with edits. */
export async function bundled(edits: readonly Edit[]): Promise<Simulations> {
  const { outputFiles } = await build({
    entryPoints: [join(ROOT, 'test/sim/simulation.ts')],
    bundle: true,
    format: 'esm',
    platform: 'node',
    write: false,
    sourcemap: 'inline',
    logLevel: 'error',
    plugins: [edited(edits)],
  })
  const path = join(tmpdir(), `odradek-sim-${process.pid}-${++bundles}.mjs`)
  writeFileSync(path, outputFiles[0]!.text)
  try {
    return (await import(pathToFileURL(path).href)) as Simulations
  } finally {
    rmSync(path)
  }
}

export interface Found {
  /** How many seeds it took. */
  readonly seeds: number
  readonly result: Result
}

/** The first seed, out of so many, that shows the planted bug; null: none does. */
export async function find(mutant: Mutant, first: number, count: number): Promise<Found | null> {
  const { Simulation } = await bundled(mutant.edits ?? [])
  const options: Options = { bugs: mutant.bugs, isReal: mutant.isReal }
  for (let seed = first; seed < first + count; seed++) {
    const result = new Simulation(seed, options).run()
    if (result.violation === null) continue
    // A seed that breaks a rule without the bug shows nothing.
    if (new Sound(seed, { isReal: mutant.isReal }).run().violation === null)
      return { seeds: seed - first + 1, result }
  }
  return null
}
