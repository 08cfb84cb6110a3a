import type { World } from './world.ts'

/** Links between brokers, etcd ('e') and clients ('c'): each direction of each is there or not. */
export class Network {
  readonly #world: World
  readonly #cut = new Set<string>()
  #isHealed = false
  /** Of the slowest tenth of messages. */
  slowMs = 50

  /** How many requests to etcd are late, and how many of their answers are lost. */
  poorness: number

  constructor(world: World) {
    this.#world = world
    this.poorness = world.random.pick([0.005, 0.02, 0.1])
  }

  isCut(from: number | string, to: number | string): boolean {
    return this.#cut.size > 0 && this.#cut.has(`${from}>${to}`)
  }

  cut(from: number | string, to: number | string): void {
    if (!this.#isHealed) this.#cut.add(`${from}>${to}`)
  }

  heal(): void {
    this.#cut.clear()
    this.#isHealed = true
    this.poorness = 0
  }

  mend(from: number | string, to: number | string): void {
    this.#cut.delete(`${from}>${to}`)
  }

  delay(): number {
    const { random } = this.#world
    return random.chance(0.9) ? this.#world.between(0.1, 3) : this.#world.between(3, this.slowMs)
  }

  /** What is sent over a cut link arrives when it is there again, as TCP has it, unless its sender has given up. */
  send(from: number | string, to: number | string, deliver: () => void, isWanted = always): void {
    const arrive = (): void => {
      if (!this.isCut(from, to)) deliver()
      else if (isWanted()) this.#world.after(100, arrive)
    }
    this.#world.after(this.delay(), arrive)
  }
}

const always = (): boolean => true
