import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { endAtExit } from '../../lib/child.ts'
import { javaCommand, tool } from '../../live/tools.ts'

/** Longer than a client takes for what has a time limit. librdkafka's commits have none while there is no coordinator. */
const ANSWER_MS_MAX = 30_000
/** For some processes: the collector and compiler that cost least. */
const JVM = ['-Xmx512m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-Xshare:auto']

const NO_ANSWER = 'no answer'

export const CLIENTS = ['java', 'librdkafka'] as const
export type ClientName = (typeof CLIENTS)[number]

const COMMANDS: Readonly<Record<ClientName, () => string[]>> = {
  java: () => javaCommand('Workers', JVM),
  librdkafka: () => [tool('python/bin/python'), join(import.meta.dirname, 'workers.py')],
}

/** A topic and one of its partitions. */
export type Place = readonly [string, number]

/** What a process is asked; `open` comes first. */
export type Asked =
  | { readonly f: 'open'; readonly bootstrap: string; readonly group: string }
  | {
      readonly f: 'assign' | 'subscribe'
      readonly partitions: readonly Place[]
      readonly seekToBeginning?: boolean
    }
  | {
      readonly f: 'send'
      readonly topic: string
      readonly partition: number
      readonly value: number
    }
  | { readonly f: 'poll' }

export interface Answer {
  /** The client's own name of what went wrong, and what it says of it. */
  readonly error?: string
  readonly text?: string
  /** It failed before anything was sent. */
  readonly nothingSent?: boolean
  readonly offset?: number
  /** Topic, partition, offset, value. */
  readonly reads?: readonly (readonly [string, number, number, number])[]
  /** Partitions that the group has taken or given since the last answer. */
  readonly rebalanced: readonly Place[]
}

interface Waiting {
  readonly resolve: (answer: Answer) => void
  readonly reject: (error: Error) => void
}

/**
 * A program of one client library whose threads are processes, each with a producer and a consumer of its own: it takes
 * what one is asked as a line of JSON, with the number of the process, and answers with one. See Workers.java.
 */
class Program {
  readonly #child: ChildProcess
  readonly #waiting = new Map<number, Waiting>()
  #stderr = ''
  #isEnded = false

  constructor(name: ClientName) {
    const [file, ...args] = COMMANDS[name]()
    this.#child = spawn(file!, args, { stdio: 'pipe' })
    endAtExit(this.#child)
    // What became of it is told when it closes.
    this.#child.stdin!.on('error', () => undefined)
    createInterface({ input: this.#child.stdout! }).on('line', line => this.#take(line))
    this.#child.stderr!.on('data', (chunk: Buffer) => {
      this.#stderr = (this.#stderr + chunk.toString()).slice(-4_000)
    })
    this.#child.once('close', () => {
      for (const { reject } of this.#waiting.values()) {
        reject(new Error(`${name} has ended: ${this.#stderr}`))
      }
    })
  }

  #take(line: string): void {
    const { process, ...answer } = JSON.parse(line) as Answer & { readonly process: number }
    this.#waiting.get(process)?.resolve(answer)
  }

  async ask(process: number, asked: Asked): Promise<Answer> {
    if (this.#isEnded) return noAnswer('its program was stuck')
    let timer: NodeJS.Timeout | undefined
    try {
      return await new Promise<Answer>((resolve, reject) => {
        timer = setTimeout(() => resolve(noAnswer(`in ${ANSWER_MS_MAX} ms`)), ANSWER_MS_MAX)
        this.#waiting.set(process, { resolve, reject })
        this.#send({ process, ...asked })
      })
    } finally {
      clearTimeout(timer)
      this.#waiting.delete(process)
    }
  }

  close(process: number): void {
    if (!this.#isEnded) this.#send({ process, f: 'close' })
  }

  #send(line: { readonly process: number; readonly f: string }): void {
    this.#child.stdin!.write(`${JSON.stringify(line)}\n`)
  }

  /** Nobody learns what came of what is under way. */
  end(): void {
    this.#isEnded = true
    for (const { resolve } of this.#waiting.values()) resolve(noAnswer('its program was stuck'))
    this.#child.kill('SIGKILL')
  }
}

const noAnswer = (text: string): Answer => ({ error: NO_ANSWER, text, rebalanced: [] })

/** Processes of one client library. */
export class Workers {
  readonly #name: ClientName
  readonly #programs = new Map<number, Program>()
  #program: Program

  constructor(name: ClientName) {
    this.#name = name
    this.#program = new Program(name)
  }

  /** One thing at a time. Without an answer for long, what came of it is not known, and the process is of no use any more. */
  async ask(process: number, asked: Asked): Promise<Answer> {
    if (asked.f === 'open') this.#programs.set(process, this.#program)
    const program = this.#programs.get(process)!
    const answer = await program.ask(process, asked)
    if (asked.f === 'open' && answer.error === NO_ANSWER) this.#replace(program)
    return answer
  }

  /**
   * To open asks nothing of a broker: a program that does not is stuck, with all of its processes (closing a consumer
   * of librdkafka can take Python's lock with it). It is ended, as somebody would do by hand.
   */
  #replace(stuck: Program): void {
    if (stuck !== this.#program) return
    stuck.end()
    this.#program = new Program(this.#name)
  }

  /** Without waiting for it: some clients take their time. */
  close(process: number): void {
    this.#programs.get(process)?.close(process)
    this.#programs.delete(process)
  }

  end(): void {
    this.#program.end()
  }
}
