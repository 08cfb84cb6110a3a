import { parseIpOverrides } from '../configs/ip-overrides.ts'
import { type BrokerConfigView, brokerValue } from '../configs/values.ts'

const SECOND_MS = 1000
/** The longest that a timer can wait. */
const DELAY_MS_MAX = 2 ** 31 - 1

/** How many connections there may be, and how fast they may come, by the configs of the moment. */
export class ConnectionBounds {
  readonly #configs: { readonly view: BrokerConfigView }
  /** The view that the rest was read from: a change of configs makes a new one. */
  #view: BrokerConfigView | null = null
  #max = 0
  #perIpMax = 0
  #overrides: ReadonlyMap<string, number> = new Map()
  #everyMs = 0
  /** When the next connection has its turn, in ms of the monotonic clock. */
  #turn = 0

  constructor(configs: { readonly view: BrokerConfigView }) {
    this.#configs = configs
  }

  #read(): void {
    const { view } = this.#configs
    if (view === this.#view) return
    this.#view = view
    this.#max = brokerValue('max.connections', view)
    this.#perIpMax = brokerValue('max.connections.per.ip', view)
    this.#overrides = parseIpOverrides(brokerValue('max.connections.per.ip.overrides', view))!
    this.#everyMs = SECOND_MS / brokerValue('max.connection.creation.rate', view)
    this.#turn = 0
  }

  /** Why one more connection is too many, or null. `ip` is a plain address. */
  refusal(ip: string, connections: number, fromThere: number): string | null {
    this.#read()
    if (connections >= this.#max) return `max.connections is ${this.#max}`
    const override = this.#overrides.get(ip)
    if (fromThere < (override ?? this.#perIpMax)) return null
    return override === undefined
      ? `max.connections.per.ip is ${this.#perIpMax}`
      : `max.connections.per.ip.overrides has ${ip}:${override}`
  }

  /**
   * Takes a turn for one connection. As many as the rate has for a second may come at once.
   * @returns ms to wait for it
   */
  takeTurn(now: number = performance.now()): number {
    this.#read()
    this.#turn = Math.max(this.#turn, now - SECOND_MS) + this.#everyMs
    return Math.min(Math.max(0, this.#turn - now), DELAY_MS_MAX)
  }
}
