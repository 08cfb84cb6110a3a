import { type ChildProcess, spawn } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { javaCommand, tool } from '../../live/tools.ts'

/** Without a record for so long a client has hung: longer than any waits for an answer. */
const WAIT_MS = 180_000
/** A consumer that has got nothing for so long is at the end. KafkaJS looks for its new coordinator after 40 s. */
const QUIET_MS_MAX = 60_000
/** Clients wait for what is on its way as long as they think right. */
const STOP_MS_MAX = 180_000

export const CLIENTS = ['java', 'librdkafka', 'franz-go', 'kafkajs'] as const
export type ClientName = (typeof CLIENTS)[number]

const HERE = import.meta.dirname
const COMMANDS: Readonly<Record<ClientName, () => string[]>> = {
  java: () => javaCommand('Ledger'),
  librdkafka: () => [tool('python/bin/python'), join(HERE, 'librdkafka.py')],
  'franz-go': () => [tool('franz-go'), 'ledger'],
  kafkajs: () => [process.execPath, '--import', 'tsx', join(HERE, 'kafkajs.ts')],
}

const running = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/** A record that was acknowledged, or read. */
export interface Entry {
  readonly value: string
  readonly partition: number
  readonly offset: number
  /** When, in ms of the program's own clock. */
  readonly at: number
  /** How long its acknowledgement took; 0 of what is read. */
  readonly latency: number
}

/**
 * A producer or a group consumer of one client library, in a process of its own, until its standard input ends:
 *
 *   produce BOOTSTRAP REQUEST_MS TOPIC PARTITIONS RATE   so many records a second, to the partitions in turn: NAME-0, NAME-1, ...
 *   consume BOOTSTRAP REQUEST_MS TOPIC GROUP             from the beginning
 *
 * REQUEST_MS is how long it waits for an answer; 0: as long as it does by default. It prints `VALUE PARTITION OFFSET AT LATENCY` for each record, and `error TEXT` for what its application had to deal with.
 */
export class Program {
  readonly name: ClientName
  readonly entries: Entry[] = []
  readonly errors: string[] = []
  /** Behind the last record of each partition. */
  readonly ends: number[] = []
  readonly #child: ChildProcess
  /** For messages. */
  readonly #what: string
  readonly #news = new EventEmitter()
  #stderr = ''

  constructor(name: ClientName, args: readonly string[]) {
    this.name = name
    this.#what = `${name} ${args[0]}`
    const [program, ...before] = COMMANDS[name]()
    this.#child = spawn(program!, [...before, ...args], { stdio: 'pipe' })
    running.add(this.#child)
    createInterface({ input: this.#child.stdout! }).on('line', line => this.#take(line))
    this.#child.stderr!.on('data', (chunk: Buffer) => {
      this.#stderr = (this.#stderr + chunk.toString()).slice(-4_000)
    })
    this.#child.once('close', () => {
      running.delete(this.#child)
      this.#news.emit('news')
    })
  }

  #take(line: string): void {
    if (line.startsWith('error ')) this.errors.push(line.slice('error '.length))
    else {
      const [value, partition, offset, at, latency] = line.split(' ')
      const numbers = { partition: Number(partition), offset: Number(offset), at: Number(at) }
      const entry = { value: value!, ...numbers, latency: Number(latency) }
      this.entries.push(entry)
      const end = this.ends[entry.partition] ?? 0
      this.ends[entry.partition] = Math.max(end, entry.offset + 1)
      this.#news.emit('news')
    }
  }

  /** Resolves when it holds (true), or when the program has ended or brings nothing any more (false). */
  async #until(holds: () => boolean, quietMsMax: number): Promise<boolean> {
    let isQuiet = false
    const timer = setTimeout(() => {
      isQuiet = true
      this.#news.emit('news')
    }, quietMsMax)
    while (!holds() && !isQuiet && running.has(this.#child)) {
      await once(this.#news, 'news')
      timer.refresh()
    }
    clearTimeout(timer)
    return holds()
  }

  /** Resolves when so many more are acknowledged or read. */
  async more(count: number): Promise<void> {
    const wanted = this.entries.length + count
    if (await this.#until(() => this.entries.length >= wanted, WAIT_MS)) return
    const missing = wanted - this.entries.length
    throw new Error(
      `${this.#what} waits for ${missing} records; ${this.errors.at(-1)} ${this.#stderr}`,
    )
  }

  /** Resolves when everything before these offsets is read, or nothing comes any more. */
  async readTo(ends: readonly number[]): Promise<void> {
    await this.#until(() => ends.every((end, i) => (this.ends[i] ?? 0) >= end), QUIET_MS_MAX)
  }

  /** The longest time without a record since there were so many. */
  gapSince(count: number): number {
    let longest = 0
    for (let i = Math.max(count, 1); i < this.entries.length; i++) {
      longest = Math.max(longest, this.entries[i]!.at - this.entries[i - 1]!.at)
    }
    return longest
  }

  /** Resolves when what was on its way is done with, and the program has ended. */
  async stop(): Promise<void> {
    this.#child.stdin!.end()
    const timer = setTimeout(() => this.kill(), STOP_MS_MAX)
    if (running.has(this.#child)) await once(this.#child, 'close')
    clearTimeout(timer)
    const { exitCode, signalCode } = this.#child
    if (exitCode === 0) return
    throw new Error(`${this.#what} ended with ${exitCode ?? signalCode}: ${this.#stderr}`)
  }

  /** At once. */
  kill(): void {
    this.#child.kill('SIGKILL')
  }
}
