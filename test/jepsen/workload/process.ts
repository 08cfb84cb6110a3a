import { outcomeOf } from '../clients/outcome.ts'
import type { Answer, Asked, Workers } from '../clients/workers.ts'
import type { Completed, Micro, Read } from '../history.ts'
import { type Keys, keyOf, placeOf } from './keys.ts'
import type { Recorder } from './recorder.ts'

export interface Shared {
  readonly keys: Keys
  readonly recorder: Recorder
  readonly group: string
  /** Errors that clients told, and how often. */
  readonly errors: Map<string, number>
  newProcess(): number
}

/** One process of the history: a client from its beginning to its end. */
export class Process {
  readonly #shared: Shared
  readonly #workers: Workers
  readonly #number: number
  readonly #choice: 'assign' | 'subscribe'

  private constructor(shared: Shared, workers: Workers, choice: 'assign' | 'subscribe') {
    this.#shared = shared
    this.#workers = workers
    this.#number = shared.newProcess()
    this.#choice = choice
  }

  static async open(
    shared: Shared,
    workers: Workers,
    bootstrap: string,
    choice: 'assign' | 'subscribe',
  ): Promise<Process> {
    const process = new Process(shared, workers, choice)
    await process.#ask({ f: 'open', bootstrap, group: shared.group })
    return process
  }

  async #ask(asked: Asked): Promise<Answer> {
    const answer = await this.#workers.ask(this.#number, asked)
    const { error } = answer
    if (error !== undefined) {
      const name = `${asked.f}: ${error}`
      this.#shared.errors.set(name, (this.#shared.errors.get(name) ?? 0) + 1)
    }
    return answer
  }

  /** @returns what became of it: after `info` the process has to end */
  async #do(
    asked: Asked,
    event: Readonly<Record<string, unknown>>,
    completed: (answer: Answer) => object = () => ({}),
  ): Promise<Completed> {
    const { recorder } = this.#shared
    const op = { process: this.#number, ...event }
    recorder.note({ ...op, type: 'invoke' })
    const answer = await this.#ask(asked)
    const type = outcomeOf(answer)
    const { error, text, rebalanced } = answer
    recorder.note({
      ...op,
      type,
      ...completed(answer),
      ...(error !== undefined && { error: `${error}: ${text}` }),
      ...(rebalanced.length > 0 && { rebalanced: rebalanced.map(at => keyOf(...at)) }),
    })
    return type
  }

  choose(keys: readonly number[], seekToBeginning = false): Promise<Completed> {
    const f = this.#choice
    const partitions = keys.map(placeOf)
    const from = seekToBeginning ? { seekToBeginning } : {}
    return this.#do({ f, partitions, ...from }, { f, value: this.#covered(keys), ...from })
  }

  /** Who subscribes has the topics of the keys, with all that is in them. */
  #covered(keys: readonly number[]): number[] {
    if (this.#choice === 'assign') return [...keys]
    const topics = new Set(keys.map(key => placeOf(key)[0]))
    return [...topics].flatMap(topic => [keyOf(topic, 0), keyOf(topic, 1)])
  }

  send(key: number, value: number): Promise<Completed> {
    const [topic, partition] = placeOf(key)
    const microOf = (offset: number | null): Micro => ['send', key, [offset, value]]
    return this.#do(
      { f: 'send', topic, partition, value },
      { f: 'send', value: [microOf(null)] },
      ({ offset = null }) => {
        if (offset !== null) this.#shared.keys.acknowledged(key, offset)
        return { value: [microOf(offset)] }
      },
    )
  }

  /** @param onRead is told of each offset */
  poll(onRead?: (key: number, offset: number) => void): Promise<Completed> {
    return this.#do({ f: 'poll' }, { f: 'poll', value: [['poll', {}]] }, ({ reads = [] }) => {
      const found: Record<string, Read[]> = {}
      for (const [topic, partition, offset, value] of reads) {
        const key = keyOf(topic, partition)
        found[key] ??= []
        found[key].push([offset, value])
        this.#shared.keys.polled(key, offset)
        onRead?.(key, offset)
      }
      return { value: [['poll', found]] }
    })
  }

  /** Its client is gone, whatever it was at. */
  crash(): void {
    const op = { process: this.#number, f: 'crash', value: null }
    this.#shared.recorder.note({ ...op, type: 'invoke' })
    this.#shared.recorder.note({ ...op, type: 'info' })
    this.close()
  }

  close(): void {
    this.#workers.close(this.#number)
  }
}
