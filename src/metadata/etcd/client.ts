import { BrokerError } from '../../errors.ts'
import type { Logger } from '../../logger.ts'
import { ErrorCode } from '../../protocol/error-codes.ts'
import { OutcomeUnknown } from '../store.ts'
import type { Address, MetadataUrl } from '../url.ts'
import { isCertain, knowsNoUsers, refusalOf, unreachable, wantsToken } from './errors.ts'
import { type Answer, type EtcdTls, HttpClient, NotSent, type StreamListener } from './http.ts'
import * as wire from './wire.ts'

/** etcd itself gives a request up after 5 s and two election time-outs. */
export const REQUEST_MS = 5_000
/** Requests that wait for an answer. */
const REQUESTS_MAX = 10_000
/** The first with /v3/ paths and leases in them as they are used here. */
const VERSION_MIN = [3, 4] as const
/** Characters of an answer that is not etcd's, to be shown. */
const SHOWN_MAX = 100

export interface EtcdOptions {
  readonly url: MetadataUrl
  /** Read, not the names of files; only with a url that asks for TLS. */
  readonly tls?: EtcdTls
  readonly log: Logger
  readonly requestMs?: number
}

export interface CallOptions {
  /** It may be done twice: then every endpoint is tried before it fails, and it never ends as OutcomeUnknown. */
  readonly isRepeatable: boolean
  readonly timeoutMs?: number
  readonly isUrgent?: boolean
}

type Message = ReturnType<typeof wire.parse>

/** Requests to whichever endpoint answers, with the user's token, and a certain word on what became of them. */
export class EtcdClient {
  readonly url: MetadataUrl
  readonly log: Logger
  readonly #http: HttpClient
  readonly #requestMs: number
  /** Of the endpoint that is asked first. */
  #at = 0
  #requests = 0
  #token: Promise<string | null> | null = null
  #closed = false

  constructor({ url, tls, log, requestMs }: EtcdOptions) {
    this.url = url
    this.log = log
    this.#http = new HttpClient(url.isTls ? (tls ?? {}) : null)
    this.#requestMs = requestMs ?? REQUEST_MS
  }

  /** Whether what answers is an etcd that this works with: asked of all, for whichever may be needed. @throws BrokerError */
  async check(): Promise<void> {
    const answers = await Promise.allSettled(
      this.url.endpoints.map(address => this.#checkVersion(address)),
    )
    const failed = answers.flatMap(one => (one.status === 'rejected' ? [one.reason as Error] : []))
    const refused = failed.find(error => error instanceof BrokerError)
    if (refused !== undefined) throw refused
    const reasons = failed.map(({ message }) => message)
    if (failed.length === answers.length) throw unreachable(this.url, reasons.map(hinted(this.url)))
    for (const reason of reasons) this.log.warn({}, `an endpoint of etcd is away: ${reason}`)
  }

  async #checkVersion(address: Address): Promise<void> {
    const call = { address, path: wire.PATH.version, body: null, token: null }
    const answer = await this.#http.send({ ...call, timeoutMs: this.#requestMs })
    const version = versionIn(answer)
    const where = `${address.host}:${address.port}`
    if (version === null) {
      const text = answer.body.toString('utf8').trim().slice(0, SHOWN_MAX)
      const message = `${where} is no etcd: it answers ${answer.status} ${JSON.stringify(text)}.`
      throw new BrokerError(ErrorCode.UNSUPPORTED_VERSION, message)
    }
    const [major, minor] = version.split('.').map(Number) as [number, number]
    const isOld = major < VERSION_MIN[0] || (major === VERSION_MIN[0] && minor < VERSION_MIN[1])
    if (!isOld) return
    const message = `${where} is etcd ${version}; it takes ${VERSION_MIN.join('.')} or newer, 3.6 is advised.`
    throw new BrokerError(ErrorCode.UNSUPPORTED_VERSION, message)
  }

  /**
   * @returns what etcd answers, if that is no error
   * @throws OutcomeUnknown if it is not repeatable; EtcdError that is certain; BrokerError: nothing was changed
   */
  async call(path: string, body: string, options: CallOptions): Promise<Message> {
    this.#refuseIfClosed()
    if (this.#requests >= REQUESTS_MAX) {
      const message = `More than ${REQUESTS_MAX} requests to etcd are waiting.`
      throw new BrokerError(ErrorCode.REQUEST_TIMED_OUT, message)
    }
    this.#requests++
    try {
      return await this.#withToken(path, body, options)
    } finally {
      this.#requests--
    }
  }

  async #withToken(path: string, body: string, options: CallOptions): Promise<Message> {
    const token = this.#tokenOf()
    try {
      return await this.#anywhere(path, body, await token, options)
    } catch (error) {
      if (!(error instanceof wire.EtcdError && wantsToken(error))) throw error
      this.#forget(token)
      return this.#anywhere(path, body, await this.#tokenOf(), options)
    }
  }

  #tokenOf(): Promise<string | null> {
    const token = this.#token ?? this.#authenticate()
    this.#token = token
    // It is asked for again by whoever comes next.
    token.catch(() => this.#forget(token))
    return token
  }

  #forget(token: Promise<string | null>): void {
    if (this.#token === token) this.#token = null
  }

  async #authenticate(): Promise<string | null> {
    const { user } = this.url
    if (user === null) return null
    const body = wire.authenticateBody(user.name, user.password)
    try {
      const answer = await this.#anywhere(wire.PATH.authenticate, body, null, {
        isRepeatable: true,
      })
      return wire.tokenOf(answer)
    } catch (error) {
      if (!(error instanceof wire.EtcdError)) throw error
      if (!knowsNoUsers(error)) throw refusalOf(error, this.url)
      this.log.warn({}, `etcd asks nobody who they are: user ${user.name} is not needed there`)
      return null
    }
  }

  /** To one endpoint after the other, as long as it is certain that nothing came of it, or nothing would come of twice. */
  async #anywhere(
    path: string,
    body: string,
    token: string | null,
    { isRepeatable, timeoutMs = this.#requestMs, isUrgent = false }: CallOptions,
  ): Promise<Message> {
    const reasons: string[] = []
    for (let tries = 0; tries < this.url.endpoints.length; tries++) {
      const address = this.#address
      try {
        const answer = await this.#http.send({ address, path, body, token, timeoutMs, isUrgent })
        return understood(answer)
      } catch (error) {
        if (error instanceof wire.EtcdError && isCertain(error)) throw error
        this.avoid(address)
        if (!(error instanceof NotSent) && !isRepeatable) throw new OutcomeUnknown(error)
        reasons.push((error as Error).message)
        this.#refuseIfClosed()
      }
    }
    throw unreachable(this.url, reasons)
  }

  get #address(): Address {
    return this.url.endpoints[this.#at]!
  }

  /** The next request goes elsewhere. */
  avoid(address: Address): void {
    if (this.#address === address) this.#at = (this.#at + 1) % this.url.endpoints.length
  }

  /** @returns ends it; and where it is from */
  async stream(
    path: string,
    body: string,
    listener: StreamListener,
  ): Promise<{ readonly close: () => void; readonly address: Address }> {
    this.#refuseIfClosed()
    const token = await this.#tokenOf()
    this.#refuseIfClosed()
    const address = this.#address
    const call = { address, path, body, token, timeoutMs: this.#requestMs }
    return { address, close: this.#http.stream(call, listener) }
  }

  /** A stream was refused without a word that tells why: it may be the token. */
  renew(): void {
    this.#token = null
  }

  #refuseIfClosed(): void {
    if (!this.#closed) return
    throw new BrokerError(ErrorCode.KAFKA_STORAGE_ERROR, 'The metadata store is closed.')
  }

  close(): void {
    this.#closed = true
    this.#http.close()
  }
}

/** An etcd with TLS hangs up on one who comes without. */
const hinted =
  ({ isTls }: MetadataUrl) =>
  (reason: string): string =>
    !isTls && reason.endsWith('hang up') ? `${reason} (if it wants TLS: etcds://)` : reason

/** @throws EtcdError, and Error for what is not of etcd, or of one that is only starting */
function understood({ status, body }: Answer): Message {
  let message: Message
  try {
    message = wire.parse(body)
  } catch (cause) {
    const text = body.toString('utf8').trim().slice(0, SHOWN_MAX)
    throw new Error(`etcd answered ${status} ${JSON.stringify(text)}`, { cause })
  }
  const error = wire.errorOf(message)
  if (error !== null) throw error
  if (status !== 200) throw new Error(`etcd answered ${status}`)
  return message
}

function versionIn({ body }: Answer): string | null {
  try {
    return wire.versionOf(wire.parse(body))
  } catch (error) {
    if (error instanceof SyntaxError) return null
    throw error
  }
}
