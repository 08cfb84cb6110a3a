import type { Socket } from 'node:net'
import type { Answer, ApiHandler } from '../apis/handler.ts'
import type { Pace } from '../apis/pace.ts'
import { encodeResponseHeader, type RequestHeader } from '../protocol/header.ts'
import { FrameTooLong, Writer } from '../protocol/writer.ts'
import { inPieces } from '../turns.ts'

/** Bytes of an answer that are encoded at once: some ms. Records do not count, they are not copied. */
const AT_ONCE_BYTES = 1024 * 1024

/** One for all connections: answers are encoded and handed to the socket in one go. */
const shared = new Writer()

/** An answer on its way into bytes. */
export interface Outgoing {
  readonly handler: ApiHandler
  readonly header: RequestHeader
  readonly answer: Answer<never>
  readonly pace: Pace
}

/** Encodes answers and writes them to one socket: those of one turn of the event loop together, long ones in pieces. */
export class AnswerSender {
  readonly #socket: Socket
  readonly #onFailure: (error: unknown) => void
  #sent: (() => void)[] = []

  /** @param onFailure told of what `onSent` of an answer throws */
  constructor(socket: Socket, onFailure: (error: unknown) => void) {
    this.#socket = socket
    this.#onFailure = onFailure
  }

  /**
   * Encodes an answer behind the ones that are encoded already.
   * @returns false if it is so long that it must be encoded by `encodeInPieces` when those before it have been sent
   * @throws SchemaError if it cannot be encoded, which is a bug
   */
  encode({ handler, header, answer }: Outgoing): boolean {
    const mark = shared.startFrame(AT_ONCE_BYTES)
    try {
      encodeResponseHeader(shared, handler.response, header.apiVersion, header.correlationId)
      handler.response.encode(shared, header.apiVersion, answer.body)
      shared.endFrame(mark)
      if (answer.onSent !== undefined) this.#sent.push(answer.onSent)
      return true
    } catch (error) {
      shared.abortFrame(mark)
      if (error instanceof FrameTooLong) return false
      throw error
    }
  }

  /** Encodes a long answer and writes it. @throws SchemaError */
  async encodeInPieces({ handler, header, answer, pace }: Outgoing): Promise<void> {
    const writer = new Writer()
    await pace.enter()
    const mark = writer.startFrame()
    encodeResponseHeader(writer, handler.response, header.apiVersion, header.correlationId)
    await inPieces(handler.response.encodeInPieces(writer, header.apiVersion, answer.body))
    writer.endFrame(mark)
    if (answer.onSent !== undefined) this.#sent.push(answer.onSent)
    this.#write(writer)
  }

  /** Writes what has been encoded. @returns whether there was anything */
  send(): boolean {
    if (shared.byteLength === 0) return false
    this.#write(shared)
    return true
  }

  #write(writer: Writer): void {
    const chunks = writer.chunks()
    writer.clear()
    const socket = this.#socket
    const sent = this.#sent
    if (chunks.length > 1) socket.cork()
    const last = chunks.length - 1
    for (let i = 0; i < last; i++) socket.write(chunks[i]!)
    if (sent.length === 0) {
      socket.write(chunks[last]!)
    } else {
      this.#sent = []
      socket.write(chunks[last]!, () => {
        for (const done of sent) this.#run(done)
      })
    }
    if (chunks.length > 1) socket.uncork()
  }

  #run(done: () => void): void {
    try {
      done()
    } catch (error) {
      this.#onFailure(error)
    }
  }
}
