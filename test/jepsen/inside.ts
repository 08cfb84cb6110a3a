/** A run, in the namespace of the clients: main.ts starts it there, and reads the result from the folder. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { RunOptions } from './options.ts'
import { JepsenRun } from './run.ts'
import { Network } from './world/network.ts'

/** What main.ts hands on. */
export interface Task {
  readonly options: RunOptions
  readonly network: string
  readonly folder: string
  readonly root?: string
}

const { options, network, folder, root } = JSON.parse(process.argv[2]!) as Task
const result = await new JepsenRun(options, new Network(network), folder).carryOut(root)
writeFileSync(join(folder, 'result.json'), JSON.stringify(result))
process.exit(0)
