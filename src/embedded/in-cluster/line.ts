import { Client, ClientError } from '../../client/client.ts'
import type { ClusterNode } from '../../cluster/node.ts'
import { BrokerError } from '../../errors.ts'
import { ErrorCode } from '../../protocol/error-codes.ts'
import type { DecodedFields, EncodableFields, Fields } from '../../protocol/fields.ts'
import type { Api } from '../../protocol/schema.ts'
import { MEMBER_CLIENT } from '../group-here.ts'

const CONNECT_MS_MAX = 2_000

export interface LineOptions {
  readonly node: ClusterNode
  readonly peer: number
  /** Until a request is answered; past it the connection is given up. */
  readonly answerMsMax: number
  readonly inFlightMax: number
}

/** A connection to another broker: made when it is needed, and anew when it has failed. */
export class Line {
  readonly #o: LineOptions
  #client: Promise<Client> | null = null
  #isClosed = false

  constructor(options: LineOptions) {
    this.#o = options
  }

  /**
   * @throws BrokerError LEADER_NOT_AVAILABLE if nothing was sent, NETWORK_EXCEPTION if it is not known what became of it,
   * BROKER_NOT_AVAILABLE after `close`
   */
  async send<Q extends Fields, R extends Fields>(
    api: Api<Q, R>,
    version: number,
    request: EncodableFields<Q>,
  ): Promise<DecodedFields<R>> {
    const client = await this.#open()
    try {
      return await client.send(api, version, request)
    } catch (error) {
      throw this.#failed(ErrorCode.NETWORK_EXCEPTION, error)
    }
  }

  async #open(): Promise<Client> {
    if (this.#isClosed) throw this.#failed(ErrorCode.BROKER_NOT_AVAILABLE, null)
    this.#client ??= this.#connect()
    const opening = this.#client
    try {
      const client = await opening
      if (!client.isClosed) return client
    } catch (error) {
      if (this.#client === opening) this.#client = null
      throw this.#failed(ErrorCode.LEADER_NOT_AVAILABLE, error)
    }
    if (this.#client === opening) this.#client = null
    return this.#open()
  }

  async #connect(): Promise<Client> {
    const { node, peer, answerMsMax, inFlightMax } = this.#o
    const at = node.addressOf(peer)
    if (at === null) throw new ClientError('CONNECT_FAILED', 'nobody knows where it is')
    return Client.connect({
      ...{ host: at.host, port: at.port, clientId: MEMBER_CLIENT },
      dial: () => node.dial(peer, at),
      connectTimeoutMs: CONNECT_MS_MAX,
      requestTimeoutMs: answerMsMax,
      maxInFlight: inFlightMax,
    })
  }

  #failed(code: ErrorCode, cause: unknown): unknown {
    if (cause !== null && !(cause instanceof ClientError)) return cause
    const { peer } = this.#o
    if (this.#isClosed) {
      const message = `Connections to broker ${peer} are closed.`
      return new BrokerError(ErrorCode.BROKER_NOT_AVAILABLE, message, { cause })
    }
    const why = cause?.message ?? 'it is closed'
    return new BrokerError(code, `Broker ${peer} cannot be reached: ${why}`, { cause })
  }

  async close(): Promise<void> {
    this.#isClosed = true
    // Whoever waits for a connection that is not made learns why.
    const client = await this.#client?.catch(() => null)
    await client?.close()
  }
}
