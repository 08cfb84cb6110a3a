import { BrokerError } from '../errors.ts'
import type { Change, Compare } from '../metadata/store.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import type { LeaderEffect } from '../replication/leader-effects.ts'
import { isRefusal, nextState, type Proposal, transactionOf } from '../replication/next-state.ts'
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

/** Others that were faster are given way to so often. */
const TRIES_MAX = 20

/**
 * Sends what `plan` makes of the image, again if others were faster. Null: nothing is to be changed.
 * @param what is changed, for the error
 * @throws BrokerError of the plan, or REQUEST_TIMED_OUT: then it is not known whether it is changed
 */
export async function carryOut(
  feed: Pick<ImageFeed, 'transact'>,
  what: string,
  plan: () => { readonly compares: readonly Compare[]; readonly changes: readonly Change[] } | null,
): Promise<void> {
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const planned = plan()
    if (planned === null) return
    const { outcome } = await feed.transact(planned.compares, planned.changes)
    if (outcome === 'applied') return
    if (outcome === 'unknown') throw unknownOutcome()
  }
  const message = `${what} was changed by others ${TRIES_MAX} times meanwhile: try again.`
  throw new BrokerError(ErrorCode.REQUEST_TIMED_OUT, message)
}

/** Changes a partition's record as somebody asks for it. @throws BrokerError why it cannot be so, and as `carryOut` */
export function propose(
  feed: ImageFeed,
  image: ClusterImage,
  key: string,
  proposal: Proposal,
): Promise<void> {
  return carryOut(feed, 'The partition', () => {
    const record = image.partitionAt(key)
    if (record === null) {
      const message = 'There is no such partition.'
      throw new BrokerError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, message)
    }
    const next = nextState(record, proposal, image.view(key))
    if (isRefusal(next)) {
      if (next.error === ErrorCode.NONE) return null
      throw new BrokerError(next.error as ErrorCode, next.reason)
    }
    const { compares, change } = transactionOf(key, next)
    return { compares, changes: [change] }
  })
}

export const unknownOutcome = () =>
  new BrokerError(
    ErrorCode.REQUEST_TIMED_OUT,
    'The metadata has not answered: it is not known whether anything was changed.',
  )

/** @throws BrokerError INVALID_REPLICA_ASSIGNMENT */
export function checkReplicas(replicas: readonly number[], image: ClusterImage): void {
  const refuse = (message: string): never => {
    throw new BrokerError(ErrorCode.INVALID_REPLICA_ASSIGNMENT, message)
  }
  if (replicas.length === 0) refuse('A partition is assigned to no broker.')
  const unknown = replicas.find(id => !image.hasNode(id))
  if (unknown !== undefined) {
    refuse(`A partition is assigned to broker ${unknown}, which is not in the cluster.`)
  }
  if (new Set(replicas).size < replicas.length) {
    refuse(`A partition is assigned to a broker more than once: ${replicas.join(', ')}.`)
  }
}
