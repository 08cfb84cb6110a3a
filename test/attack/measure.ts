import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { BrokerProcess, type BrokerProcessOptions } from '../lib/broker-process.ts'
import { COMPACTED, createTopic, PARTITIONS, produce, TOPIC } from './attacks.ts'
import { batchOf } from './batch.ts'
import { Bytes, frame } from './bytes.ts'
import { Peer } from './peer.ts'

/** What whoever else uses the broker must be promised, whatever one client sends. */
export const PROMISED = {
  pingP99Ms: 50,
  pingMaxMs: 250,
  /** Above what the broker takes when nobody does anything. */
  extraMb: 512,
  /**
   * It has come back to this above idle when the attack has been over for a while: what groups may keep (limits.ts), as much
   * garbage (cli/start.ts), and some.
   */
  leftMb: 384,
} as const

/** The topic of honest work: one partition. */
export const HONEST = 'honest'
const PING_EVERY_MS = 20
const PRODUCE_EVERY_MS = 100
const MEMORY_EVERY_MS = 50
/** After an attack memory must have come back by then. */
const BACK_MS_MAX = 20_000
const ATTACKER = fileURLToPath(new URL('attacker.ts', import.meta.url))

/** Something that lasts until it is ended, and at most so many ms. */
class Lasting {
  isOver = false
  readonly over: Promise<void>
  end: () => void = () => {}

  constructor(msMax: number) {
    this.over = new Promise(resolve => {
      const timer = setTimeout(() => this.end(), msMax)
      this.end = () => {
        clearTimeout(timer)
        this.isOver = true
        resolve()
      }
    })
  }
}

export interface Measured {
  readonly pings: number
  readonly p99Ms: number
  readonly maxMs: number
  readonly idleMb: number
  readonly peakMb: number
  /** The least that it came back to. */
  readonly afterMb: number
  /** Records that an honest producer had acknowledged while the attack went on. */
  readonly produced: number
  readonly problems: readonly string[]
}

/**
 * Starts a broker, attacks it from another process for so many ms, and watches what others see of it meanwhile. `backMsMax`: until
 * then memory must have come back.
 */
export async function measure(
  name: string,
  ms: number,
  options: BrokerProcessOptions = {},
  backMsMax: number = BACK_MS_MAX,
): Promise<Measured> {
  const broker = await BrokerProcess.start(options)
  try {
    await prepare(broker)
    const args = [ATTACKER, String(broker.port), String(ms), name]
    return await underAttack(broker, args, ms, backMsMax)
  } finally {
    await broker.remove()
  }
}

function prepare(broker: BrokerProcess): Promise<void> {
  return sendAll(broker, [
    createTopic(TOPIC, PARTITIONS),
    createTopic(COMPACTED, 20, [['cleanup.policy', 'compact']]),
    createTopic(HONEST, 1),
    ...Array.from({ length: 20 }, (_, i) => createTopic(`many-${i}`, 100)),
  ])
}

/** Sends requests one after the other, each when the one before it is answered. */
export async function sendAll(broker: BrokerProcess, requests: readonly Buffer[]): Promise<void> {
  const peer = (await Peer.connect(broker.port)).read()
  for (const [i, request] of requests.entries()) {
    await peer.send(request)
    await peer.until(i + 1)
  }
  peer.close()
}

/**
 * What others see of a broker while a process attacks it, which prints a line when it begins; until that has ended, and no
 * longer than so many ms.
 */
export async function underAttack(
  broker: BrokerProcess,
  attacker: readonly string[],
  msMax: number,
  backMsMax: number = BACK_MS_MAX,
): Promise<Measured> {
  const problems: string[] = []
  const pinger = (await Peer.connect(broker.port)).read()
  const producer = (await Peer.connect(broker.port)).read()
  const mb = () => (broker.hasEnded ? 0 : broker.residentKb / 1024)
  await ping(pinger, new Lasting(500))
  const idleMb = mb()
  const memory = { peak: idleMb }
  const watch = setInterval(() => {
    memory.peak = Math.max(memory.peak, mb())
  }, MEMORY_EVERY_MS)
  const child = spawn(process.execPath, ['--import', 'tsx', ...attacker], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = once(child, 'exit')
  const attack = new Lasting(msMax)
  ended.then(() => attack.end())
  try {
    await once(child.stdout, 'data')
    const work = produceHonestly(producer, attack)
    const times = await ping(pinger, attack)
    const produced = await work
    const [code] = (await ended) as [number | null]
    if (code !== 0) problems.push(`the attacker has failed: ${code}`)
    clearInterval(watch)
    const afterMb = await settled(mb, idleMb, backMsMax)
    times.sort((a, b) => a - b)
    const p99Ms = times[Math.floor(times.length * 0.99)] ?? Number.POSITIVE_INFINITY
    const maxMs = times.at(-1) ?? Number.POSITIVE_INFINITY
    const measured = {
      pings: times.length,
      p99Ms,
      maxMs,
      idleMb,
      peakMb: memory.peak,
      afterMb,
      produced,
    }
    if (broker.hasEnded) problems.push(`the broker has ended:\\n${broker.output.slice(-2_000)}`)
    if (pinger.isClosed) problems.push('the connection that pings was closed')
    if (produced === 0) problems.push('an honest producer got nothing acknowledged')
    problems.push(...broken(measured))
    for (const line of broker.output.split('\n')) {
      if (line.includes('bug:') && problems.length < 10) problems.push(line.slice(0, 500))
    }
    return { ...measured, problems }
  } finally {
    clearInterval(watch)
    child.kill('SIGKILL')
    pinger.close()
    producer.close()
  }
}

function broken(m: Omit<Measured, 'problems'>): string[] {
  const problems: string[] = []
  const ms = (value: number) => `${value.toFixed(0)} ms`
  if (m.p99Ms > PROMISED.pingP99Ms) problems.push(`the p99 of a ping is ${ms(m.p99Ms)}`)
  if (m.maxMs > PROMISED.pingMaxMs) problems.push(`a ping took ${ms(m.maxMs)}`)
  if (m.peakMb - m.idleMb > PROMISED.extraMb) {
    problems.push(`it took ${m.peakMb.toFixed(0)} MB, idle ${m.idleMb.toFixed(0)}`)
  }
  if (m.afterMb - m.idleMb > PROMISED.leftMb) {
    problems.push(`it kept ${m.afterMb.toFixed(0)} MB, idle ${m.idleMb.toFixed(0)}`)
  }
  return problems
}

/** The least memory seen until it is near idle again, or the time is over. */
async function settled(mb: () => number, idle: number, msMax: number): Promise<number> {
  let least = mb()
  for (const until = performance.now() + msMax; performance.now() < until; ) {
    if (least - idle <= PROMISED.leftMb) break
    await sleep(MEMORY_EVERY_MS)
    least = Math.min(least, mb())
  }
  return least
}

/** Asks for the versions every 20 ms, and says how long each answer took; one that does not come counts until the end. */
async function ping(peer: Peer, during: Lasting): Promise<number[]> {
  const request = frame(18, 0, new Bytes(), false)
  const times: number[] = []
  while (!during.isOver && !peer.isClosed) {
    const sent = performance.now()
    const answers = peer.answers + 1
    peer.push(request)
    await Promise.race([peer.until(answers), during.over.then(() => sleep(1_000))])
    const took = performance.now() - sent
    times.push(took)
    if (peer.answers < answers) break
    await sleep(Math.max(0, PING_EVERY_MS - took))
  }
  return times
}

/** Where an answer to Produce 3 has the error of its first partition, for this topic's name. */
const ERROR_AT = 4 + 4 + 2 + HONEST.length + 4 + 4

/** Honest work: produces a record every 100 ms. @returns how many were acknowledged */
async function produceHonestly(peer: Peer, during: Lasting): Promise<number> {
  const request = produce(HONEST, [batchOf(Buffer.from('honest'))])
  let acknowledged = 0
  while (!during.isOver && !peer.isClosed) {
    const answers = peer.answers + 1
    peer.push(request)
    await Promise.race([peer.until(answers), during.over])
    if (peer.answers === answers && peer.lastAnswer.readInt16BE(ERROR_AT) === 0) acknowledged++
    await sleep(PRODUCE_EVERY_MS)
  }
  return acknowledged
}
