import { spawnSync } from 'node:child_process'
import { run } from '../../crash/loop-disk.ts'

const DEVICE = 'eth0'
/** Nobody has it: what is sent there arrives nowhere, and the sender is told nothing. */
const NOBODY = '02:00:00:00:de:ad'

/** Who has a network namespace, and the address there. There is no way out of them, so each run has the same ones. */
export const ADDRESSES = {
  ...{ b1: '10.77.0.1', b2: '10.77.0.2', b3: '10.77.0.3', etcd: '10.77.0.4' },
  clients: '10.77.0.9',
} as const
export type Party = keyof typeof ADDRESSES

/** Those who a partition parts; clients reach everybody. */
export const NODES = ['b1', 'b2', 'b3', 'etcd'] as const
export type NodeName = (typeof NODES)[number]

/** A direction: what `from` sends to `to` is lost. */
export interface Cut {
  readonly from: NodeName
  readonly to: NodeName
}

const ip = (...args: string[]): string => run('ip', ...args)

/** The namespaces of one run, which hold its name, and a bridge between them that is in one of its own. */
export class Network {
  readonly #name: string

  /** @param name of a network that is there, or is about to be made */
  constructor(name: string) {
    this.#name = name
  }

  #namespace(of: Party | 'bridge'): string {
    return `${this.#name}-${of}`
  }

  /** Runs a program there, which has the pid of what is started. */
  wrapper(party: Party): readonly string[] {
    return ['ip', 'netns', 'exec', this.#namespace(party)]
  }

  make(): void {
    const bridge = this.#namespace('bridge')
    ip('netns', 'add', bridge)
    ip('-n', bridge, 'link', 'add', 'name', 'bridge', 'type', 'bridge')
    ip('-n', bridge, 'link', 'set', 'bridge', 'up')
    for (const party of Object.keys(ADDRESSES) as Party[]) this.#join(party, bridge)
  }

  #join(party: Party, bridge: string): void {
    const own = this.#namespace(party)
    ip('netns', 'add', own)
    const peer = ['peer', 'name', party, 'netns', bridge]
    ip('-n', own, 'link', 'add', 'name', DEVICE, 'type', 'veth', ...peer)
    ip('-n', bridge, 'link', 'set', party, 'master', 'bridge', 'up')
    ip('-n', own, 'address', 'add', `${ADDRESSES[party]}/24`, 'dev', DEVICE)
    for (const device of [DEVICE, 'lo']) ip('-n', own, 'link', 'set', device, 'up')
  }

  /** From now on, until it is healed. */
  cut({ from, to }: Cut): void {
    const target = [ADDRESSES[to], 'lladdr', NOBODY, 'dev', DEVICE, 'nud', 'permanent']
    ip('-n', this.#namespace(from), 'neighbour', 'replace', ...target)
  }

  /** All ways are open. */
  heal(): void {
    for (const node of NODES) {
      ip('-n', this.#namespace(node), 'neighbour', 'flush', 'dev', DEVICE, 'nud', 'permanent')
    }
  }

  /** Ends whatever still runs in it, and takes away what of it is there. */
  remove(): void {
    const parties = [...Object.keys(ADDRESSES), 'bridge'] as (Party | 'bridge')[]
    // One that was never made has no processes, and is not there to be removed.
    for (const namespace of parties.map(party => this.#namespace(party))) {
      const { stdout } = spawnSync('ip', ['netns', 'pids', namespace], { encoding: 'utf8' })
      for (const pid of stdout.split('\n').filter(line => line !== '')) endProcess(Number(pid))
      spawnSync('ip', ['netns', 'del', namespace])
    }
  }
}

function endProcess(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has just ended by itself.
  }
}
