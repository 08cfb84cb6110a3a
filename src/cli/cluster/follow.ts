import { setTimeout as delay } from 'node:timers/promises'
import type { Cluster } from '../base/cluster.ts'
import { topicsOn } from '../base/log-dirs.ts'
import { bytesText, plural } from '../base/output.ts'
import { Patience } from '../base/patience.ts'
import { type Done, note, showProgress } from '../base/progress.ts'
import { Stop } from '../base/stop.ts'
import { duration } from '../base/time.ts'
import { electFirst } from './elect.ts'
import type { Held } from './plan.ts'
import { idOf, movingNow } from './reassignments.ts'
import { unthrottle } from './throttling.ts'

/** Between two looks at how far it is. */
const LOOK_MS = 1_000

/** How long brokers may be away while it is waited for. */
const WAIT_MS = 120_000

/** By broker: bytes of each partition. */
type Sizes = ReadonlyMap<number, ReadonlyMap<string, number>>

async function sizesOn(cluster: Cluster, brokers: Iterable<number>): Promise<Sizes> {
  const sizes = new Map<number, ReadonlyMap<string, number>>()
  for (const id of new Set(brokers)) {
    const topics = await topicsOn(cluster, id)
    const entries = topics.flatMap(({ name: topic, partitions }) =>
      partitions.map(p => [idOf({ topic, partition: p.partitionIndex }), p.partitionSize] as const),
    )
    sizes.set(id, new Map(entries))
  }
  return sizes
}

/** Bytes of a partition, of one replica: of the one that has most. */
export async function sizer(
  cluster: Cluster,
  brokers: readonly { readonly nodeId: number }[],
): Promise<(id: string) => number> {
  const sizes = await sizesOn(
    cluster,
    brokers.map(({ nodeId }) => nodeId),
  )
  return id => Math.max(0, ...[...sizes.values()].map(on => on.get(id) ?? 0))
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

  look(isMoving: ReadonlySet<string>, sizes: Sizes): void {
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
async function follow(cluster: Cluster, moves: readonly Followed[]): Promise<boolean> {
  const patience = new Patience(cluster, WAIT_MS)
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

/**
 * Waits until these are moved, and does what is to be done then: nothing is held to a rate any more, and leaders follow.
 * @returns whether they are; false: the waiting was ended, and the moves go on
 */
export async function finish(
  cluster: Cluster,
  moves: readonly Followed[],
  isThrottled: boolean,
): Promise<boolean> {
  if (!(await follow(cluster, moves))) {
    note('the moves go on: odradek cluster moves --wait')
    return false
  }
  if (isThrottled) await unthrottle(cluster, moves)
  await electFirst(cluster, moves)
  return true
}
