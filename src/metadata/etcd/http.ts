import http from 'node:http'
import https from 'node:https'
import type { Address } from '../url.ts'

/** Connections to one endpoint; what comes while all are busy waits. */
const SOCKETS_MAX = 64
/** Of those that must not wait behind others: keep-alives of the lease. */
const URGENT_SOCKETS_MAX = 4
/** A page of a list is below 1 MiB if its values are as ours are; one value may have as much. */
const ANSWER_BYTES_MAX = 256 * 1_048_576
/** So soon is asked, on a silent connection, whether the other end is there. */
const TCP_KEEP_ALIVE_MS = 5_000

/** PEM texts: what etcd's certificate is checked with, and what this broker shows to etcd. */
export interface EtcdTls {
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
}

export interface Call {
  readonly address: Address
  readonly path: string
  /** Null: a GET. */
  readonly body: string | null
  readonly token: string | null
  /** For all of it; of a stream, for its beginning. */
  readonly timeoutMs: number
  readonly isUrgent?: boolean
}

export interface Answer {
  readonly status: number
  /** Of the other machine's clock. */
  readonly date: string | undefined
  readonly body: Buffer
}

/** Certain: the request never left. */
export class NotSent extends Error {
  override readonly name = 'NotSent'
}

/** The request left, or may have, and no whole answer came. */
export class NoAnswer extends Error {
  override readonly name = 'NoAnswer'
}

export interface StreamListener {
  onLine(line: Buffer): void
  /** Once, unless it was closed before. */
  onEnd(why: Error): void
}

/** Requests over HTTP/1.1, and what is known of them when they fail. */
export class HttpClient {
  readonly #tls: EtcdTls | null
  readonly #agent: http.Agent
  readonly #urgent: http.Agent
  readonly #streams: http.Agent
  readonly #open = new Set<http.ClientRequest>()

  /** @param tls null: none */
  constructor(tls: EtcdTls | null) {
    this.#tls = tls
    const { Agent } = tls === null ? http : https
    this.#agent = new Agent({ keepAlive: true, maxSockets: SOCKETS_MAX })
    this.#urgent = new Agent({ keepAlive: true, maxSockets: URGENT_SOCKETS_MAX })
    this.#streams = new Agent({ keepAlive: false })
  }

  /** @throws NotSent, NoAnswer */
  send(call: Call): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const { request, fail } = this.#begin(
        call,
        call.isUrgent ? this.#urgent : this.#agent,
        reject,
      )
      const timer = setTimeout(() => fail(late(call)), call.timeoutMs)
      request.once('close', () => clearTimeout(timer))
      request.once('response', response => {
        const chunks: Buffer[] = []
        let bytes = 0
        response.on('data', (chunk: Buffer) => {
          bytes += chunk.length
          if (bytes > ANSWER_BYTES_MAX) fail(new Error(`more than ${ANSWER_BYTES_MAX} bytes came`))
          else chunks.push(chunk)
        })
        response.once('error', fail)
        response.once('end', () => {
          const { statusCode, headers } = response
          resolve({ status: statusCode!, date: headers.date, body: Buffer.concat(chunks) })
        })
      })
      request.end(call.body ?? undefined)
    })
  }

  /** An answer that does not end, line by line. @returns ends it */
  stream(call: Call, listener: StreamListener): () => void {
    let isOver = false
    const end = (error: Error): void => {
      if (isOver) return
      isOver = true
      listener.onEnd(error)
    }
    const { request, fail } = this.#begin(call, this.#streams, end)
    const timer = setTimeout(() => fail(late(call)), call.timeoutMs)
    request.once('close', () => clearTimeout(timer))
    request.once('response', response => {
      const lines = new Lines(line => {
        clearTimeout(timer)
        if (!isOver) listener.onLine(line)
      })
      response.on('data', (chunk: Buffer) => {
        if (!lines.take(chunk))
          fail(new Error(`a line of more than ${ANSWER_BYTES_MAX} bytes came`))
      })
      response.once('error', fail)
      response.once('end', () => {
        lines.end()
        fail(new Error('etcd has ended the stream'))
      })
    })
    request.end(call.body)
    return () => {
      isOver = true
      request.destroy()
    }
  }

  #begin(call: Call, agent: http.Agent, reject: (error: Error) => void) {
    const { request: make } = this.#tls === null ? http : https
    const { host, port } = call.address
    const request = make({
      ...this.#tls,
      ...{ host, port, path: call.path, method: call.body === null ? 'GET' : 'POST', agent },
      headers: {
        ...(call.body === null ? {} : { 'content-length': Buffer.byteLength(call.body) }),
        ...(call.token === null ? {} : { authorization: call.token }),
      },
    })
    let isSent = false
    request.once('socket', socket => {
      // Once there is a connection the bytes may be under way, whatever is heard of them. `reusedSocket` does not tell: it is
      // false for a request that has waited for a connection to become free.
      const sent = (): void => {
        isSent = true
      }
      if (!socket.connecting) return sent()
      socket.setKeepAlive(true, TCP_KEEP_ALIVE_MS)
      socket.once(this.#tls === null ? 'connect' : 'secureConnect', sent)
    })
    const fail = (cause: Error): void => {
      const Failure = isSent ? NoAnswer : NotSent
      reject(new Failure(`${host}:${port}: ${reasonOf(cause)}`, { cause }))
      request.destroy()
    }
    request.on('error', fail)
    this.#open.add(request)
    request.once('close', () => {
      this.#open.delete(request)
      fail(new Error('the connection was closed'))
    })
    return { request, fail }
  }

  close(): void {
    // Agents forget those that wait for a connection, and would connect for them.
    for (const request of this.#open) request.destroy()
    for (const agent of [this.#agent, this.#urgent, this.#streams]) agent.destroy()
  }
}

const late = ({ timeoutMs }: Call): Error => new Error(`no answer in ${Math.round(timeoutMs)} ms`)

/** Where a name has several addresses, Node puts what became of each into one error without a text. */
const reasonOf = (error: Error): string =>
  error instanceof AggregateError && error.message === ''
    ? [...new Set((error.errors as Error[]).map(({ message }) => message))].join(', ')
    : error.message

/** Cuts a stream at its newlines. */
class Lines {
  readonly #onLine: (line: Buffer) => void
  #parts: Buffer[] = []
  #bytes = 0

  constructor(onLine: (line: Buffer) => void) {
    this.#onLine = onLine
  }

  /** What comes last need not have a newline: an error has none. */
  end(): void {
    this.take(Buffer.from('\n'))
  }

  /** @returns false: a line is longer than can be */
  take(chunk: Buffer): boolean {
    let rest = chunk
    for (let end = rest.indexOf(10); end !== -1; end = rest.indexOf(10)) {
      const line = Buffer.concat([...this.#parts, rest.subarray(0, end)])
      rest = rest.subarray(end + 1)
      this.#parts = []
      this.#bytes = 0
      if (line.length > 0) this.#onLine(line)
    }
    this.#parts.push(rest)
    this.#bytes += rest.length
    return this.#bytes <= ANSWER_BYTES_MAX
  }
}
