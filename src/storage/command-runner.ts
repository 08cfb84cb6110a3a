import { ENTRY_HEADER_BYTES, ENTRY_PAYLOAD, ENTRY_TOKEN } from '../shared/entry.ts'
import type { Ring } from '../shared/ring.ts'
import type { CommandAnswer, CommandMessage, CommandName, Commands } from './commands.ts'

/**
 * A command that is run in steps: between two of them a group of appends may be committed. A step does one flush, or what
 * takes some microseconds; it leaves the store as an append may find it.
 */
export type Steps<R> = Generator<void, R>

/** How to run each command: at once, or in steps. */
export type CommandTable = {
  readonly [N in CommandName]: (
    request: Commands[N]['request'],
  ) => Commands[N]['response'] | Steps<Commands[N]['response']>
}

export interface CommandRunnerOptions {
  readonly requests: Ring
  readonly commands: CommandTable
  /** ms of a clock that only goes forward. */
  readonly monotonic: () => number
  /** A command failed that is about one partition, by its handle. */
  readonly onFailure: (handle: number, error: unknown) => void
  readonly onAnswer: (token: number, answer: CommandAnswer) => void
}

/** Steps are made between two groups of appends until this much time is over, in ms. */
const STEPS_MS = 2

/** A command under way. `steps` is null before its first one. */
interface Running {
  readonly token: number
  readonly message: CommandMessage
  steps: Steps<unknown> | null
}

/** Runs the commands of a worker, one after the other, in steps between its groups of appends. */
export class CommandRunner {
  readonly #o: CommandRunnerOptions
  readonly #waiting: Running[] = []

  constructor(options: CommandRunnerOptions) {
    this.#o = options
  }

  get isIdle(): boolean {
    return this.#waiting.length === 0
  }

  /** Takes the command at a place of the request ring, which may be given back afterwards. */
  take(at: number): void {
    const { words, bytes } = this.#o.requests
    const word = at >> 2
    const start = at + ENTRY_HEADER_BYTES
    const json = bytes.toString('utf8', start, start + words[word + ENTRY_PAYLOAD]!)
    const message = JSON.parse(json) as CommandMessage
    this.#waiting.push({ token: words[word + ENTRY_TOKEN]!, message, steps: null })
  }

  /** Goes on with the oldest command for a moment. */
  step(): void {
    const running = this.#waiting[0]
    if (running === undefined) return
    const { token, message } = running
    try {
      const response = this.#advance(running)
      if (response === undefined) return
      this.#o.onAnswer(token, { response })
    } catch (error) {
      const { request } = message
      if ('handle' in request) this.#o.onFailure(request.handle, error)
      const kind = error instanceof Error ? error.name : 'Error'
      const what = error instanceof Error ? error.message : String(error)
      this.#o.onAnswer(token, { error: what, kind })
    }
    this.#waiting.shift()
  }

  /** @returns undefined if there is more to do */
  #advance(running: Running): unknown {
    const { monotonic, commands } = this.#o
    const end = monotonic() + STEPS_MS
    if (running.steps === null) {
      const { name, request } = running.message
      const run = commands[name] as (request: unknown) => unknown
      const result = run(request)
      if (!isSteps(result)) return result
      running.steps = result
    }
    do {
      const { done, value } = running.steps.next()
      if (done === true) return value
    } while (monotonic() < end)
    return undefined
  }
}

function isSteps(result: unknown): result is Steps<unknown> {
  return typeof (result as Steps<unknown> | null)?.next === 'function'
}
