import { connect, type Socket } from 'node:net'
import { FrameCutter } from '../../src/protocol/frame-cutter.ts'
import { encodeRequestHeader } from '../../src/protocol/header.ts'
import { produceRequest } from '../../src/protocol/messages/00-produce.ts'
import { encodeBatch } from '../../src/protocol/records.ts'
import { Writer } from '../../src/protocol/writer.ts'

/** The last without tags: where the error stands in the answer can be counted. */
const VERSION = 8
const ANSWER_BYTES_MAX = 1024 * 1024
const TIMEOUT_MS = 60_000

export interface RawLoad {
  readonly topic: string
  /** By partition: the port of its leader on this machine. */
  readonly leaders: readonly number[]
  readonly records: number
  readonly valueBytes: number
  /** To each leader. */
  readonly connections: number
  readonly inFlight: number
  readonly requests: number
}

export interface RawResult {
  readonly seconds: number
  readonly bytes: number
  readonly latenciesMs: readonly number[]
}

/** The same batch for each partition, as whole requests: to send one costs a write. */
async function framesOf({ topic, leaders, records, valueBytes }: RawLoad): Promise<Buffer[]> {
  const value = Buffer.alloc(valueBytes, 'odradek ')
  const timestamp = Date.now()
  const batch = await encodeBatch(Array.from({ length: records }, () => ({ timestamp, value })))
  return leaders.map((_, index) => {
    const writer = new Writer()
    const mark = writer.startFrame()
    encodeRequestHeader(writer, produceRequest, VERSION, 0, 'bench')
    const topicData = [{ name: topic, partitionData: [{ index, records: batch }] }]
    produceRequest.encode(writer, VERSION, { acks: -1, timeoutMs: TIMEOUT_MS, topicData })
    writer.endFrame(mark)
    return Buffer.concat(writer.chunks())
  })
}

/** Correlation id, one topic, its name, one partition, its index; then the error. */
const errorAt = (topic: string): number => 4 + 4 + 2 + Buffer.byteLength(topic) + 4 + 4

/**
 * Produces with acks=all by raw sockets, which take little of the CPU that is measured: each connection keeps so many requests in
 * flight, to the partitions of its leader in turn.
 */
export async function rawLoad(load: RawLoad): Promise<RawResult> {
  const frames = await framesOf(load)
  const latenciesMs: number[] = []
  const start = performance.now()
  const ports = [...new Set(load.leaders)]
  const each = Math.ceil(load.requests / (ports.length * load.connections))
  await Promise.all(
    ports.flatMap(port => {
      const own = frames.filter((_, i) => load.leaders[i] === port)
      return Array.from({ length: load.connections }, (_, at) =>
        run(port, own, at, each, load, ms => latenciesMs.push(ms)),
      )
    }),
  )
  const seconds = (performance.now() - start) / 1000
  return { seconds, bytes: latenciesMs.length * frames[0]!.length, latenciesMs }
}

function run(
  port: number,
  frames: readonly Buffer[],
  first: number,
  count: number,
  { topic, inFlight }: RawLoad,
  onLatency: (ms: number) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket: Socket = connect({ host: '127.0.0.1', port, noDelay: true })
    const at = errorAt(topic)
    const sentAt: number[] = []
    let sent = 0
    let answered = 0
    const fail = (error: Error): void => {
      socket.destroy()
      reject(error)
    }
    const send = (): void => {
      if (sent === count) return
      sentAt.push(performance.now())
      socket.write(frames[(first + sent++) % frames.length]!)
    }
    const onFrame = (buffer: Buffer, begin: number): boolean => {
      const error = buffer.readInt16BE(begin + at)
      if (error !== 0) fail(new Error(`produce answered error ${error}`))
      onLatency(performance.now() - sentAt.shift()!)
      if (++answered === count) {
        socket.end()
        resolve()
      } else send()
      return true
    }
    const onProblem = (problem: string): void => fail(new Error(problem))
    const cutter = new FrameCutter({
      ...{ frameBytesMax: ANSWER_BYTES_MAX, reusesBuffer: true, onFrame, onProblem },
    })
    socket.on('error', fail)
    socket.on('data', chunk => cutter.push(chunk))
    socket.on('close', () => {
      if (answered < count) fail(new Error('the broker has closed the connection'))
    })
    socket.on('connect', () => {
      for (let i = 0; i < inFlight; i++) send()
    })
  })
}
