import { createServer, type Server, type Socket } from 'node:net'
import type { ApiTable } from '../apis/handler.ts'
import { apiHandlers } from '../apis/index.ts'
import type { BrokerContext } from '../broker-context.ts'
import { plainAddress } from '../configs/ip-overrides.ts'
import type { Listener } from '../configs/listeners.ts'
import { ListenError } from '../errors.ts'
import { every, guarded } from '../guarded.ts'
import { Connection, type ConnectionContext } from './connection.ts'
import { ConnectionBounds } from './connection-bounds.ts'
import { RequestMemory } from './request-memory.ts'
import { UnsentAnswers } from './unsent-answers.ts'
import { STOP } from './visit.ts'

/** Connections that are idle, or hold up others, are looked for this often. */
const SWEEP_MS = 1_000
/** Idle ones every so many times. */
const IDLE_SWEEPS = 10
/** While others wait for memory, a request must go on arriving: a pause of this length closes its connection. */
const STALLED_MS_MAX = 10_000
/** After this long without success, a stop ends connections that still have requests under way. */
const DRAIN_MS_MAX = 500

/** The broker's listeners and their connections. */
export class NetServer {
  /** What is served on all listeners; tests put a table of their own here (testing/). */
  apis: ApiTable = apiHandlers
  readonly #broker: BrokerContext
  readonly #servers = new Map<string, Server>()
  readonly #connections = new Set<Connection>()
  /** Sockets that wait for their turn (max.connection.creation.rate). */
  readonly #held = new Set<Socket>()
  readonly #perIp = new Map<string, number>()
  readonly #bounds: ConnectionBounds
  readonly #shared: ConnectionContext
  readonly #sweep: NodeJS.Timeout
  #sweeps = 0
  #onEmpty: (() => void) | null = null
  #isUnref = false

  constructor(broker: BrokerContext) {
    this.#broker = broker
    this.#bounds = new ConnectionBounds(broker.configs)
    const { requestBytesMax, unsentBytesMax } = broker.options.limits
    this.#shared = {
      broker,
      requests: new RequestMemory(requestBytesMax),
      unsent: new UnsentAnswers(unsentBytesMax),
    }
    this.#sweep = every(SWEEP_MS, broker.log, 'connections were not looked at', () => this.#look())
  }

  get connectionCount(): number {
    return this.#connections.size
  }

  /** Opens a listener. @returns the port it got */
  async listen(listener: Listener): Promise<number> {
    const { name, host, port } = listener
    const server = createServer({ allowHalfOpen: true }, socket =>
      this.#guard(socket, () => this.#accept(socket, name)),
    )
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

  /** Neither listeners nor connections keep the process alive. */
  unref(): void {
    this.#isUnref = true
    for (const server of this.#servers.values()) server.unref()
  }

  /** What nobody expected costs the connection. */
  #guard(socket: Socket, action: () => void): void {
    guarded(this.#broker.log, 'a connection could not be taken', {}, () => {
      try {
        action()
      } catch (error) {
        socket.destroy()
        throw error
      }
    })
  }

  #accept(socket: Socket, listener: string): void {
    if (this.#isUnref) socket.unref()
    const ip = plainAddress(socket.remoteAddress ?? 'unknown')
    const fromThere = this.#perIp.get(ip) ?? 0
    const refusal = this.#bounds.refusal(ip, this.#connections.size + this.#held.size, fromThere)
    if (refusal !== null) {
      this.#broker.log.warn({ peer: ip, listener, problem: refusal }, 'connection refused')
      socket.destroy()
      return
    }
    this.#perIp.set(ip, fromThere + 1)
    const wait = this.#bounds.takeTurn()
    if (wait === 0) this.#serve(socket, listener, ip)
    else this.#hold(socket, wait, ip, () => this.#serve(socket, listener, ip))
  }

  #serve(socket: Socket, listener: string, ip: string): void {
    const connection = new Connection(socket, this.#shared, listener, c => {
      this.#connections.delete(c)
      this.#forget(ip)
    })
    this.#connections.add(connection)
  }

  /** Leaves what the client sends unread until its turn comes. */
  #hold(socket: Socket, ms: number, ip: string, serve: () => void): void {
    const ignore = (): void => {}
    const leave = (): void => {
      clearTimeout(timer)
      this.#held.delete(socket)
      this.#forget(ip)
    }
    const timer = setTimeout(() => {
      socket.off('close', leave)
      socket.off('error', ignore)
      this.#held.delete(socket)
      this.#guard(socket, serve)
    }, ms).unref()
    socket.on('error', ignore) // it is closed then
    socket.on('close', leave)
    this.#held.add(socket)
  }

  #forget(ip: string): void {
    const left = (this.#perIp.get(ip) ?? 1) - 1
    if (left === 0) this.#perIp.delete(ip)
    else this.#perIp.set(ip, left)
    if (this.#connections.size === 0) this.#onEmpty?.()
  }

  #look(): void {
    this.#shared.unsent.sweep()
    if (this.#shared.requests.isFull) this.#closeStalled()
    if (++this.#sweeps % IDLE_SWEEPS === 0) this.#closeIdle()
  }

  #closeStalled(): void {
    const before = performance.now() - STALLED_MS_MAX
    for (const connection of this.#connections) {
      if (!connection.isStalled || connection.lastActive >= before) continue
      const problem = `its request has not gone on for ${STALLED_MS_MAX} ms while others wait for memory`
      this.#broker.log.warn({ peer: connection.peer, problem }, 'connection closed')
      connection.destroy(problem)
    }
  }

  #closeIdle(): void {
    const { connectionIdleMsMax } = this.#broker.options.limits
    if (connectionIdleMsMax < 0) return
    const before = performance.now() - connectionIdleMsMax
    const reason = `idle for ${connectionIdleMsMax} ms (connections.max.idle.ms)`
    for (const connection of this.#connections) {
      if (connection.isIdle && connection.lastActive < before) connection.destroy(reason)
    }
  }

  /** Takes no more connections and requests, sends the answers under way, then closes; bounded. */
  async close(): Promise<void> {
    this.#takeNoMore()
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
    for (const connection of this.#connections) connection.destroy(STOP)
  }

  /** Closes all at once, as the end of the process would. */
  kill(): void {
    this.#takeNoMore()
    for (const connection of this.#connections) connection.destroy(STOP)
  }

  #takeNoMore(): void {
    clearInterval(this.#sweep)
    for (const server of this.#servers.values()) server.close()
    for (const socket of this.#held) socket.destroy()
  }
}

function whyNot({ name, host, port }: Listener, error: NodeJS.ErrnoException): string {
  const where = `${name}://${host}:${port}`
  switch (error.code) {
    case 'EADDRINUSE':
      return `Listener ${where}: port ${port} is in use by another program; stop it or set listeners to another port.`
    case 'EACCES':
      return `Listener ${where}: this user may not open port ${port}; ports from 1024 on are free to use.`
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `Listener ${where}: the host name ${host} does not resolve here (${error.code}); listen on an address of this machine, or on all of them by leaving the host out (${name}://:${port}), and tell clients the name in advertised.listeners.`
    case 'EADDRNOTAVAIL':
      return `Listener ${where}: ${host} is not an address of this machine.`
    default:
      return `Listener ${where} cannot be opened: ${error.message}`
  }
}
