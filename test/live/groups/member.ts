import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

/** A client that has not answered a call by then has hung. */
const CALL_MS_MAX = 30_000
const STDERR_CHARACTERS_MAX = 4_000

const running = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

export interface Delivered {
  readonly partition: number
  readonly offset: number
}

/** Offset and metadata by partition. */
export type Committed = Readonly<Record<string, readonly [offset: number, metadata: string]>>

export interface Described {
  readonly state: string
  readonly members: readonly { readonly instance: string; readonly partitions: number[] }[]
}

/** What a client program can be asked to do, by name: its arguments and its answer. */
export interface Calls {
  /** Becomes a member of the group. Assignments and records come as events from then on. */
  join: [{ group: string; topic: string; protocol: string; instance: string | null }, null]
  /** Closes the consumer. A member with an instance id must not send LeaveGroup. */
  leave: [Record<never, never>, null]
  commit: [{ offsets: Readonly<Record<number, number>>; metadata: string }, null]
  /** The member's own view of what is committed. */
  committed: [{ partitions: readonly number[] }, Committed]
  // The rest is done by an admin client.
  describe: [{ group: string }, Described]
  list: [Record<never, never>, string[]]
  offsets: [{ group: string; topic: string }, Committed]
  reset: [{ group: string; topic: string; offsets: Readonly<Record<number, number>> }, null]
  deleteOffsets: [{ group: string; topic: string; partitions: readonly number[] }, null]
  /** Removes the member with this instance id. */
  evict: [{ group: string; instance: string }, null]
  deleteGroup: [{ group: string }, null]
}

export type CallName = keyof Calls

type Line =
  | { readonly id: number; readonly result?: unknown; readonly error?: string }
  | { readonly assigned: number[]; readonly generation?: number }
  | { readonly record: [partition: number, offset: number] }

interface Waiting {
  resolve(result: unknown): void
  reject(error: Error): void
}

/**
 * One client program in a process of its own, holding at most one member of a group. It reads calls as lines of JSON,
 * {"id": 1, "call": "join", ...}, and writes lines of JSON: {"id": 1, "result": ...} or {"id": 1, "error": "text"}, and
 * at any time {"assigned": [0, 1], "generation": 3}, all that it owns from now on, and {"record": [partition, offset]}.
 */
export class Member {
  readonly name: string
  readonly #child: ChildProcess
  readonly #waiting = new Map<number, Waiting>()
  readonly #onRecord: (member: Member, record: Delivered) => void
  /** Partitions it owns, in order. */
  owned: readonly number[] = []
  /** The next offset of each partition it owns, once it has read from it. */
  readonly next = new Map<number, number>()
  /** How often it was told what it owns. */
  assignments = 0
  /** Where the library shows it. */
  generation: number | undefined
  #calls = 0
  #stderr = ''
  #ended: Error | undefined
  #isKilled = false

  constructor(
    name: string,
    command: readonly string[],
    onRecord: (member: Member, record: Delivered) => void,
  ) {
    this.name = name
    this.#onRecord = onRecord
    const [program, ...args] = command
    this.#child = spawn(program!, args, { stdio: 'pipe' })
    running.add(this.#child)
    createInterface({ input: this.#child.stdout! }).on('line', line => this.#onLine(line))
    this.#child.stderr!.on('data', (chunk: Buffer) => {
      this.#stderr = (this.#stderr + chunk.toString()).slice(-STDERR_CHARACTERS_MAX)
    })
    this.#child.once('error', error => this.#end(error.message))
    this.#child.once('exit', (code, signal) => this.#end(`ended with ${signal ?? `code ${code}`}`))
    // A program that ended says so by its exit, not by the pipe it no longer reads.
    this.#child.stdin!.on('error', () => {})
  }

  call<N extends CallName>(name: N, args: Calls[N][0]): Promise<Calls[N][1]> {
    const id = ++this.#calls
    return new Promise((resolve, reject) => {
      if (this.#ended !== undefined) return reject(this.#ended)
      const late = () => this.#fail(id, `no answer within ${CALL_MS_MAX} ms`)
      const timer = setTimeout(late, CALL_MS_MAX)
      this.#waiting.set(id, {
        resolve: result => {
          clearTimeout(timer)
          resolve(result as Calls[N][1])
        },
        reject: error => {
          clearTimeout(timer)
          reject(new Error(`${this.name}: ${name}: ${error.message}`))
        },
      })
      this.#child.stdin!.write(`${JSON.stringify({ id, call: name, ...args })}\n`)
    })
  }

  /** Joins as a member that knows nothing but what is committed. */
  async join(args: Calls['join'][0]): Promise<void> {
    await this.call('join', args)
  }

  /** Closes its consumer. */
  async leave(): Promise<void> {
    await this.call('leave', {})
    this.#own([])
  }

  /** kill -9: nothing is said to the broker. */
  async kill(): Promise<void> {
    this.#own([])
    this.#isKilled = true
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const gone = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await gone
  }

  /** Why the program has ended, unless it was killed here. */
  get failure(): Error | undefined {
    return this.#isKilled ? undefined : this.#ended
  }

  /** For messages. */
  toString(): string {
    const next = JSON.stringify([...this.next])
    return `${this.name} owns [${this.owned}], next ${next}\n${this.#stderr}`.trimEnd()
  }

  #onLine(text: string): void {
    const line = JSON.parse(text) as Line
    if ('assigned' in line) {
      this.#own(line.assigned.sort((a, b) => a - b))
      this.assignments += 1
      this.generation = line.generation
    } else if ('record' in line) {
      this.#read(...line.record)
    } else if (line.error !== undefined) {
      this.#fail(line.id, line.error)
    } else {
      this.#waiting.get(line.id)?.resolve(line.result)
      this.#waiting.delete(line.id)
    }
  }

  #own(partitions: readonly number[]): void {
    for (const lost of this.owned.filter(p => !partitions.includes(p))) this.next.delete(lost)
    this.owned = partitions
  }

  #read(partition: number, offset: number): void {
    // Some libraries hand out what they had already fetched of a partition that they have lost.
    if (!this.owned.includes(partition)) return
    this.#onRecord(this, { partition, offset })
    this.next.set(partition, offset + 1)
  }

  #fail(id: number, why: string): void {
    this.#waiting.get(id)?.reject(new Error(`${why}\n${this.#stderr}`))
    this.#waiting.delete(id)
  }

  #end(why: string): void {
    running.delete(this.#child)
    this.#ended = new Error(`${this.name} ${why}\n${this.#stderr}`)
    for (const id of this.#waiting.keys()) this.#fail(id, why)
  }
}
