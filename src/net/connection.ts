import type { Socket } from 'node:net'
import type { Logger } from 'pino'
import {
  type ApiHandler,
  CLOSE,
  NO_ANSWER,
  type Outcome,
  type RequestContext,
} from '../apis/handler.ts'
import type { BrokerContext } from '../broker-context.ts'
import { FrameCutter, type FrameProblem } from '../protocol/frame-cutter.ts'
import { encodeResponseHeader, type RequestHeader } from '../protocol/header.ts'
import { MalformedFrame, Reader } from '../protocol/reader.ts'
import { Writer } from '../protocol/writer.ts'
import { RequestRejected, readRequest } from './request.ts'

/** While this much is waiting in the socket for a slow client, nothing more is read from it. */
const UNSENT_BYTES_MAX = 1024 * 1024

/** One for all connections: answers are encoded and handed to the socket in one go. */
const writer = new Writer()

/** The place of one request in the order of answers. */
interface Slot {
  readonly handler: ApiHandler
  readonly header: RequestHeader
  /** Set once the handler is done; `undefined` while it runs. */
  outcome: Outcome<never> | undefined
  /** Starts a request that waits for its turn. */
  start: (() => void) | null
}

/**
 * One client's connection: cuts frames, runs their handlers side by side, and sends the answers in the order of the
 * requests, as clients expect. Reading pauses while requests, unsent answers or the ring are at their bounds.
 */
export class Connection {
  readonly peer: string
  readonly ip: string
  /** ms since the epoch of the last byte received or sent. */
  lastActive: number
  readonly #socket: Socket
  readonly #broker: BrokerContext
  readonly #listener: string
  readonly #log: Logger
  readonly #cutter: FrameCutter
  readonly #gone = new AbortController()
  /** Requests under way, oldest first. */
  #slots: Slot[] = []
  #holds = 0
  #paused = false
  #draining = false
  #flushScheduled = false
  readonly #onClose: (connection: Connection) => void

  constructor(
    socket: Socket,
    broker: BrokerContext,
    listener: string,
    onClose: (connection: Connection) => void,
  ) {
    this.#socket = socket
    this.#broker = broker
    this.#listener = listener
    this.ip = socket.remoteAddress ?? 'unknown'
    this.peer = `${this.ip}:${socket.remotePort ?? 0}`
    this.#log = broker.log
    this.lastActive = Date.now()
    this.#onClose = onClose
    const { frameBytesMax } = broker.options.limits
    this.#cutter = new FrameCutter({
      frameBytesMax,
      reusesBuffer: true,
      onFrame: (frame, start, end) => this.#onFrame(frame, start, end),
      onProblem: problem => this.#refuse(problem),
    })
    socket.setNoDelay(true)
    socket.on('data', chunk => this.#onData(chunk))
    socket.on('drain', () => {
      this.#startNext()
      this.#resume()
    })
    socket.on('error', error => this.#log.debug({ peer: this.peer, err: error }, 'socket error'))
    socket.on('close', () => this.#closed())
  }

  get isIdle(): boolean {
    return this.#slots.length === 0
  }

  /** Ends the connection once the answers under way are sent. */
  drain(): void {
    this.#draining = true
    this.#socket.pause()
    this.#flush()
  }

  destroy(): void {
    this.#socket.destroy()
  }

  #closed(): void {
    this.#gone.abort()
    for (const { outcome } of this.#slots) release(outcome)
    this.#slots = []
    this.#onClose(this)
  }

  #refuse(problem: FrameProblem): void {
    this.#log.warn({ peer: this.peer, listener: this.#listener, problem }, 'connection refused')
    this.#socket.destroy()
  }

  #onData(chunk: Buffer): void {
    this.lastActive = Date.now()
    this.#cutter.push(chunk)
  }

  /** @returns whether the next frame may be cut. */
  #onFrame(frame: Buffer, start: number, end: number): boolean {
    const reader = new Reader(frame, start, end)
    try {
      const { handler, header, request } = readRequest(reader, this.#broker.apis)
      this.#run(handler, header, request)
    } catch (error) {
      if (!(error instanceof MalformedFrame) && !(error instanceof RequestRejected)) throw error
      this.#refuse(error.message)
      return false
    }
    return !this.#shouldPause()
  }

  #run(handler: ApiHandler, header: RequestHeader, request: unknown): void {
    const slot: Slot = { handler, header, outcome: undefined, start: null }
    this.#slots.push(slot)
    const start = (): void => {
      let result: Outcome<never> | Promise<Outcome<never>>
      try {
        result = handler.handle(request as never, this.#contextOf(header))
      } catch (error) {
        this.#bug(header, error)
        return
      }
      if (result instanceof Promise) {
        result.then(
          outcome => this.#finish(slot, outcome),
          error => this.#bug(header, error),
        )
      } else {
        this.#finish(slot, result)
      }
    }
    if (handler.inTurn && this.#slots.length > 1) slot.start = start
    else start()
  }

  #contextOf(header: RequestHeader): RequestContext {
    return {
      broker: this.#broker,
      version: header.apiVersion,
      clientId: header.clientId,
      listener: this.#listener,
      peer: this.peer,
      hold: until => this.#hold(until),
      gone: this.#gone.signal,
    }
  }

  /** A handler failed in a way that it does not know: no answer would be true, so the client has to look anew. */
  #bug(header: RequestHeader, error: unknown): void {
    if (this.#socket.destroyed) return
    this.#log.error({ err: error, peer: this.peer, api: header.apiKey }, 'bug: a request failed')
    this.#socket.destroy()
  }

  #finish(slot: Slot, outcome: Outcome<never>): void {
    if (this.#socket.destroyed) {
      release(outcome)
      return
    }
    slot.outcome = outcome
    if (this.#slots[0] === slot) this.#flushSoon()
  }

  /** Answers that become ready in the same turn of the event loop go out in one write. */
  #flushSoon(): void {
    if (this.#flushScheduled) return
    this.#flushScheduled = true
    process.nextTick(() => {
      this.#flushScheduled = false
      this.#flush()
    })
  }

  #flush(): void {
    if (this.#socket.destroyed) return
    const sent: (() => void)[] = []
    let done = 0
    let close = false
    for (; done < this.#slots.length && !close; done++) {
      const slot = this.#slots[done]!
      if (slot.outcome === undefined) break
      if (slot.outcome === CLOSE) close = true
      else if (slot.outcome !== NO_ANSWER) close = !this.#encode(slot, sent)
    }
    if (done > 0) this.#slots = this.#slots.slice(done)
    this.#send(sent)
    if (close || (this.#draining && this.#slots.length === 0)) {
      this.#socket.end(() => this.#socket.destroy())
      return
    }
    this.#startNext()
    this.#resume()
  }

  /** Starts the request whose turn it is, unless the client is slow to take what it was sent: `drain` comes back to it. */
  #startNext(): void {
    const next = this.#slots[0]
    if (next === undefined || next.start === null) return
    if (this.#socket.writableLength > UNSENT_BYTES_MAX) return
    const { start } = next
    next.start = null
    start()
  }

  /** @returns false if the answer cannot be encoded, which is a bug. */
  #encode(slot: Slot, sent: (() => void)[]): boolean {
    const { header, handler } = slot
    const outcome = slot.outcome as { body: never; onSent?: () => void }
    const mark = writer.startFrame()
    try {
      encodeResponseHeader(writer, handler.response, header.apiVersion, header.correlationId)
      handler.response.encode(writer, header.apiVersion, outcome.body)
      writer.endFrame(mark)
      if (outcome.onSent !== undefined) sent.push(outcome.onSent)
      return true
    } catch (error) {
      writer.abortFrame(mark)
      outcome.onSent?.()
      this.#log.error({ err: error, api: header.apiKey }, 'bug: an answer cannot be encoded')
      return false
    }
  }

  #send(sent: readonly (() => void)[]): void {
    if (writer.byteLength === 0) return
    const chunks = writer.chunks()
    writer.clear()
    this.lastActive = Date.now()
    const socket = this.#socket
    if (chunks.length > 1) socket.cork()
    const last = chunks.length - 1
    for (let i = 0; i < last; i++) socket.write(chunks[i]!)
    if (sent.length === 0) {
      socket.write(chunks[last]!)
    } else {
      socket.write(chunks[last]!, () => {
        for (const done of sent) done()
      })
    }
    if (chunks.length > 1) socket.uncork()
  }

  #hold(until: Promise<void>): void {
    this.#holds++
    until.finally(() => {
      this.#holds--
      this.#resume()
    })
  }

  #shouldPause(): boolean {
    const pause =
      this.#holds > 0 ||
      this.#draining ||
      this.#slots.length >= this.#broker.options.limits.connectionRequestsMax ||
      this.#socket.writableLength > UNSENT_BYTES_MAX
    if (pause && !this.#paused) {
      this.#paused = true
      this.#socket.pause()
    }
    return pause
  }

  #resume(): void {
    if (!this.#paused || this.#socket.destroyed || this.#shouldPause()) return
    this.#paused = false
    this.#cutter.resume()
    if (!this.#paused) this.#socket.resume()
  }
}

function release(outcome: Outcome<never> | undefined): void {
  if (typeof outcome === 'object') outcome.onSent?.()
}
