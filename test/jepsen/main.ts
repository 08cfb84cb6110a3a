/**
 * Histories of clients that nobody here wrote, on three brokers and an etcd in network namespaces, under faults, and what the
 * checker says of them. Needs root, the tools (LIVE_TOOLS), and what is built (dist):
 *
 *   npm run test:jepsen -- [--runs N] [--seconds N] [--seed N] [--faults kill,pause,partition,clock,files,etcd,bits]
 *     [--client java,librdkafka] [--mode assign|subscribe|both] [--threads N] [--rate N] [--mutant NAME]
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buildCopy } from '../lib/build-copy.ts'
import { endAtExit } from '../lib/child.ts'
import type { Task } from './inside.ts'
import { jepsenMutants } from './mutants.ts'
import { optionsOf, type RunOptions } from './options.ts'
import { report } from './report.ts'
import type { RunResult } from './run.ts'
import { Network } from './world/network.ts'

const { runs, run, mutant } = optionsOf(process.argv.slice(2))
let made = 0

/** @returns whether nothing was wrong */
async function carryOut(options: RunOptions, root?: string): Promise<boolean> {
  const folder = mkdtempSync(join(tmpdir(), 'odradek-jepsen-'))
  const name = `odradek-${process.pid}-${made++}`
  const network = new Network(name)
  process.once('exit', () => network.remove())
  network.make()
  try {
    const result = await runInside(
      { options, network: name, folder, ...(root && { root }) },
      network,
    )
    const isRight = report(options, result)
    if (isRight) rmSync(folder, { recursive: true })
    else console.log(`the history, and what brokers had, are in ${folder}`)
    return isRight
  } catch (error) {
    // What could not be judged has failed, and the next run may tell more.
    console.log(`seed ${options.seed}: ${(error as Error).message}`)
    return false
  } finally {
    network.remove()
  }
}

async function runInside(task: Task, network: Network): Promise<RunResult> {
  const [program, ...args] = network.wrapper('clients')
  const inside = [process.execPath, '--import', 'tsx', join(import.meta.dirname, 'inside.ts')]
  const child = spawn(program!, [...args, ...inside, JSON.stringify(task)], { stdio: 'inherit' })
  endAtExit(child)
  const [code] = await once(child, 'exit')
  if (code !== 0) throw new Error(`a run ended with ${code}; its files are in ${task.folder}`)
  return JSON.parse(readFileSync(join(task.folder, 'result.json'), 'utf8')) as RunResult
}

const bug = mutant === undefined ? undefined : jepsenMutants[mutant]
if (mutant !== undefined && bug === undefined) {
  throw new Error(`there are ${Object.keys(jepsenMutants).join(', ')}`)
}
const root = bug === undefined ? undefined : buildCopy(['build:esm'], bug)
if (root !== undefined) process.on('exit', () => rmSync(root, { recursive: true }))
let failed = 0
for (let i = 0; i < runs; i++) {
  if (!(await carryOut({ ...run, seed: run.seed + i }, root))) failed++
}
console.log(`${runs} runs of ${run.seconds} s, ${failed} with failing rows`)
process.exitCode = failed === 0 ? 0 : 1
