import type { Command } from 'commander'

/** What every command has that talks to a cluster. All take a value. */
const CLUSTER_OPTION = /^(-b|--bootstrap|--timeout|--profile)(=|$)|^-b./

/** `odradek -b HOST topic list`, as people type who know other tools: such options are handed on to the command. */
export function commandFirst(words: readonly string[]): string[] {
  let at = 0
  while (CLUSTER_OPTION.test(words[at] ?? '')) {
    at += /^(-b|--\w+)$/.test(words[at]!) ? 2 : 1
  }
  const behind = words.slice(at)
  if (behind.length === 0) return [...words]
  const options = behind.findIndex(word => word.startsWith('-'))
  const end = options < 0 ? behind.length : options
  return [...behind.slice(0, end), ...words.slice(0, at), ...behind.slice(end)]
}

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
    description: 'list, describe, create, alter, trim, delete topics; produce and consume',
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
    description: 'info about a cluster, its status and health; elect leaders',
    load: () => import('./cluster/index.ts'),
  },
  {
    name: 'metadata',
    description: 'migrate: make a cluster of a broker that was alone',
    load: () => import('./metadata/index.ts'),
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
    name: 'profile',
    description: 'where clusters are, by names: set, use, list, delete',
    load: () => import('./profile/index.ts'),
  },
  {
    name: 'produce',
    description: 'short for topic produce',
    load: () => import('./topic/produce.ts'),
  },
  {
    name: 'consume',
    description: 'short for topic consume',
    load: () => import('./topic/consume.ts'),
  },
  {
    name: 'completion',
    description: 'print the completion of a shell: bash, zsh or fish',
    load: () => import('./completion.ts'),
  },
]
