import type { Command } from 'commander'

export interface CommandGroup {
  readonly name: string
  readonly description: string
  /** Loads the commands only when they are called: `odradek start` is not to wait for them. */
  load(): Promise<{ define(command: Command): void }>
}

/** All but `start`, in the order of the help. */
export const groups: readonly CommandGroup[] = [
  {
    name: 'topic',
    description: 'list, describe, create, alter, delete topics; produce and consume',
    load: () => import('./topic/index.ts'),
  },
  {
    name: 'group',
    description: 'list, describe, seek and delete consumer groups',
    load: () => import('./group/index.ts'),
  },
  {
    name: 'config',
    description: 'get and set configs of topics, brokers and groups',
    load: () => import('./config/index.ts'),
  },
  {
    name: 'cluster',
    description: 'info about a cluster, and its health',
    load: () => import('./cluster/index.ts'),
  },
  {
    name: 'doctor',
    description: 'look for what is wrong between here and a cluster, and say what to do',
    load: () => import('./doctor/index.ts'),
  },
  {
    name: 'bench',
    description: 'measure a cluster from here: how fast it takes records and gives them back',
    load: () => import('./bench/index.ts'),
  },
  {
    name: 'completion',
    description: 'print the completion of a shell: bash, zsh or fish',
    load: () => import('./completion.ts'),
  },
]
