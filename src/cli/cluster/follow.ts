import { setTimeout as delay } from 'node:timers/promises'
import { describeLogDirsApi } from '../../protocol/messages/35-describe-log-dirs.ts'
import type { Cluster } from '../base/cluster.ts'
import { bytesText, plural } from '../base/output.ts'
import type { Patience } from '../base/patience.ts'
import { type Done, showProgress } from '../base/progress.ts'
import { Stop } from '../base/stop.ts'
import { duration } from '../base/time.ts'
import type { Held } from './plan.ts'
import { idOf, movingNow } from './reassignments.ts'

/** Between two looks at how far it is. */
const LOOK_MS = 1_000

/** Bytes of each partition on each of these brokers. */
export async function sizesOn(
  cluster: Cluster,
  brokers: Iterable<number>,
): Promise<ReadonlyMap<number, ReadonlyMap<string, number>>> {
  const sizes = new Map<number, ReadonlyMap<string, number>>()
  for (const id of new Set(brokers)) {
    const client = await cluster.broker(id)
    const { results } = await cluster.send(client, describeLogDirsApi, { topics: null })
    const topics = results.flatMap(dir => dir.topics)
    const entries = topics.flatMap(({ name: topic, partitions }) =>
      partitions.map(p => [idOf({ topic, partition: p.partitionIndex }), p.partitionSize] as const),
    )
    sizes.set(id, new Map(entries))
  }
  return sizes
}

export interface Followed extends Pick<Held, 'topic' | 'partition' | 'bytes'> {
  readonly adding: readonly number[]
}

/** How far it is: of so many replicas, of so many bytes. */
class Tally {
  readonly #all: readonly Followed[]
  replicas = 0
  bytes = 0

  constructor(all: readonly Followed[]) {
    this.#all = all
  }

  get replicasAll(): number {
    return this.#all.reduce((sum, { adding }) => sum + adding.length, 0)
  }

  get bytesAll(): number {
    return this.#all.reduce((sum, { adding, bytes }) => sum + adding.length * bytes, 0)
  }

  look(isMoving: ReadonlySet<string>, sizes: Awaited<ReturnType<typeof sizesOn>>): void {
    this.replicas = 0
    this.bytes = 0
    for (const one of this.#all) {
      const id = idOf(one)
      for (const broker of one.adding) {
        if (!isMoving.has(id)) this.replicas++
        const there = isMoving.has(id) ? (sizes.get(broker)?.get(id) ?? 0) : one.bytes
        this.bytes += Math.min(there, one.bytes)
      }
    }
  }

  get done(): Done {
    const share = this.bytesAll === 0 ? null : this.bytes / this.bytesAll
    return { records: this.replicas, bytes: this.bytes, share }
  }

  /** "3 of 12 replicas, 1.2 of 3.4 GB, 50 MB/s, 40s left" */
  line({ bytes, share }: Done, elapsedMs: number): string {
    const rate = elapsedMs === 0 ? 0 : Math.round((bytes * 1000) / elapsedMs)
    const parts = [
      `${this.replicas} of ${plural(this.replicasAll, 'replica')}`,
      `${bytesText(bytes)} of ${bytesText(this.bytesAll)}`,
      `${bytesText(rate)}/s`,
    ]
    if (share !== null && share > 0 && share < 1) {
      parts.push(`${duration((elapsedMs * (1 - share)) / share)} left`)
    }
    return parts.join(', ')
  }
}

/**
 * Waits until nothing of these is moved any more, and shows how far it is.
 * @returns whether it is; false: it was stopped by a signal, and the moves go on
 */
export async function follow(
  cluster: Cluster,
  patience: Patience,
  moves: readonly Followed[],
): Promise<boolean> {
  using stop = new Stop()
  const tally = new Tally(moves)
  using _ = showProgress(
    () => tally.done,
    true,
    (done, ms) => tally.line(done, ms),
  )
  const wanted = new Set(moves.map(idOf))
  for (;;) {
    const isMoving = await patience.through(async () => {
      const ids = new Set((await movingNow(cluster)).map(idOf).filter(id => wanted.has(id)))
      const targets = moves.filter(move => ids.has(idOf(move))).flatMap(({ adding }) => adding)
      tally.look(ids, await sizesOn(cluster, targets))
      return ids
    })
    patience.goesOn()
    if (isMoving.size === 0) return true
    if (stop.isSet) return false
    await delay(LOOK_MS)
  }
}
