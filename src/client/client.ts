import { connect, type Socket } from 'node:net'
import { assert } from '../assert.ts'
import { Receiver } from '../net/receiver.ts'
import { ErrorCode, errorName } from '../protocol/error-codes.ts'
import type { DecodedFields, EncodableFields, Fields, VersionRange } from '../protocol/fields.ts'
import { FrameCutter } from '../protocol/frame-cutter.ts'
import { decodeResponseHeader, encodeRequestHeader } from '../protocol/header.ts'
import { apiVersionsApi } from '../protocol/messages/18-api-versions.ts'
import { Reader } from '../protocol/reader.ts'
import type { Api, Message } from '../protocol/schema.ts'
import { Writer } from '../protocol/writer.ts'

/** Requests that may wait for an in-flight place; more are refused with QUEUE_FULL. */
export const WAITING_MAX = 10_000

const IN_FLIGHT_DEFAULT = 5
const CONNECT_TIMEOUT_MS = 10_000
const REQUEST_TIMEOUT_MS = 30_000
const RESPONSE_BYTES_MAX = 128 * 1024 * 1024

export interface ClientOptions {
  readonly host: string
  readonly port: number
  readonly clientId?: string | null
  /** Instead of a new connection to host and port. */
  readonly dial?: () => Socket
  /** Requests sent and not answered yet; the rest wait their turn. Default 5, as in Kafka. */
  readonly maxInFlight?: number
  readonly connectTimeoutMs?: number
  /** From writing a request to its answer. Passing it closes the connection. */
  readonly requestTimeoutMs?: number
  readonly responseBytesMax?: number
  /** Gives a large response its memory at once, for so many bytes: of a broker that is believed. null: it grows step by step, as all do by default. */
  readonly memoryFor?: (bytes: number) => Buffer | null
}

export type ClientErrorCode =
  | 'CONNECT_FAILED'
  | 'DISCONNECTED'
  | 'TIMED_OUT'
  | 'CLOSED'
  | 'BAD_RESPONSE'
  | 'QUEUE_FULL'
  | 'UNSUPPORTED'

export class ClientError extends Error {
  override readonly name = 'ClientError'
  readonly code: ClientErrorCode

  constructor(code: ClientErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
  }
}

interface Exchange {
  /** Writes the request's bytes; throws if it cannot be encoded. */
  write(writer: Writer, correlationId: number): void
  /** Takes the response, without its length prefix; throws if it is no good. */
  read(frame: Buffer, correlationId: number): void
  reject(error: Error): void
  correlationId: number
  deadlineMs: number
}

/**
 * One connection to one broker. Requests are pipelined and answered in order, as Kafka does. Any
 * failure of the connection rejects all that is in flight or waiting; there is no reconnecting.
 */
export class Client {
  readonly #socket: Socket
  readonly #address: string
  readonly #clientId: string | null
  readonly #maxInFlight: number
  readonly #requestTimeoutMs: number
  readonly #writer = new Writer()
  readonly #inFlight: Exchange[] = []
  readonly #waiting: Exchange[] = []
  readonly #cutter: FrameCutter
  #nextCorrelationId = 0
  #flushScheduled = false
  #timer: NodeJS.Timeout | undefined
  #failure: ClientError | undefined
  #versions: Map<number, VersionRange> | undefined

  private constructor(socket: Socket, options: ClientOptions) {
    this.#socket = socket
    this.#address = `${options.host}:${options.port}`
    this.#clientId = options.clientId ?? null
    this.#maxInFlight = options.maxInFlight ?? IN_FLIGHT_DEFAULT
    assert(this.#maxInFlight >= 1, 'maxInFlight is at least 1')
    this.#requestTimeoutMs = options.requestTimeoutMs ?? REQUEST_TIMEOUT_MS
    const bytesMax = options.responseBytesMax ?? RESPONSE_BYTES_MAX
    this.#cutter = new FrameCutter({
      frameBytesMax: bytesMax,
      reusesBuffer: false,
      memoryFor: options.memoryFor,
      onFrame: (buffer, start, end) => {
        this.#onFrame(buffer.subarray(start, end))
        return true
      },
      onProblem: problem => this.#fail('BAD_RESPONSE', problem),
    })
    socket.on('error', error => this.#fail('DISCONNECTED', error.message, error))
    socket.on('close', () => this.#fail('DISCONNECTED', this.#closedBy()))
    new Receiver(socket, chunk => this.#onData(chunk)).start()
  }

  /** Rejects with CONNECT_FAILED or TIMED_OUT. */
  static connect(options: ClientOptions): Promise<Client> {
    const { host, port, connectTimeoutMs = CONNECT_TIMEOUT_MS } = options
    return new Promise((resolve, reject) => {
      const socket = options.dial?.() ?? connect({ host, port, noDelay: true })
      const fail = (code: ClientErrorCode, what: string, cause?: Error) => {
        clearTimeout(timer)
        socket.destroy()
        reject(new ClientError(code, `${host}:${port}: ${what}`, cause))
      }
      const late = () => fail('TIMED_OUT', `no connection within ${connectTimeoutMs} ms`)
      const onError = (error: Error) => fail('CONNECT_FAILED', error.message, error)
      const timer = setTimeout(late, connectTimeoutMs).unref()
      socket.once('error', onError)
      socket.once('connect', () => {
        clearTimeout(timer)
        socket.off('error', onError)
        resolve(new Client(socket, options))
      })
    })
  }

  /** Nothing can be sent any more. */
  get isClosed(): boolean {
    return this.#failure !== undefined
  }

  /** Requests sent and not answered yet. */
  get inFlight(): number {
    return this.#inFlight.length
  }

  /**
   * Sends a request and resolves with its response, whatever error codes that holds. Records in it
   * are views on memory that belongs to the response. Not for Produce with acks=0, which is never
   * answered: see `sendOneWay`.
   */
  send<Q extends Fields, R extends Fields>(
    api: Api<Q, R>,
    version: number,
    request: EncodableFields<Q>,
  ): Promise<DecodedFields<R>> {
    return new Promise((resolve, reject) => {
      this.#submit({
        write: (writer, id) => this.#encode(writer, api.request, version, id, request),
        read: (frame, id) => resolve(decodeResponse(api.response, version, frame, id)),
        reject,
        correlationId: 0,
        deadlineMs: 0,
      })
    })
  }

  /** Sends a request that the broker never answers (Produce with acks=0), outside the in-flight count. */
  sendOneWay<Q extends Fields>(
    request: Message<Q>,
    version: number,
    value: EncodableFields<Q>,
  ): void {
    this.#checkOpen()
    this.#encode(this.#writer, request, version, this.#newCorrelationId(), value)
    this.#scheduleFlush()
  }

  /** Sends bytes as they are, length prefix included, and resolves with the next response frame. */
  sendRaw(bytes: Buffer): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      this.#submit({
        write: writer => writer.copy(bytes),
        read: resolve,
        reject,
        correlationId: 0,
        deadlineMs: 0,
      })
    })
  }

  /** Sends bytes as they are and expects nothing back. */
  writeRaw(bytes: Buffer): void {
    this.#checkOpen()
    this.#writer.copy(bytes)
    this.#scheduleFlush()
  }

  /** Asks which versions the broker has; the answer is kept for `versionFor`. */
  async apiVersions(): Promise<ReadonlyMap<number, VersionRange>> {
    // Version 0 tells all that is needed here and no broker refuses it.
    const { errorCode, apiKeys } = await this.send(apiVersionsApi, 0, {})
    if (errorCode !== ErrorCode.NONE) {
      throw this.#error('UNSUPPORTED', `ApiVersions answered ${errorName(errorCode)}`)
    }
    this.#versions = new Map(
      apiKeys.map(({ apiKey, minVersion, maxVersion }) => [
        apiKey,
        { min: minVersion, max: maxVersion },
      ]),
    )
    return this.#versions
  }

  /** The highest version that both sides have. Call `apiVersions` first. Throws UNSUPPORTED. */
  versionFor<Q extends Fields, R extends Fields>(api: Api<Q, R>): number {
    assert(this.#versions !== undefined, 'versionFor needs apiVersions first')
    const { name, apiKey, versions: ours } = api.request
    const theirs = this.#versions.get(apiKey)
    const version = Math.min(ours.max, theirs?.max ?? -1)
    if (theirs === undefined || version < Math.max(ours.min, theirs.min)) {
      throw this.#error('UNSUPPORTED', `the broker has no version of ${name} that we have`)
    }
    return version
  }

  /** Whether there is a version of it that both sides have. */
  serves({ request: { apiKey, versions: ours } }: Api): boolean {
    assert(this.#versions !== undefined, 'serves needs apiVersions first')
    const theirs = this.#versions.get(apiKey)
    return theirs !== undefined && ours.min <= theirs.max && theirs.min <= ours.max
  }

  /** Closes at once and rejects what is not answered. Idempotent; resolves when the socket is gone. */
  close(): Promise<void> {
    this.#fail('CLOSED', 'closed by this side')
    if (this.#socket.closed) return Promise.resolve()
    return new Promise(resolve => this.#socket.once('close', () => resolve()))
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #submit(exchange: Exchange): void {
    if (this.#failure !== undefined) {
      exchange.reject(this.#failure)
    } else if (this.#inFlight.length < this.#maxInFlight) {
      this.#start(exchange)
    } else if (this.#waiting.length < WAITING_MAX) {
      this.#waiting.push(exchange)
    } else {
      exchange.reject(this.#error('QUEUE_FULL', `${WAITING_MAX} requests are waiting already`))
    }
  }

  #start(exchange: Exchange): void {
    const correlationId = this.#newCorrelationId()
    try {
      exchange.write(this.#writer, correlationId)
    } catch (error) {
      exchange.reject(error as Error)
      return
    }
    exchange.correlationId = correlationId
    exchange.deadlineMs = performance.now() + this.#requestTimeoutMs
    this.#inFlight.push(exchange)
    this.#timer ??= this.#startTimer(this.#requestTimeoutMs)
    this.#scheduleFlush()
  }

  #newCorrelationId(): number {
    const id = this.#nextCorrelationId
    this.#nextCorrelationId = (id + 1) & 0x7fffffff
    return id
  }

  #encode<Q extends Fields>(
    writer: Writer,
    request: Message<Q>,
    version: number,
    correlationId: number,
    value: EncodableFields<Q>,
  ): void {
    const mark = writer.startFrame()
    try {
      encodeRequestHeader(writer, request, version, correlationId, this.#clientId)
      request.encode(writer, version, value)
      writer.endFrame(mark)
    } catch (error) {
      writer.abortFrame(mark)
      throw error
    }
  }

  /** Requests of one tick go out in one write. */
  #scheduleFlush(): void {
    if (this.#flushScheduled) return
    this.#flushScheduled = true
    process.nextTick(() => this.#flush())
  }

  #flush(): void {
    this.#flushScheduled = false
    if (this.#failure !== undefined) return
    const chunks = this.#writer.chunks()
    this.#writer.clear()
    this.#socket.cork()
    for (const chunk of chunks) this.#socket.write(chunk)
    this.#socket.uncork()
  }

  #onData(chunk: Buffer): void {
    try {
      this.#cutter.push(chunk)
    } catch (error) {
      this.#fail('BAD_RESPONSE', (error as Error).message, error)
    }
  }

  #onFrame(frame: Buffer): void {
    if (this.#failure !== undefined) return
    const exchange = this.#inFlight[0]
    if (exchange === undefined) throw new RangeError('a response to no request')
    exchange.read(frame, exchange.correlationId)
    this.#inFlight.shift()
    while (this.#waiting.length > 0 && this.#inFlight.length < this.#maxInFlight) {
      this.#start(this.#waiting.shift() as Exchange)
    }
  }

  #startTimer(ms: number): NodeJS.Timeout {
    return setTimeout(() => this.#onTimer(), Math.max(1, Math.ceil(ms))).unref()
  }

  /** One timer for all: the oldest request has the earliest deadline. */
  #onTimer(): void {
    this.#timer = undefined
    const oldest = this.#inFlight[0]
    if (oldest === undefined) return
    const left = oldest.deadlineMs - performance.now()
    if (left > 0) this.#timer = this.#startTimer(left)
    else this.#fail('TIMED_OUT', `no response within ${this.#requestTimeoutMs} ms`)
  }

  #closedBy(): string {
    return this.#cutter.isInsideFrame
      ? 'the broker closed the connection in the middle of a response'
      : 'the broker closed the connection'
  }

  /** Only the first reason counts. */
  #fail(code: ClientErrorCode, what: string, cause?: unknown): void {
    if (this.#failure !== undefined) return
    const failure = this.#error(code, what, cause)
    this.#failure = failure
    clearTimeout(this.#timer)
    this.#socket.destroy()
    for (const exchange of this.#inFlight.splice(0)) exchange.reject(failure)
    for (const exchange of this.#waiting.splice(0)) exchange.reject(failure)
  }

  #checkOpen(): void {
    if (this.#failure !== undefined) throw this.#failure
  }

  #error(code: ClientErrorCode, what: string, cause?: unknown): ClientError {
    return new ClientError(code, `${this.#address}: ${what}`, cause)
  }
}

function decodeResponse<R extends Fields>(
  response: Message<R>,
  version: number,
  frame: Buffer,
  correlationId: number,
): DecodedFields<R> {
  const reader = new Reader(frame)
  const id = decodeResponseHeader(reader, response, version)
  if (id !== correlationId) {
    throw new RangeError(`response to request ${id} where ${correlationId} is due`)
  }
  const decoded = response.decode(reader, version)
  if (reader.remaining > 0) {
    throw new RangeError(`${reader.remaining} bytes after ${response.name} v${version}`)
  }
  return decoded
}
