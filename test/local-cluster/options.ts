import { isAbsolute, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

export const ROOT = fileURLToPath(new URL('../..', import.meta.url))

const BROKERS = 3
const FIRST_PORT = 9092
const PORT_STEP = 100
/** Not 2379 and 2380: Debian's package of etcd starts a service there. */
const ETCD_PORTS = [23790, 23791]

export const HELP = `An etcd and brokers on this machine, with their data in .cluster; Ctrl-C stops them in order.

  npm run cluster                              three brokers, at 127.0.0.1:9092, 9192 and 9292
  npm run cluster -- --brokers 5               so many, each 100 ports on
  npm run cluster -- --ports 19092,19093       at these ports
  npm run cluster -- --metadata etcd://H:2379/P   with an etcd that runs already, and a prefix there
  npm run cluster -- --reset                   without the data of earlier runs
  npm run cluster -- --build-etcd              builds etcd with Go first (minutes, once), in .cluster/bin
  npm run cluster -- --etcd-ports 23790,23791  etcd's port for clients, and for its peers
  npm run cluster -- --dir FOLDER              data elsewhere

etcd is $ETCD, or the one on PATH, or .cluster/bin/etcd.
`

export interface ClusterOptions {
  readonly dir: string
  /** Of broker 1, 2, ... */
  readonly ports: readonly number[]
  /** For clients, and for peers, of which there are none. */
  readonly etcdPorts: readonly [number, number]
  /** Of an etcd that somebody else runs. */
  readonly metadata: string | null
  readonly resets: boolean
  readonly buildsEtcd: boolean
}

/** It cannot be as it is asked for, or as things are: one paragraph for a person. */
export class CannotStart extends Error {
  override readonly name = 'CannotStart'
}

/** @returns null: help is asked for. @throws CannotStart */
export function optionsOf(args: readonly string[]): ClusterOptions | null {
  const values = parsed(args)
  if (values.help) return null
  const count = values.brokers === undefined ? BROKERS : numbersOf('brokers', values.brokers, 1)[0]!
  const ports =
    values.ports === undefined
      ? Array.from({ length: count }, (_, i) => FIRST_PORT + i * PORT_STEP)
      : numbersOf('ports', values.ports)
  if (values.brokers !== undefined && ports.length !== count) {
    throw new CannotStart(`--brokers ${count} does not go with ${ports.length} ports.`)
  }
  const etcdPorts = numbersOf('etcd-ports', values['etcd-ports'] ?? ETCD_PORTS.join(), 2)
  const metadata = values.metadata ?? null
  if (metadata !== null && values.reset) {
    throw new CannotStart(
      '--reset removes data of this script, and the metadata is not: delete what is below the prefix there (etcdctl del --prefix), or use another prefix and another --dir.',
    )
  }
  return {
    dir: isAbsolute(values.dir) ? values.dir : join(ROOT, values.dir),
    ports,
    etcdPorts: [etcdPorts[0]!, etcdPorts[1]!],
    metadata,
    resets: values.reset,
    buildsEtcd: values['build-etcd'],
  }
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        brokers: { type: 'string' },
        ports: { type: 'string' },
        'etcd-ports': { type: 'string' },
        metadata: { type: 'string' },
        dir: { type: 'string', default: '.cluster' },
        reset: { type: 'boolean', default: false },
        'build-etcd': { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    }).values
  } catch (error) {
    throw new CannotStart(`${(error as Error).message}\n\n${HELP}`)
  }
}

function numbersOf(name: string, text: string, count?: number): number[] {
  const numbers = text.split(',').map(Number)
  const areNumbers = numbers.every(one => Number.isInteger(one) && one > 0 && one < 65_536)
  if (areNumbers && (count === undefined || numbers.length === count)) return numbers
  const wanted = count === undefined ? 'numbers' : count === 1 ? 'one number' : `${count} numbers`
  throw new CannotStart(`--${name} takes ${wanted} with commas, not ${text}.`)
}
