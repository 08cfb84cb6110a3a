import { createHash } from 'node:crypto'
import { appendFileSync } from 'node:fs'
import { connect, createServer, type Server } from 'node:net'

/** Longer requests are left out: what makes them long is their records. */
const FRAME_BYTES_MAX = 4096

/**
 * Stands between clients and a broker, and writes their requests to a file, a line of base64 each, once each (whatever the
 * correlation id). The broker must advertise the recorder's port.
 */
export class Recorder {
  readonly #server: Server
  readonly #path: string
  readonly #seen = new Set<string>()
  #brokerPort = 0

  private constructor(path: string) {
    this.#path = path
    this.#server = createServer(client => {
      const broker = connect({ host: '127.0.0.1', port: this.#brokerPort })
      client.pipe(broker).pipe(client)
      let pending: Buffer = Buffer.alloc(0)
      client.on('data', chunk => {
        pending = this.#cut(Buffer.concat([pending, chunk]))
      })
      client.on('error', () => broker.destroy())
      broker.on('error', () => client.destroy())
    })
    this.#server.unref()
  }

  static async start(path: string): Promise<Recorder> {
    const recorder = new Recorder(path)
    await new Promise<void>(resolve => recorder.#server.listen(0, '127.0.0.1', resolve))
    return recorder
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port
  }

  forwardTo(port: number): void {
    this.#brokerPort = port
  }

  /** @returns what does not make a whole frame yet */
  #cut(bytes: Buffer): Buffer {
    let rest = bytes
    while (rest.length >= 4 && rest.length >= 4 + rest.readInt32BE(0)) {
      const end = 4 + rest.readInt32BE(0)
      this.#record(rest.subarray(0, end))
      rest = rest.subarray(end)
    }
    return rest
  }

  #record(frame: Buffer): void {
    if (frame.length > FRAME_BYTES_MAX) return
    const plain = Buffer.from(frame).fill(0, 8, 12)
    const hash = createHash('sha256').update(plain).digest('base64')
    if (this.#seen.has(hash)) return
    this.#seen.add(hash)
    appendFileSync(this.#path, `${plain.toString('base64')}\n`)
  }
}
