import type { Derived } from '../derive.ts'
import { type Op, readsOf } from '../history.ts'
import { Graph } from './graph.ts'
import type { Case } from './log.ts'

/**
 * `wr`: one read what the other wrote. `ww`: one wrote right behind the other. `process`: one came after the other in its
 * process. `realtime`: one was invoked after the other had completed.
 */
export type Edge = 'wr' | 'ww' | 'process' | 'realtime'

/** Cycles by their names: G0 has `ww` edges only, G1c at least one `wr`; -process and -realtime have such edges, too. */
export type Cycles = ReadonlyMap<string, readonly Case[]>

/** The kinds from what is least to what is most: what is a cycle without realtime is not blamed on it. */
const LEVELS: readonly (readonly Edge[])[] = [[], ['process'], ['process', 'realtime']]

/** @param ww whether the order of writes counts; there is no isolation of writes, so cycles that need it are allowed */
export function cycles(derived: Derived, ww: boolean): Cycles {
  const ops = derived.ops.filter(({ type }) => type !== 'fail')
  const found = new Map<string, Case[]>()
  const known = new Set<string>()
  for (const level of LEVELS) {
    const graph = graphOf(derived, ops, ww ? ['wr', 'ww', ...level] : ['wr', ...level])
    for (const component of graph.components()) {
      const cycle = graph.shortestCycle(component, 'wr') ?? graph.shortestCycle(component, 'ww')
      if (cycle === null) continue
      const members = component.map(node => ops[node]!.index)
      const isKnown = members.some(index => known.has(`${index}`))
      for (const index of members) known.add(`${index}`)
      if (isKnown) continue
      const { name, text } = describe(graph, cycle, ops)
      found.set(name, [...(found.get(name) ?? []), { cycle: text }])
    }
  }
  return found
}

function describe(graph: Graph<Edge>, cycle: readonly number[], ops: readonly Op[]) {
  const edges = cycle.map((from, i) => {
    const kinds = graph.kindsOf(from, cycle[(i + 1) % cycle.length]!)
    return (['wr', 'ww', 'process', 'realtime'] as const).find(kind => kinds.has(kind))!
  })
  const base = edges.includes('wr') ? 'G1c' : 'G0'
  const suffix = (['realtime', 'process'] as const).find(kind => edges.includes(kind))
  const text = cycle.map((node, i) => `${ops[node]!.index} -${edges[i]}->`).join(' ')
  return { name: suffix === undefined ? base : `${base}-${suffix}`, text }
}

function graphOf(derived: Derived, ops: readonly Op[], kinds: readonly Edge[]): Graph<Edge> {
  const graph = new Graph<Edge>(ops.length)
  const nodes = new Map(ops.map((op, node) => [op, node]))
  linkReads(derived, nodes, graph)
  if (kinds.includes('ww')) linkWrites(derived, nodes, graph)
  if (kinds.includes('process')) linkProcesses(ops, graph)
  if (kinds.includes('realtime')) linkTimes(ops, graph)
  return graph
}

function linkReads({ keys }: Derived, nodes: ReadonlyMap<Op, number>, graph: Graph<Edge>): void {
  for (const [op, node] of nodes) {
    if (op.type !== 'ok') continue
    for (const [key, reads] of readsOf(op)) {
      const { writer } = keys.get(key)!
      for (const [, value] of reads) {
        const from = nodes.get(writer.get(value)!)
        if (from !== undefined && from !== node) graph.link(from, node, 'wr')
      }
    }
  }
}

function linkWrites({ keys }: Derived, nodes: ReadonlyMap<Op, number>, graph: Graph<Edge>): void {
  for (const { order, writer } of keys.values()) {
    for (let i = 1; i < order.length; i++) {
      const from = nodes.get(writer.get(order[i - 1]!)!)
      const to = nodes.get(writer.get(order[i]!)!)
      if (from !== undefined && to !== undefined && from !== to) graph.link(from, to, 'ww')
    }
  }
}

function linkProcesses(ops: readonly Op[], graph: Graph<Edge>): void {
  const last = new Map<number, number>()
  for (const [node, { process }] of ops.entries()) {
    const before = last.get(process)
    if (before !== undefined) graph.link(before, node, 'process')
    last.set(process, node)
  }
}

/** Only to those that are not behind another which is: the others follow from them. */
function linkTimes(ops: readonly Op[], graph: Graph<Edge>): void {
  const moments = ops.flatMap(({ invoked, completed }, node) => [
    { time: invoked, node, isEnd: false },
    { time: completed, node, isEnd: true },
  ])
  const before = ops.map((): readonly number[] => [])
  let frontier: readonly number[] = []
  // At one moment invocations come first: only what is certainly later is later.
  moments.sort((a, b) => a.time - b.time || Number(a.isEnd) - Number(b.isEnd))
  for (const { time, node, isEnd } of moments) {
    if (time === Number.POSITIVE_INFINITY) break
    if (!isEnd) {
      before[node] = frontier
      for (const one of frontier) graph.link(one, node, 'realtime')
    } else {
      const hidden = new Set(before[node])
      frontier = [...frontier.filter(one => !hidden.has(one)), node]
    }
  }
}
