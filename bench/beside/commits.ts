import { once } from 'node:events'
import { connect as connectSocket, type Socket } from 'node:net'
import { FrameCutter } from '../../src/protocol/frame-cutter.ts'
import { encodeRequestHeader } from '../../src/protocol/header.ts'
import {
  offsetCommitApi,
  offsetCommitRequest,
  offsetCommitResponse,
} from '../../src/protocol/messages/08-offset-commit.ts'
import { findCoordinatorApi } from '../../src/protocol/messages/10-find-coordinator.ts'
import { Reader } from '../../src/protocol/reader.ts'
import { Writer } from '../../src/protocol/writer.ts'
import { percentiles } from '../harness.ts'
import { connect, cpuSeconds, makeTopic, type Target } from './target.ts'

const VERSION = 7
const CONNECTIONS = 4
const PARTITIONS = 8
const WARM_UP_ATTEMPTS = 300
/** Where the correlation id stands in a frame and in an answer. */
const CORRELATION_AT = 8
const ANSWER_BODY_AT = 4

export interface CommitSize {
  readonly groups: number
  readonly inFlight: number
  readonly seconds: number
}

/** A request per group, ready to be sent but for its correlation id. */
function encodeCommits(topic: string, prefix: string, groups: number): Buffer[] {
  return Array.from({ length: groups }, (_, i) => {
    const writer = new Writer()
    const mark = writer.startFrame()
    encodeRequestHeader(writer, offsetCommitRequest, VERSION, 0, 'bench')
    const partitions = [{ partitionIndex: i % PARTITIONS, committedOffset: 1000 + i }]
    offsetCommitRequest.encode(writer, VERSION, {
      groupId: `${prefix}-${i}`,
      topics: [{ name: topic, partitions }],
    })
    writer.endFrame(mark)
    return Buffer.concat(writer.chunks())
  })
}

/** Commits once to every group, as often as it takes: Kafka makes its offsets topic after it has been asked for it. */
async function warmUp(
  target: Target,
  topic: string,
  prefix: string,
  groups: number,
): Promise<void> {
  await using client = await connect(target)
  await client.send(findCoordinatorApi, 3, { key: prefix })
  for (let i = 0; i < groups; i++) {
    const partitions = [{ partitionIndex: i % PARTITIONS, committedOffset: 1 }]
    const request = { groupId: `${prefix}-${i}`, topics: [{ name: topic, partitions }] }
    for (let attempt = 0; ; attempt++) {
      const { topics } = await client.send(offsetCommitApi, VERSION, request)
      const { errorCode } = topics[0]!.partitions[0]!
      if (errorCode === 0) break
      if (attempt === WARM_UP_ATTEMPTS) throw new Error(`a commit was answered ${errorCode}`)
      await new Promise(resolve => setTimeout(resolve, 100))
    }
  }
}

/** One connection that keeps so many commits in flight; answers are checked, in order. */
class Committer {
  readonly latenciesMs: number[] = []
  readonly #socket: Socket
  readonly #commits: readonly Buffer[]
  readonly #sentAt: number[] = []
  readonly #cutter: FrameCutter
  #next: number
  #isEnding = false
  #ended: () => void = () => {}

  constructor(socket: Socket, commits: readonly Buffer[], first: number) {
    this.#socket = socket
    this.#commits = commits
    this.#next = first
    this.#cutter = new FrameCutter({
      frameBytesMax: 1 << 20,
      reusesBuffer: true,
      onFrame: (buffer, start, end) => {
        this.#onAnswer(buffer, start, end)
        return true
      },
      onProblem: problem => socket.destroy(new Error(problem)),
    })
    socket.on('data', chunk => {
      this.#cutter.push(chunk)
      this.#refill()
    })
  }

  #owed = 0

  #onAnswer(buffer: Buffer, start: number, end: number): void {
    this.latenciesMs.push(performance.now() - this.#sentAt.shift()!)
    const { topics } = offsetCommitResponse.decode(
      new Reader(buffer, start + ANSWER_BODY_AT, end),
      VERSION,
    )
    const { errorCode } = topics[0]!.partitions[0]!
    if (errorCode !== 0) this.#socket.destroy(new Error(`a commit was answered ${errorCode}`))
    this.#owed++
  }

  /** One write for all that may be sent again. */
  #refill(): void {
    if (this.#isEnding) {
      if (this.#sentAt.length === 0) this.#ended()
      return
    }
    this.start(this.#owed)
    this.#owed = 0
  }

  start(count: number): void {
    const now = performance.now()
    const frames: Buffer[] = []
    for (let i = 0; i < count; i++) {
      const frame = this.#commits[this.#next % this.#commits.length]!
      frame.writeInt32BE(this.#next & 0x7fffffff, CORRELATION_AT)
      this.#next += CONNECTIONS
      frames.push(Buffer.from(frame))
      this.#sentAt.push(now)
    }
    if (frames.length > 0) this.#socket.write(Buffer.concat(frames))
  }

  async end(): Promise<void> {
    this.#isEnding = true
    if (this.#sentAt.length > 0) {
      await new Promise<void>(resolve => {
        this.#ended = resolve
      })
    }
    this.#socket.destroy()
  }
}

/** Commits one offset a request to many groups that nobody is in, so many in flight over 4 connections. */
export async function measureCommits(
  target: Target,
  size: CommitSize,
  run: string,
): Promise<Record<string, number>> {
  const topic = `commits-${run}`
  await makeTopic(target, topic, PARTITIONS)
  await warmUp(target, topic, `commits-${run}`, size.groups)
  const commits = encodeCommits(topic, `commits-${run}`, size.groups)
  const committers: Committer[] = []
  for (let i = 0; i < CONNECTIONS; i++) {
    const socket = connectSocket({ host: target.host, port: target.port, noDelay: true })
    await once(socket, 'connect')
    committers.push(new Committer(socket, commits, i))
  }
  const load = async (seconds: number): Promise<void> => {
    await new Promise(resolve => setTimeout(resolve, seconds * 1000))
  }
  for (const committer of committers) committer.start(size.inFlight / CONNECTIONS)
  await load(size.seconds / 3) // warm
  for (const { latenciesMs } of committers) latenciesMs.length = 0
  const cpu = cpuSeconds(target)
  const started = performance.now()
  await load(size.seconds)
  const seconds = (performance.now() - started) / 1000
  const latencies = committers.flatMap(({ latenciesMs }) => latenciesMs)
  const used = cpuSeconds(target) - cpu
  await Promise.all(committers.map(committer => committer.end()))
  return {
    'commits/s': latencies.length / seconds,
    ...percentiles(latencies),
    'cpu_s/100k': (used / latencies.length) * 100_000,
  }
}
