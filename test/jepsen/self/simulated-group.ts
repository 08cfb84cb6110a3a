/** A client: at which record of each of its keys it is. */
export interface SimulatedProcess {
  readonly id: number
  readonly isSubscriber: boolean
  places: Map<number, number>
  /** Keys that came or went since its last operation. */
  readonly rebalanced: Set<number>
}

/** Subscribers share keys, and go on where the last one has committed. */
export class SimulatedGroup {
  readonly #members = new Map<SimulatedProcess, readonly number[]>()
  readonly #committed = new Map<number, number>()

  subscribe(process: SimulatedProcess, keys: readonly number[]): void {
    this.#members.set(process, keys)
    this.#rebalance()
  }

  leave(process: SimulatedProcess): void {
    if (this.#members.delete(process)) this.#rebalance()
  }

  commit({ isSubscriber, places }: SimulatedProcess): void {
    if (!isSubscriber) return
    for (const [key, place] of places) this.#committed.set(key, place)
  }

  #rebalance(): void {
    const owners = new Map<number, SimulatedProcess>()
    for (const [member, keys] of this.#members) {
      for (const key of keys)
        if ((key + member.id) % 2 === 0 || !owners.has(key)) owners.set(key, member)
    }
    for (const member of this.#members.keys()) {
      for (const key of member.places.keys()) {
        if (owners.get(key) === member) continue
        member.places.delete(key)
        member.rebalanced.add(key)
      }
    }
    for (const [key, owner] of owners) {
      if (owner.places.has(key)) continue
      owner.places.set(key, this.#committed.get(key) ?? 0)
      owner.rebalanced.add(key)
    }
  }
}
