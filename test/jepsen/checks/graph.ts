/** A directed graph of whole numbers whose edges have kinds. */
export class Graph<Kind extends string> {
  readonly #out: Map<number, Set<Kind>>[]

  constructor(nodes: number) {
    this.#out = Array.from({ length: nodes }, () => new Map())
  }

  link(from: number, to: number, kind: Kind): void {
    const kinds = this.#out[from]!.get(to)
    if (kinds === undefined) this.#out[from]!.set(to, new Set([kind]))
    else kinds.add(kind)
  }

  kindsOf(from: number, to: number): ReadonlySet<Kind> {
    return this.#out[from]!.get(to) ?? new Set<Kind>()
  }

  next(node: number): IterableIterator<number> {
    return this.#out[node]!.keys()
  }

  /** Tarjan's, with a stack of its own: sets of more than one node, each of which leads to all others. */
  components(): number[][] {
    const found: number[][] = []
    const order = new Int32Array(this.#out.length).fill(-1)
    const low = new Int32Array(this.#out.length)
    const isOpen = new Uint8Array(this.#out.length)
    const open: number[] = []
    let count = 0
    const enter = (node: number): { node: number; rest: IterableIterator<number> } => {
      order[node] = low[node] = count++
      open.push(node)
      isOpen[node] = 1
      return { node, rest: this.next(node) }
    }
    for (let root = 0; root < this.#out.length; root++) {
      if (order[root] !== -1) continue
      for (let path = [enter(root)]; path.length > 0; ) {
        const { node, rest } = path.at(-1)!
        const { value: to, done } = rest.next()
        if (done === true) {
          path.pop()
          const parent = path.at(-1)?.node
          if (parent !== undefined) low[parent] = Math.min(low[parent]!, low[node]!)
          if (low[node] !== order[node]) continue
          const component = open.splice(open.lastIndexOf(node))
          for (const one of component) isOpen[one] = 0
          if (component.length > 1) found.push(component)
        } else if (order[to] === -1) path.push(enter(to))
        else if (isOpen[to] === 1) low[node] = Math.min(low[node]!, order[to]!)
      }
    }
    return found
  }

  /** A shortest cycle through one component that has an edge of the kind, as its nodes; null if none has. */
  shortestCycle(component: readonly number[], kind: Kind): number[] | null {
    const inside = new Set(component)
    let shortest: number[] | null = null
    for (const from of component) {
      for (const to of this.next(from)) {
        if (!inside.has(to) || !this.kindsOf(from, to).has(kind)) continue
        const back = this.#way(to, from, inside)
        if (shortest === null || back.length < shortest.length) shortest = back
        if (shortest.length === 2) return shortest
      }
    }
    return shortest
  }

  /** From one node to another, breadth first. */
  #way(from: number, to: number, inside: ReadonlySet<number>): number[] {
    const cameFrom = new Map<number, number>([[from, -1]])
    const queue = [from]
    for (const node of queue) {
      if (node === to) break
      for (const next of this.next(node)) {
        if (!inside.has(next) || cameFrom.has(next)) continue
        cameFrom.set(next, node)
        queue.push(next)
      }
    }
    const way: number[] = []
    for (let node = to; node !== -1; node = cameFrom.get(node)!) way.unshift(node)
    return way
  }
}
