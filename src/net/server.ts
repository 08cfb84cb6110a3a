import { createServer, type Server, type Socket } from 'node:net'
import type { ApiTable } from '../apis/handler.ts'
import { apiHandlers } from '../apis/index.ts'
import type { BrokerContext } from '../broker-context.ts'
import type { Listener } from '../configs/listeners.ts'
import { ListenError } from '../errors.ts'
import { Connection } from './connection.ts'

/** Idle connections are looked for this often. */
const SWEEP_MS = 10_000
/** After this long without success, a stop ends connections that still have requests under way. */
const DRAIN_MS_MAX = 500

/** The broker's listeners and their connections. */
export class NetServer {
  /** What is served on all listeners; tests put a table of their own here (testing/). */
  apis: ApiTable = apiHandlers
  readonly #broker: BrokerContext
  readonly #servers = new Map<string, Server>()
  readonly #connections = new Set<Connection>()
  readonly #perIp = new Map<string, number>()
  readonly #sweep: NodeJS.Timeout
  #onEmpty: (() => void) | null = null

  constructor(broker: BrokerContext) {
    this.#broker = broker
    this.#sweep = setInterval(() => this.#closeIdle(), SWEEP_MS)
    this.#sweep.unref()
  }

  get connectionCount(): number {
    return this.#connections.size
  }

  /** Opens a listener. @returns the port it got */
  async listen(listener: Listener): Promise<number> {
    const { name, host, port } = listener
    const server = createServer({ pauseOnConnect: false }, socket => this.#accept(socket, name))
    this.#servers.set(name, server)
    const backlog = this.#broker.options.settings.socketListenBacklogSize
    await new Promise<void>((resolve, reject) => {
      const refuse = (error: NodeJS.ErrnoException): void =>
        reject(new ListenError(whyNot(listener, error)))
      server.once('error', refuse)
      server.listen({ port, backlog, ...(host === '' ? {} : { host }) }, () => {
        server.off('error', refuse)
        // Later errors are of accept (too many open files): the listener stays.
        server.on('error', err => this.#broker.log.error({ err, listener: name }, 'accept failed'))
        resolve()
      })
    })
    const address = server.address()
    return typeof address === 'object' && address !== null ? address.port : port
  }

  #accept(socket: Socket, listener: string): void {
    const ip = socket.remoteAddress ?? 'unknown'
    const { connectionsMax, connectionsPerIpMax } = this.#broker.options.limits
    const fromHere = this.#perIp.get(ip) ?? 0
    const refusal =
      this.#connections.size >= connectionsMax
        ? `max.connections is ${connectionsMax}`
        : fromHere >= connectionsPerIpMax
          ? `max.connections.per.ip is ${connectionsPerIpMax}`
          : null
    if (refusal !== null) {
      this.#broker.log.warn({ peer: ip, listener, problem: refusal }, 'connection refused')
      socket.destroy()
      return
    }
    this.#perIp.set(ip, fromHere + 1)
    const connection = new Connection(socket, this.#broker, listener, c => this.#forget(c, ip))
    this.#connections.add(connection)
  }

  #forget(connection: Connection, ip: string): void {
    this.#connections.delete(connection)
    const left = (this.#perIp.get(ip) ?? 1) - 1
    if (left === 0) this.#perIp.delete(ip)
    else this.#perIp.set(ip, left)
    if (this.#connections.size === 0) this.#onEmpty?.()
  }

  #closeIdle(): void {
    const { connectionIdleMsMax } = this.#broker.options.limits
    if (connectionIdleMsMax < 0) return
    const before = Date.now() - connectionIdleMsMax
    for (const connection of this.#connections) {
      if (connection.isIdle && connection.lastActive < before) connection.destroy()
    }
  }

  /** Takes no more connections and requests, sends the answers under way, then closes; bounded. */
  async close(): Promise<void> {
    clearInterval(this.#sweep)
    for (const server of this.#servers.values()) server.close()
    for (const connection of this.#connections) connection.drain()
    if (this.#connections.size > 0) {
      await new Promise<void>(resolve => {
        const timer = setTimeout(resolve, DRAIN_MS_MAX)
        this.#onEmpty = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
    for (const connection of this.#connections) connection.destroy()
  }
}

function whyNot({ name, host, port }: Listener, error: NodeJS.ErrnoException): string {
  const where = `${name}://${host}:${port}`
  switch (error.code) {
    case 'EADDRINUSE':
      return `Listener ${where}: port ${port} is in use by another program; stop it or set listeners to another port.`
    case 'EACCES':
      return `Listener ${where}: this user may not open port ${port}; ports from 1024 on are free to use.`
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return `Listener ${where}: ${host} is not an address of this machine.`
    default:
      return `Listener ${where} cannot be opened: ${error.message}`
  }
}
