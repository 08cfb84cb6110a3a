import { isCompacted } from '../configs/topic.ts'
import { groupBy } from '../group-by.ts'
import type { Cleanable } from '../storage/compaction/cleanable.ts'
import { errorOf } from '../storage/failure.ts'
import type { Partition } from './partition.ts'
import type { RegistryOptions, Topic } from './registry.ts'
import type { Replicas } from './replicas.ts'
import { isInternalTopic } from './topic-names.ts'
import type { WorkerLink } from './worker-link.ts'

/** Partitions that one command is about: it bounds the message and how long a worker is busy with it. */
export const COMMAND_PARTITIONS = 500

/** A log that could be compacted. */
export type Candidate = Cleanable & { readonly partition: Partition }

export interface RoundsOptions {
  readonly topics: () => Iterable<Topic>
  readonly replicas: Pick<Replicas, 'get' | 'exclusive'>
  readonly log: RegistryOptions['log']
}

/** What timers do with all partitions. What goes wrong for some keeps it from none of the others. */
export class Rounds {
  readonly #o: RoundsOptions

  constructor(options: RoundsOptions) {
    this.#o = options
  }

  async applyRetention(): Promise<void> {
    const { replicas, log } = this.#o
    const all = [...this.#o.topics()].flatMap(t => t.partitions)
    await this.#eachSome(all, 'retention failed', async (worker, handles) => {
      const retain = () => worker.command('retention', { handles })
      const { views } = await replicas.exclusive.run(handles, retain)
      for (const view of views) {
        const partition = replicas.get(view.handle)
        if (partition === undefined) continue
        const { logStartOffset } = view
        log.info({ partition: partition.name, logStartOffset }, 'retention applied')
      }
    })
  }

  /**
   * What could be compacted now, of all topics that are to be; whoever keeps its state in an internal topic keeps that short.
   * @param onFailed told of what nobody expected about one of them
   */
  async cleanable(onFailed: (partition: Partition, error: unknown) => void): Promise<Candidate[]> {
    const found: Candidate[] = []
    const compacted = [...this.#o.topics()]
      .filter(({ config, name }) => isCompacted(config) && !isInternalTopic(name))
      .flatMap(({ partitions }) => partitions.filter(({ offline }) => offline === null))
    const message = 'what could be compacted is not known'
    await this.#eachSome(compacted, message, async (worker, handles) => {
      const { logs, failed } = await worker.command('cleanable', { handles })
      for (const { handle, ...cleanable } of logs) {
        const partition = this.#o.replicas.get(handle)
        if (partition !== undefined) found.push({ ...cleanable, partition })
      }
      for (const failure of failed) {
        const partition = this.#o.replicas.get(failure.handle)
        if (partition !== undefined) onFailed(partition, errorOf(failure))
      }
    })
    return found
  }

  /** Some partitions at a time, each worker's by itself: what fails is told, and the others go on. */
  async #eachSome(
    partitions: readonly Partition[],
    message: string,
    run: (worker: WorkerLink, handles: number[]) => Promise<void>,
  ): Promise<void> {
    for (let i = 0; i < partitions.length; i += COMMAND_PARTITIONS) {
      await eachWorker(partitions.slice(i, i + COMMAND_PARTITIONS), (worker, handles) =>
        run(worker, handles).catch(err => {
          if (!worker.isLost) this.#o.log.error({ err }, message)
        }),
      )
    }
  }
}

/** What is to be done with some partitions, by the workers that there are. */
export async function eachWorker(
  partitions: readonly Partition[],
  run: (worker: WorkerLink, handles: number[]) => Promise<unknown>,
): Promise<void> {
  const here = partitions.filter(({ worker }) => !worker.isLost)
  const byWorker = groupBy(here, ({ worker }) => worker)
  const runs = [...byWorker].map(([worker, own]) =>
    run(
      worker,
      own.map(({ handle }) => handle),
    ),
  )
  await Promise.all(runs)
}
