import type { LeaderEffect } from '../replication/leader-effects.ts'
import { isRefusal, nextState, transactionOf } from '../replication/next-state.ts'
import type { Compare } from '../replication/types.ts'
import type { ImageFeed } from './feed.ts'
import type { HostedReplica } from './hosted-replica.ts'
import type { ClusterImage } from './image.ts'

type Propose = Extract<LeaderEffect<unknown>, { kind: 'propose' }>

/** Changes of the ISR that come within this time go in one transaction, in ms. */
const GATHER_MS = 10
/** Each brings two or three compares, of which etcd takes 128. */
const TOGETHER_MAX = 40

interface Waiting {
  readonly replica: HostedReplica
  readonly effect: Propose
}

/** What leaders on this broker propose, gathered. */
export class LeaderProposals {
  readonly #feed: ImageFeed
  #waiting: Waiting[] = []

  constructor(feed: ImageFeed) {
    this.#feed = feed
  }

  send(replica: HostedReplica, effect: Propose): void {
    this.#waiting.push({ replica, effect })
    if (this.#waiting.length === 1) setTimeout(() => this.#send(), GATHER_MS)
  }

  #send(): void {
    const all = this.#waiting
    this.#waiting = []
    for (let i = 0; i < all.length; i += TOGETHER_MAX) {
      void this.#transact(all.slice(i, i + TOGETHER_MAX))
    }
  }

  async #transact(some: readonly Waiting[]): Promise<void> {
    const compares = new Map<string, Compare>()
    for (const { effect } of some) {
      for (const compare of effect.compares) {
        compares.set('revision' in compare ? compare.key : `${compare.key} created`, compare)
      }
    }
    const changes = some.map(({ effect }) => effect.change)
    const outcome = await this.#feed.transact([...compares.values()], changes)
    for (const { replica, effect } of some) {
      replica.tell(({ leader }, now) => leader?.answered(effect.id, outcome, now))
    }
  }
}

/** This broker's log of the partition is not what it was: it is struck off, if others have it. What comes of it the record shows. */
export function proposeLost(feed: ImageFeed, image: ClusterImage, key: string, me: number): void {
  const record = image.partitionAt(key)
  if (record === null) return
  const next = nextState(record, { lost: [me], leader: 'elect' }, image.view(key))
  if (isRefusal(next)) return
  const { compares, change } = transactionOf(key, next)
  void feed.transact(compares, [change])
}
