import type { Socket } from 'node:net'
import { CLOSE, NO_ANSWER, type Outcome } from '../apis/handler.ts'
import { Pace } from '../apis/pace.ts'
import type { BrokerContext } from '../broker-context.ts'
import type { Logger } from '../logger.ts'
import { FrameCutter, type FrameProblem } from '../protocol/frame-cutter.ts'
import { MalformedFrame } from '../protocol/reader.ts'
import { inOwnTurn, isTurnOver } from '../turns.ts'
import { AnswerSender } from './answer-sender.ts'
import { Call, type CallConnection } from './call.ts'
import { CpuShare } from './cpu-share.ts'
import { ANSWERED_ELEMENTS_MAX, failedOutcome } from './failed-request.ts'
import { Receiver } from './receiver.ts'
import {
  type IncomingRequest,
  isInTurn,
  RequestRejected,
  readLongRequest,
  readRequest,
} from './request.ts'
import { type RequestMemory, requestCost, SMALL_BYTES } from './request-memory.ts'
import { isAlone, release, type Slot } from './slot.ts'
import type { UnsentAnswers } from './unsent-answers.ts'
import { STOP, Visit } from './visit.ts'

/** While this much is waiting in the socket for a slow client, nothing more is read from it. */
const UNSENT_BYTES_MAX = 1024 * 1024

/** What all connections of a broker share. */
export interface ConnectionContext {
  readonly broker: BrokerContext
  readonly requests: RequestMemory
  readonly unsent: UnsentAnswers
}

/**
 * One client's connection: cuts frames, runs their handlers side by side, and sends the answers in the order of the
 * requests, as clients expect. Reading pauses while requests, unsent answers, memory or the ring are at their bounds,
 * and while others have their turn. Answers that are owed are sent even if the client will send nothing more, or has
 * sent what is no request.
 */
export class Connection implements CallConnection {
  readonly peer: string
  /** When bytes were last received or taken by the client, in ms of the monotonic clock. */
  lastActive = performance.now()
  readonly #socket: Socket
  readonly #shared: ConnectionContext
  readonly #listener: string
  readonly #log: Logger
  readonly #visit: Visit
  readonly #receiver: Receiver
  readonly #cutter: FrameCutter
  readonly #answers: AnswerSender
  readonly #gone = new AbortController()
  readonly #cpu = new CpuShare()
  /** Requests under way, oldest first. */
  #slots: Slot[] = []
  #heldBytes = 0
  #partialBytes = 0
  #holds = 0
  /** A long request is being decoded. */
  #isDecoding = false
  /** A long answer is being encoded: the ones behind it wait. */
  #isEncoding = false
  #isInLine = false
  #hasEnded = false
  /** Nothing more is taken from it: it is closed when the answers that it is owed are sent. */
  #isClosing = false
  #isFlushScheduled = false
  readonly #onClose: (connection: Connection) => void

  constructor(
    socket: Socket,
    shared: ConnectionContext,
    listener: string,
    onClose: (connection: Connection) => void,
  ) {
    this.#socket = socket
    this.#shared = shared
    this.#listener = listener
    this.peer = `${socket.remoteAddress ?? 'unknown'}:${socket.remotePort ?? 0}`
    this.#log = shared.broker.log
    this.#visit = new Visit(this.#log, listener, this.peer)
    this.#onClose = onClose
    this.#answers = new AnswerSender(socket, error => this.#fail(error))
    this.#cutter = new FrameCutter({
      frameBytesMax: shared.broker.options.limits.frameBytesMax,
      reusesBuffer: true,
      mayKeepBuffer: () => shared.requests.isPlentiful,
      isWanted: (frame, start, end) => this.#isWanted(frame, start, end),
      onPartial: bytes => this.#onPartial(bytes),
      onFrame: (frame, start, end) => this.#onFrame(frame, start, end),
      onProblem: problem => this.#refuse(problem),
    })
    socket.setNoDelay(true)
    socket.on('end', () => this.#guard(() => this.#onEnd()))
    socket.on('drain', () => this.#guard(() => this.#onDrain()))
    socket.on('error', error => this.#visit.endsFor(error.message))
    socket.on('close', () => this.#guard(() => this.#closed()))
    this.#receiver = new Receiver(socket, chunk => this.#onData(chunk))
    this.#receiver.start()
  }

  get isIdle(): boolean {
    return this.#slots.length === 0
  }

  /** Bytes that its requests take in memory. */
  get heldBytes(): number {
    return this.#heldBytes
  }

  /** Whether it holds memory for a request that does not go on arriving. */
  get isStalled(): boolean {
    return this.#cutter.isInsideFrame && !this.#receiver.isPaused
  }

  /** Ends the connection once the answers under way are sent. */
  drain(): void {
    this.#visit.endsFor(STOP)
    this.#endReading()
  }

  destroy(reason: string): void {
    this.#visit.endsFor(reason)
    this.#socket.destroy()
  }

  /** Its client takes nothing, and others need the room. */
  giveUp(): void {
    this.#log.warn({ peer: this.peer }, 'a client that does not take its answers is disconnected')
    this.destroy('it has not taken its answers')
  }

  /** Aborted when the client sends nothing more, or is gone. */
  get gone(): AbortSignal {
    return this.#gone.signal
  }

  get isInsideFrame(): boolean {
    return this.#cutter.isInsideFrame
  }

  giveSpare(): void {
    this.#cutter.dropBuffer()
  }

  /** There is memory for its requests again. */
  onMemory(): void {
    this.#guard(() => this.#resume())
  }

  /** Nobody waits for what a connection does: what nobody expected in it costs the connection. */
  #guard(action: () => void): void {
    try {
      action()
    } catch (error) {
      this.#fail(error)
    }
  }

  #fail(error: unknown): void {
    this.#log.error({ err: error, peer: this.peer }, 'bug: a connection failed')
    this.destroy('a bug')
  }

  #closed(): void {
    this.#gone.abort()
    const { requests, unsent } = this.#shared
    for (const { outcome, call } of this.#slots.splice(0)) {
      this.#guard(() => release(outcome))
      call.pace.leave()
    }
    this.#hold(-this.#heldBytes)
    requests.leave(this)
    unsent.set(this, 0)
    this.#onClose(this)
    this.#visit.end()
  }

  /** What it sends is no request: what it is owed is sent, then it is closed. */
  #refuse(problem: FrameProblem): void {
    this.#log.warn({ peer: this.peer, listener: this.#listener, problem }, 'connection refused')
    this.#visit.endsFor(problem)
    this.#endReading()
  }

  #endReading(): void {
    this.#isClosing = true
    this.#receiver.stop()
    this.#gone.abort()
    this.#flush()
  }

  /** The client will send nothing more, but may wait for answers: those that wait for something are given now. */
  #onEnd(): void {
    this.#visit.endsFor('closed by the client')
    this.#hasEnded = true
    this.#gone.abort()
    this.#flush()
  }

  #onDrain(): void {
    this.lastActive = performance.now()
    this.#noteUnsent()
    this.#resume()
  }

  #onData(chunk: Buffer): void {
    const now = performance.now()
    this.lastActive = now
    this.#cpu.start(now)
    try {
      this.#cutter.push(chunk)
    } catch (error) {
      this.#fail(error)
    }
    const isSmall = this.#cpu.stop()
    // Also a frame that is not whole yet takes time to put together.
    if (!this.#receiver.isPaused && !isSmall && isTurnOver()) this.#waitInLine()
  }

  #onPartial(bytes: number): void {
    this.#hold(bytes - this.#partialBytes)
    this.#partialBytes = bytes
    this.#shouldPause()
  }

  #hold(bytes: number): void {
    this.#heldBytes += bytes
    this.#shared.requests.add(bytes)
  }

  /** Whether the next frame may be taken now. */
  #isWanted(frame: Buffer, start: number, end: number): boolean {
    if (this.#receiver.isPaused || this.#shouldPause()) return false
    if (this.#isTooMuch(end - start)) {
      this.#waitInLine()
      return false
    }
    const first = this.#slots[0]
    if (first === undefined) return true
    if (!isAlone(first.handler) && !isInTurn(frame, start, end, this.#shared.broker.apis))
      return true
    this.#receiver.pause()
    return false
  }

  /** Whether a frame is more than may be taken in this turn of the event loop. */
  #isTooMuch(frameBytes: number): boolean {
    const now = this.#cpu.look()
    if (frameBytes > SMALL_BYTES) return isTurnOver()
    return now !== -1 && !this.#cpu.isSmall(now) && isTurnOver(now)
  }

  #waitInLine(): void {
    this.#receiver.pause()
    if (this.#isInLine) return
    this.#isInLine = true
    inOwnTurn(() => {
      this.#isInLine = false
      this.#guard(() => this.#resume())
    })
  }

  /** @returns whether the next frame may be cut. */
  #onFrame(frame: Buffer, start: number, end: number): boolean {
    this.#shared.requests.leave(this)
    try {
      const incoming = readRequest(frame, start, end, this.#shared.broker.apis)
      if (incoming === null) this.#decodeInPieces(frame, start, end)
      else this.#run(incoming, end - start, new Pace(this))
    } catch (error) {
      this.#onBadRequest(error)
      return false
    }
    // All else is asked before the next one (`#isWanted`).
    if (this.#isFrameKept) this.#receiver.pause()
    return !this.#isFrameKept
  }

  /** Nothing more may be cut: somebody still reads in the last frame, or there is to be no other. */
  get #isFrameKept(): boolean {
    return this.#holds > 0 || this.#isDecoding || this.#isClosing
  }

  #onBadRequest(error: unknown): void {
    if (error instanceof MalformedFrame || error instanceof RequestRejected) {
      this.#refuse(error.message)
      return
    }
    // Nothing is known of the request: it costs its connection, and no more.
    this.#log.error({ err: error, peer: this.peer }, 'bug: a request cannot be read')
    this.#endReading()
  }

  /** The frame stays where it is until then: nothing more is cut. */
  async #decodeInPieces(frame: Buffer, start: number, end: number): Promise<void> {
    const pace = new Pace(this)
    this.#isDecoding = true
    try {
      await pace.enter()
      const incoming = await readLongRequest(frame, start, end, this.#shared.broker.apis)
      if (this.#socket.destroyed) pace.leave()
      else this.#run(incoming, end - start, pace)
    } catch (error) {
      pace.leave()
      this.#onBadRequest(error)
    } finally {
      this.#isDecoding = false
      this.#guard(() => this.#flush())
    }
  }

  #run(incoming: IncomingRequest, frameBytes: number, pace: Pace): void {
    this.#visit.requests++
    const { handler, header, request, elements } = incoming
    const call = new Call(this.#shared.broker, header, this.#listener, this.peer, pace, this)
    const cost = requestCost(frameBytes, elements)
    const kept = elements > ANSWERED_ELEMENTS_MAX ? null : request
    const slot: Slot = { handler, header, call, cost, request: kept, outcome: undefined }
    this.#slots.push(slot)
    this.#hold(cost)
    let result: Outcome<never> | Promise<Outcome<never>>
    try {
      result = handler.handle(request as never, call)
    } catch (error) {
      this.#bug(slot, error)
      return
    }
    if (!(result instanceof Promise)) {
      this.#finish(slot, result)
      return
    }
    result.then(
      outcome => this.#settle(slot, outcome),
      error => this.#guard(() => this.#bug(slot, error)),
    )
  }

  /** What is kept from now on is counted elsewhere, and the request is not there any more. */
  park(call: Call): void {
    const slot = this.#slots.find(one => one.call === call)
    if (slot === undefined) return
    slot.request = null
    this.#giveBack(slot)
  }

  #settle(slot: Slot, outcome: Outcome<never>): void {
    try {
      this.#finish(slot, outcome)
    } catch (error) {
      this.#fail(error)
    }
  }

  #giveBack(slot: Slot): void {
    if (slot.cost === 0) return
    this.#hold(-slot.cost)
    slot.cost = 0
  }

  /** What nobody expected in a handler costs its request. */
  #bug(slot: Slot, error: unknown): void {
    const isHeard = !this.#socket.destroyed
    this.#finish(slot, isHeard ? failedOutcome(slot, error, this.#log, this.peer) : CLOSE)
  }

  #finish(slot: Slot, outcome: Outcome<never>): void {
    if (this.#socket.destroyed) {
      release(outcome)
      slot.call.pace.leave()
      return
    }
    slot.outcome = outcome
    if (this.#slots[0] === slot) this.#flushSoon()
  }

  /** Answers that become ready in the same turn of the event loop go out in one write. */
  #flushSoon(): void {
    if (this.#isFlushScheduled) return
    this.#isFlushScheduled = true
    process.nextTick(() => {
      this.#isFlushScheduled = false
      this.#guard(() => this.#flush())
    })
  }

  #flush(): void {
    if (this.#socket.destroyed || this.#isEncoding) return
    let done = 0
    for (; done < this.#slots.length && !this.#isEncoding; done++) {
      const slot = this.#slots[done]!
      if (slot.outcome === undefined) break
      if (slot.outcome === CLOSE) this.#isClosing = true
      else if (slot.outcome !== NO_ANSWER) this.#encode(slot)
      if (!this.#isEncoding) slot.call.pace.leave()
      this.#giveBack(slot)
      if (slot.outcome === CLOSE) this.#dropFrom(done + 1)
    }
    if (done > 0) this.#slots = this.#slots.slice(done)
    this.#send()
    if (this.#isDone()) this.#socket.end(() => this.#socket.destroy())
    else this.#resume()
  }

  /** Requests behind one that closes the connection are not answered. */
  #dropFrom(index: number): void {
    this.#visit.endsFor('a request failed whose answer has no room for an error')
    for (const { outcome, call } of this.#slots.splice(index)) {
      release(outcome)
      call.pace.leave()
    }
  }

  #isDone(): boolean {
    if (this.#slots.length > 0 || this.#isEncoding || this.#isDecoding) return false
    return this.#isClosing || (this.#hasEnded && !this.#cutter.isStopped)
  }

  #encode(slot: Slot): void {
    const { handler, header, outcome, call } = slot
    const outgoing = { handler, header, answer: outcome as { body: never }, pace: call.pace }
    try {
      if (this.#answers.encode(outgoing)) return
    } catch (error) {
      this.#cannotEncode(slot, error)
      return
    }
    this.#isEncoding = true
    this.#send()
    this.#answers
      .encodeInPieces(outgoing)
      .catch(error => this.#guard(() => this.#cannotEncode(slot, error)))
      .finally(() => {
        call.pace.leave()
        this.#isEncoding = false
        this.#noteUnsent()
        this.#guard(() => this.#flush())
      })
  }

  /** Nothing of the answer is sent: one that says so takes its place. */
  #cannotEncode(slot: Slot, error: unknown): void {
    const { handler, header, outcome, call } = slot
    this.#guard(() => release(outcome))
    const failed = failedOutcome(slot, error, this.#log, this.peer)
    if (typeof failed === 'object') {
      const outgoing = { handler, header, answer: failed, pace: call.pace }
      if (this.#answers.encode(outgoing)) return
    }
    this.#isClosing = true
  }

  #send(): void {
    if (!this.#answers.send()) return
    this.lastActive = performance.now()
    this.#noteUnsent()
  }

  #noteUnsent(): void {
    this.#shared.unsent.set(this, this.#socket.writableLength)
  }

  holdUntil(until: Promise<void>): void {
    this.#holds++
    const go = (): void => {
      this.#holds--
      this.#guard(() => this.#resume())
    }
    until.then(go, go)
  }

  #shouldPause(): boolean {
    const { broker, requests, unsent } = this.#shared
    const { writableLength } = this.#socket
    const { connectionRequestsMax, connectionRequestBytesMax } = broker.options.limits
    const mustPause =
      this.#isFrameKept ||
      this.#slots.length >= connectionRequestsMax ||
      (this.#slots.length > 0 && this.#heldBytes > connectionRequestBytesMax) ||
      writableLength > UNSENT_BYTES_MAX ||
      unsent.isTooMuch(writableLength) ||
      !requests.mayRead(this)
    if (mustPause) this.#receiver.pause()
    return mustPause
  }

  #resume(): void {
    if (!this.#receiver.isPaused || this.#socket.destroyed || this.#shouldPause()) return
    this.#cpu.start(performance.now())
    const goesOn = this.#receiver.resume(() => this.#cutter.resume())
    this.#cpu.stop()
    if (goesOn && this.#isDone()) this.#flush()
  }
}
