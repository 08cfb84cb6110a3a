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
  resolve(answer: Answer): void
  reject(error: Error): void
}

/**
 * Processes of one client library, each with a producer and a consumer of its own, as threads of a program: it takes
 * what one is asked as a line of JSON, with the number of the process, and answers with one. See Workers.java.
 */
export class Workers {
  readonly #child: ChildProcess
  readonly #waiting = new Map<number, Waiting>()
  #stderr = ''

  constructor(name: ClientName) {
    const [program, ...args] = COMMANDS[name]()
    this.#child = spawn(program!, args, { stdio: 'pipe' })
    endAtExit(this.#child)
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
    this.#waiting.delete(process)
  }

  /** One thing at a time. Without an answer for long, what came of it is not known, and the process is of no use any more. */
  ask(process: number, asked: Asked): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(process)
        resolve({ error: NO_ANSWER, text: `in ${ANSWER_MS_MAX} ms`, rebalanced: [] })
      }, ANSWER_MS_MAX)
      const waiting: Waiting = {
        resolve: answer => {
          clearTimeout(timer)
          resolve(answer)
        },
        reject: error => {
          clearTimeout(timer)
          reject(error)
        },
      }
      this.#waiting.set(process, waiting)
      this.#child.stdin!.write(`${JSON.stringify({ process, ...asked })}\n`)
    })
  }

  /** Without waiting for it: some clients take their time. */
  close(process: number): void {
    this.#child.stdin!.write(`${JSON.stringify({ process, f: 'close' })}\n`)
  }

  end(): void {
    this.#child.kill('SIGKILL')
  }
}
