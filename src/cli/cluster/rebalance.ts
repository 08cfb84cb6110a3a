import type { Command } from 'commander'
import { Cluster } from '../base/cluster.ts'
import { CliError } from '../base/failure.ts'
import {
  type ClusterFlags,
  clusterCommand,
  examples,
  parseIds,
  parseRate,
} from '../base/options.ts'
import { bytesText, plural, print, table } from '../base/output.ts'
import { type Followed, finish, sizer } from './follow.ts'
import { type Aim, type Held, type Move, planMoves } from './plan.ts'
import { idOf, movingNow, reassign } from './reassignments.ts'
import { throttle } from './throttling.ts'

interface MoveFlags extends ClusterFlags {
  readonly execute?: boolean
  readonly throttle?: number
}

export function defineMoves(parent: Command): void {
  const add = 'have new brokers take their share of replicas and leaders from the others'
  brokersCommand(parent, 'add', add, taking)
  const drain = 'move all that brokers have to others, so that they can be taken away'
  brokersCommand(parent, 'drain', drain, leaving)
  const rebalance = moveCommand(
    parent,
    'rebalance',
    'have all brokers hold as many replicas, and lead as many partitions, as each other',
  ).action((flags: MoveFlags) => move(flags, even))
  examples(rebalance, 'odradek cluster rebalance', 'odradek cluster rebalance --execute')
}

function brokersCommand(
  parent: Command,
  name: string,
  description: string,
  wishOf: (ids: readonly number[]) => Wish,
): void {
  const command = moveCommand(parent, name, description)
    .argument('<brokers>', 'their ids: 4 or 4,5', parseIds)
    .action((ids: readonly number[], flags: MoveFlags) => move(flags, wishOf(ids)))
  const example = `odradek cluster ${name}`
  examples(command, `${example} 4`, `${example} 4,5 --throttle 50MB --execute`)
}

function moveCommand(parent: Command, usage: string, description: string): Command {
  return clusterCommand(parent, usage, description)
    .option('--throttle <rate>', 'bytes a second that each broker copies at most: 50MB', parseRate)
    .option('--execute', 'do it, and wait until it is done; Ctrl-C ends the waiting only')
    .option('--json', 'print JSON')
}

type Brokers = readonly { readonly nodeId: number; readonly rack: string | null }[]

/** What is wanted of the brokers that there are. */
type Wish = (brokers: Brokers) => Aim

function aimOf(brokers: Brokers, over: Partial<Aim>): Aim {
  const takers = brokers.map(({ nodeId: id, rack }) => ({ id, rack }))
  const racks = new Map(brokers.map(({ nodeId, rack }) => [nodeId, rack]))
  return { takers, racks, leaving: new Set(), evens: true, ...over }
}

const even: Wish = brokers => aimOf(brokers, {})

const taking =
  (ids: readonly number[]): Wish =>
  brokers => {
    const missing = ids.find(id => !brokers.some(({ nodeId }) => nodeId === id))
    if (missing !== undefined) {
      const there = brokers.map(({ nodeId }) => nodeId).sort((a, b) => a - b)
      throw new CliError(`broker ${missing} is not there: start it first. There are ${there}.`)
    }
    const aim = aimOf(brokers, {})
    return { ...aim, takers: aim.takers.filter(({ id }) => ids.includes(id)) }
  }

/** They may be gone already. */
const leaving =
  (ids: readonly number[]): Wish =>
  brokers => {
    const takers = aimOf(brokers, {}).takers.filter(({ id }) => !ids.includes(id))
    return aimOf(brokers, { takers, leaving: new Set(ids), evens: false })
  }

async function move(flags: MoveFlags, wish: Wish): Promise<void> {
  await using cluster = await Cluster.connect(flags)
  const busy = await movingNow(cluster)
  if (busy.length > 0) {
    throw new CliError(
      `${plural(busy.length, 'partition')} are being moved already: odradek cluster moves shows and cancels that`,
    )
  }
  const { brokers, topics } = await cluster.metadata(null)
  const bytesOf = await sizer(cluster, brokers)
  const held = topics.flatMap(({ name, partitions }) =>
    partitions.map(({ partitionIndex: partition, replicaNodes: replicas }): Held => {
      const place = { topic: name!, partition }
      return { ...place, replicas, bytes: bytesOf(idOf(place)) }
    }),
  )
  const moves = planned(held, wish(brokers))
  const isDone = flags.execute === true && (await execute(cluster, moves, flags))
  tell(moves, flags, isDone)
}

type Planned = Move & Followed

function planned(held: readonly Held[], aim: Aim): Planned[] {
  try {
    return planMoves(held, aim).map(one => ({
      ...one,
      adding: one.to.filter(id => !one.replicas.includes(id)),
    }))
  } catch (error) {
    if (error instanceof RangeError) throw new CliError(error.message)
    throw error
  }
}

async function execute(
  cluster: Cluster,
  moves: readonly Planned[],
  { throttle: rate }: MoveFlags,
): Promise<boolean> {
  if (moves.length === 0) return true
  if (rate !== undefined) await throttle(cluster, moves, rate)
  await reassign(cluster, moves)
  return finish(cluster, moves, rate !== undefined)
}

function tell(moves: readonly Planned[], flags: MoveFlags, isDone: boolean): void {
  const { execute: executed = false } = flags
  const copies = moves.reduce((sum, { adding }) => sum + adding.length, 0)
  const bytes = moves.reduce((sum, one) => sum + one.adding.length * one.bytes, 0)
  print(flags.json, { executed, copies, bytes, moves }, () => {
    if (moves.length === 0) return 'nothing is to be moved'
    const rows = moves.map(one => [
      ...[one.topic, one.partition, one.replicas.join(), one.to.join()],
      bytesText(one.adding.length * one.bytes),
    ])
    const sum = `${plural(copies, 'replica')} to copy, ${bytesText(bytes)}`
    const begun = isDone ? 'Done.' : 'It goes on.'
    const outcome = executed ? begun : 'Nothing is changed: add --execute to do it.'
    return `${table(['TOPIC', 'PARTITION', 'FROM', 'TO', 'COPIES'], rows)}\n${sum}. ${outcome}`
  })
}
