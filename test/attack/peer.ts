import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

/** A raw connection to the broker that is attacked. */
export class Peer {
  readonly socket: Socket
  /** Bytes that came back. */
  received = 0
  /** Whole answers that came back. */
  answers = 0
  /** The newest of them, without its length. */
  lastAnswer = Buffer.alloc(0)
  isClosed = false
  #pending = Buffer.alloc(0)
  #waiting: (() => void)[] = []

  private constructor(socket: Socket) {
    this.socket = socket
    socket.on('error', () => {}) // it is closed then
    socket.on('close', () => {
      this.isClosed = true
      this.#wake()
    })
  }

  static async connect(port: number): Promise<Peer> {
    const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true })
    const peer = new Peer(socket)
    await once(socket, 'connect')
    return peer
  }

  /** Reads and counts what comes back; without it nothing is read. */
  read(): this {
    this.socket.on('data', chunk => this.#onData(chunk))
    this.socket.on('end', () => {
      this.isClosed = true
      this.#wake()
    })
    return this
  }

  #onData(chunk: Buffer): void {
    this.received += chunk.length
    let rest = Buffer.concat([this.#pending, chunk])
    while (rest.length >= 4 && rest.length >= 4 + rest.readInt32BE(0)) {
      const end = 4 + rest.readInt32BE(0)
      this.lastAnswer = rest.subarray(4, end)
      rest = rest.subarray(end)
      this.answers++
    }
    this.#pending = rest
    this.#wake()
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake()
  }

  /** Writes, and waits until the system has taken it or the connection is gone. */
  async send(bytes: Buffer): Promise<void> {
    if (this.isClosed) return
    // The callback comes with an error if the connection goes.
    await new Promise<void>(resolve => this.socket.write(bytes, () => resolve()))
  }

  /** Writes without waiting. */
  push(bytes: Buffer): void {
    if (!this.isClosed) this.socket.write(bytes)
  }

  /** Waits for so many answers in all, or until the connection is closed. */
  async until(answers: number): Promise<void> {
    while (this.answers < answers && !this.isClosed) {
      await new Promise<void>(resolve => this.#waiting.push(resolve))
    }
  }

  close(): void {
    this.socket.destroy()
  }
}
