import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

/**
 * What becomes of a request. `lose`: it arrives, and the connection is cut when the answer comes. `drop`: the connection is
 * cut and the request with it. `silence`: it arrives, and nobody ever answers. `hold`: it is kept until `release`, which
 * passes it on although the client may have given up long before.
 */
export type Fault = 'none' | 'lose' | 'drop' | 'silence' | 'hold' | { readonly delayMs: number }

const FIRST_LINE = /^(?:POST|GET) (\S+) HTTP/

/** Stands between HTTP clients and a server, and does to their requests what `faultOf` says of the path. */
export class FaultProxy {
  readonly #server: Server
  readonly #target: number
  readonly #links = new Set<Link>()
  port = 0
  faultOf: (path: string) => Fault = () => 'none'
  requests = 0

  private constructor(target: number) {
    this.#target = target
    this.#server = createServer(client => {
      const link = new Link(this, client, connect({ host: '127.0.0.1', port: this.#target }))
      this.#links.add(link)
      client.once('close', () => this.#links.delete(link))
    })
  }

  static async start(target: number): Promise<FaultProxy> {
    const proxy = new FaultProxy(target)
    await proxy.accept()
    return proxy
  }

  /** Takes connections, at the port it had before if it had one. */
  async accept(): Promise<void> {
    this.#server.listen(this.port, '127.0.0.1')
    await once(this.#server, 'listening')
    this.port = (this.#server.address() as AddressInfo).port
  }

  /** Ends all connections and refuses others. */
  async refuse(): Promise<void> {
    const closed = once(this.#server, 'close')
    this.#server.close()
    this.cut()
    await closed
  }

  get connections(): number {
    return this.#links.size
  }

  /** Nothing of what the server says gets through any more on the connections there are; they stay open. */
  silence(): void {
    for (const link of this.#links) link.isSilent = true
  }

  /** Ends all connections there are. */
  cut(): void {
    for (const link of this.#links) link.cut()
  }

  readonly #held: (() => void)[] = []

  hold(pass: () => void): void {
    this.#held.push(pass)
  }

  /** Passes on what was held. @returns how many requests */
  release(): number {
    const held = this.#held.splice(0)
    for (const pass of held) pass()
    return held.length
  }

  async close(): Promise<void> {
    this.release()
    if (this.#server.listening) await this.refuse()
  }
}

class Link {
  readonly #proxy: FaultProxy
  readonly #client: Socket
  readonly #server: Socket
  #fault: Fault = 'none'
  isSilent = false
  #isHolding = false

  constructor(proxy: FaultProxy, client: Socket, server: Socket) {
    this.#proxy = proxy
    this.#client = client
    this.#server = server
    client.setNoDelay(true)
    server.setNoDelay(true)
    client.on('data', chunk => this.#ask(chunk))
    server.on('data', chunk => this.#answer(chunk))
    client.on('error', () => client.destroy())
    server.on('error', () => server.destroy())
    // A request that is held outlives its client.
    client.on('close', () => this.#isHolding || server.destroy())
    server.on('close', () => client.destroy())
  }

  #ask(chunk: Buffer): void {
    const path = FIRST_LINE.exec(chunk.toString('latin1', 0, 200))?.[1]
    if (path !== undefined) {
      this.#proxy.requests++
      this.#fault = this.#proxy.faultOf(path)
    }
    if (this.#fault === 'drop') this.cut()
    else if (this.#fault === 'hold') {
      this.#isHolding = true
      this.#proxy.hold(() => {
        this.#isHolding = false
        this.#server.write(chunk)
      })
    } else this.#server.write(chunk)
  }

  #answer(chunk: Buffer): void {
    if (this.#fault === 'lose') this.cut()
    else if (this.#fault === 'silence' || this.isSilent) return
    else if (typeof this.#fault === 'object') {
      setTimeout(() => this.#client.destroyed || this.#client.write(chunk), this.#fault.delayMs)
    } else this.#client.write(chunk)
  }

  cut(): void {
    this.#client.destroy()
    this.#server.destroy()
  }
}
