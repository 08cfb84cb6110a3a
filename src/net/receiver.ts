import type { Socket } from 'node:net'

/** The buffer that a connection reads into begins with this size, and doubles when a read fills it. */
const RECEIVE_BYTES_MIN = 1024
const RECEIVE_BYTES_MAX = 64 * 1024

/** What Node's own `onread` option of sockets sets, which sockets of a server cannot be given (lib/net.js, lib/internal/stream_base_commons.js). */
interface OnRead {
  readonly buffer: symbol
  readonly callback: symbol
  readonly nextBuffer: symbol
}

/** A socket as Node has it inside. */
type Inside = Socket & {
  readonly _handle?: { useUserBuffer?(buffer: Buffer): void }
  [key: symbol]: unknown
}

function onReadOf(socket: Socket): OnRead | null {
  const symbols = Object.getOwnPropertySymbols(socket)
  const named = (name: string) => symbols.find(({ description }) => description === name)
  const buffer = named('kBuffer')
  const callback = named('kBufferCb')
  const nextBuffer = named('kBufferGen')
  if (buffer === undefined || callback === undefined || nextBuffer === undefined) return null
  return { buffer, callback, nextBuffer }
}

/**
 * Reads a socket into one buffer of its own, over and over. Otherwise Node makes a new buffer of 64 KiB for each read, which
 * V8 counts against the heap: under large batches a third of the main thread went into collecting them. Where Node has no such thing
 * inside, it is read in that way.
 */
export class Receiver {
  readonly #socket: Socket
  readonly #onBytes: (bytes: Buffer) => void
  #isPaused = false
  #isStopped = false

  /** @param onBytes what it gets is valid until it returns; for good, if reading is paused by then */
  constructor(socket: Socket, onBytes: (bytes: Buffer) => void) {
    this.#socket = socket
    this.#onBytes = onBytes
  }

  /** Nothing is wanted. What the socket has is read once more nevertheless, to see whether the client has ended. */
  get isPaused(): boolean {
    return this.#isPaused
  }

  /** @returns whether it is read into a buffer of its own */
  start(): boolean {
    const inside = this.#socket as Inside
    const onRead = onReadOf(inside)
    const handle = inside._handle
    if (onRead === null || handle?.useUserBuffer === undefined) {
      inside.on('data', chunk => this.#take(chunk))
      return false
    }
    let buffer: Buffer = Buffer.allocUnsafeSlow(RECEIVE_BYTES_MIN)
    let next: Buffer | undefined
    inside[onRead.buffer] = buffer
    inside[onRead.callback] = (bytes: number) => {
      const { length } = buffer
      this.#take(bytes === length ? buffer : buffer.subarray(0, bytes))
      const size = bytes === length ? Math.min(2 * length, RECEIVE_BYTES_MAX) : length
      const isUsedAgain = !this.#isPaused && size === length
      next = isUsedAgain ? undefined : Buffer.allocUnsafeSlow(size)
      if (next !== undefined) buffer = next
    }
    inside[onRead.nextBuffer] = () => next
    handle.useUserBuffer(buffer)
    // What came before, while the connection waited for its turn.
    const early: Buffer | null = inside.read()
    if (early !== null) this.#take(early)
    return true
  }

  #take(bytes: Buffer): void {
    if (this.#isPaused) this.stop()
    this.#onBytes(bytes)
  }

  pause(): void {
    this.#isPaused = true
  }

  /** Nothing more is read. */
  stop(): void {
    this.#isPaused = true
    if (this.#isStopped) return
    this.#isStopped = true
    this.#socket.pause()
  }

  /** What was kept is taken first: `takeKept` may pause it again. @returns whether it goes on */
  resume(takeKept: () => void): boolean {
    this.#isPaused = false
    takeKept()
    if (this.#isPaused) return false
    if (!this.#isStopped) return true
    this.#isStopped = false
    this.#socket.resume()
    return true
  }
}
