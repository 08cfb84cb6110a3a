import type { Socket } from 'node:net'
import type { Endpoint } from '../endpoint.ts'
import type { Dial } from './dial.ts'

/** Refused for so long, no process listens. */
const REFUSED_MS = 200
const AGAIN_MS = 50
const RETRY_MS = 1_000
/** A connection that has ended says so much of its process: then connects must be refused. */
const ENDED_MS = 300

export interface ProbesOptions {
  readonly addressOf: (broker: number) => Endpoint | null
  readonly dial: Dial
  /** The connection was closed by the other side, and since then connects are refused: no process listens there. */
  readonly onRefused: (broker: number) => void
}

/** An idle connection to another broker: that it ends is the first sign of a process that has died. */
class Probe {
  readonly #broker: number
  readonly #o: ProbesOptions
  #socket: Socket | null = null
  #timer: NodeJS.Timeout | null = null
  #wasConnected = false
  #refusedSince = -1
  #endedAt = Number.NEGATIVE_INFINITY
  #isClosed = false

  constructor(broker: number, options: ProbesOptions) {
    this.#broker = broker
    this.#o = options
    this.#connect()
  }

  /** It seems that no process listens there now: what it leads will be led by another soon. */
  get isAway(): boolean {
    return this.#refusedSince !== -1 || performance.now() - this.#endedAt < ENDED_MS
  }

  #connect(): void {
    const address = this.#o.addressOf(this.#broker)
    if (this.#isClosed) return
    if (address === null) {
      this.#later(RETRY_MS)
      return
    }
    const socket = this.#o.dial(this.#broker, address)
    this.#socket = socket
    let code = ''
    let isConnected = false
    socket.setTimeout(RETRY_MS)
    socket.on('timeout', () => {
      if (socket.connecting) socket.destroy()
    })
    socket.on('connect', () => {
      socket.setTimeout(0)
      this.#wasConnected = true
      this.#refusedSince = -1
      this.#endedAt = Number.NEGATIVE_INFINITY
      isConnected = true
    })
    socket.on('error', (error: NodeJS.ErrnoException) => {
      code = error.code ?? ''
    })
    // Nothing is ever sent on it.
    socket.on('data', () => {})
    socket.on('close', () => {
      if (isConnected) this.#endedAt = performance.now()
      this.#ended(isConnected, code === 'ECONNREFUSED')
    })
    socket.unref()
  }

  #ended(wasConnected: boolean, isRefused: boolean): void {
    if (this.#isClosed) return
    if (!isRefused) {
      this.#refusedSince = -1
      // Idle ones are closed, too.
      this.#later(wasConnected ? 0 : AGAIN_MS)
      return
    }
    const now = performance.now()
    if (this.#refusedSince === -1) this.#refusedSince = now
    if (this.#wasConnected && now - this.#refusedSince >= REFUSED_MS) {
      this.#wasConnected = false
      this.#o.onRefused(this.#broker)
    }
    this.#later(this.#wasConnected ? AGAIN_MS : RETRY_MS)
  }

  #later(ms: number): void {
    this.#timer = setTimeout(() => this.#connect(), ms).unref()
  }

  close(): void {
    this.#isClosed = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#socket?.destroy()
  }
}

/** The connections with which a broker watches over all others. */
export class Probes {
  readonly #o: ProbesOptions
  readonly #byBroker = new Map<number, Probe>()

  constructor(options: ProbesOptions) {
    this.#o = options
  }

  watch(brokers: ReadonlySet<number>): void {
    for (const [broker, probe] of this.#byBroker) {
      if (brokers.has(broker)) continue
      probe.close()
      this.#byBroker.delete(broker)
    }
    for (const broker of brokers) {
      if (!this.#byBroker.has(broker)) this.#byBroker.set(broker, new Probe(broker, this.#o))
    }
  }

  isAway(broker: number): boolean {
    return this.#byBroker.get(broker)?.isAway === true
  }

  close(): void {
    this.watch(new Set())
  }
}
