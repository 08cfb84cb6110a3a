import type { Json } from '../metadata/store.ts'
import { unfencedKey } from '../replication/next-state.ts'
import type { Change, Compare, Entry, LeaseId, Outbox, Outcome } from '../replication/types.ts'
import {
  brokerKey,
  type NodeRecord,
  nodeKey,
  type Registration,
  type StartKind,
} from './registration.ts'

/** Between two tries while the store does not answer, or another broker has the id. */
const RETRY_MS = 500
/** Clocks of store and broker may run apart by 1 %; and so much before the end the lease counts as over. */
const DRIFT = 0.99
const MARGIN_MS = 500
/** A keep-alive is sent each third of the lease's time. */
export const keepAliveEveryMs = (ttlMs: number): number => ttlMs / 3
/** So long after a keep-alive was sent that was answered, the lease is certainly held. */
export const heldMs = (ttlMs: number): number => ttlMs * DRIFT - MARGIN_MS

export type SessionEffect =
  /** Ask for a lease: `granted(id)`. */
  | { readonly kind: 'grant'; readonly id: number; readonly ttlMs: number }
  /** Send it, once: `answered(id)`, after the image has learnt what it says. */
  | {
      readonly kind: 'register'
      readonly id: number
      readonly compares: readonly Compare[]
      readonly changes: readonly Change[]
    }
  /** `kept(id)` with what the store says. */
  | { readonly kind: 'keepAlive'; readonly id: number; readonly lease: LeaseId }
  /** No answer is waited for. */
  | { readonly kind: 'revoke'; readonly lease: LeaseId }
  /** Tell all leaders and coordinators. */
  | { readonly kind: 'uncertain'; readonly isUncertain: boolean }
  /** This is the broker epoch for fetches now. */
  | { readonly kind: 'registered'; readonly epoch: number }
  /** For the log, once for each reason: somebody else has this id. */
  | { readonly kind: 'blocked'; readonly reason: string }

export interface SessionOptions {
  readonly id: number
  /** broker.session.timeout.ms */
  readonly ttlMs: number
  readonly incarnation: string
  readonly dir: string
  readonly start: Exclude<StartKind, 'live'>
  /** This folder takes the place of the one that had the id. */
  readonly replacesNode: boolean
  /** Listeners, rack, features, secret. */
  readonly facts: { readonly [name: string]: Json }
  readonly out: Outbox<SessionEffect>
}

/** What a broker may change of its registration while it runs. */
export interface Standing {
  readonly failed: readonly string[]
  readonly draining: boolean
  /** Its disk has had no room for a while. */
  readonly full: boolean
}

/**
 * A broker's registration and the lease under it. Losing a lease is not losing leadership: that only a changed record is.
 * Until it is registered anew the broker is `uncertain`. Pure; all times are monotonic ms.
 */
export class Session {
  readonly #o: SessionOptions
  #lease: LeaseId | null = null
  /** Of the registration; 0: not registered. */
  #epoch = 0
  #revision = 0
  #told = 0
  #wasUnfenced = false
  #standing: Standing = { failed: [], draining: false, full: false }
  #isChanged = false
  #ids = 0
  /** Of grant and register: one at a time. */
  #asked: { readonly id: number; readonly sentAt: number } | null = null
  #keepAlive: { readonly id: number; readonly sentAt: number } | null = null
  #heldUntil = Number.NEGATIVE_INFINITY
  #againAt = Number.NEGATIVE_INFINITY
  #keepAgainAt = Number.NEGATIVE_INFINITY
  #isUncertain = true
  #isStopped = false
  /** What a refused registration has shown of the keys in its way. */
  #node: Entry | null = null
  #other: Entry | null = null
  #reason = ''

  constructor(options: SessionOptions) {
    this.#o = options
  }

  get epoch(): number {
    return this.#epoch
  }

  get lease(): LeaseId | null {
    return this.#epoch === 0 ? null : this.#lease
  }

  /**
   * Whether it is certain that nobody has seen this broker's lease end, and that the image shows what was done when an
   * earlier one had ended.
   */
  isHeld(now: number): boolean {
    return this.#epoch !== 0 && this.#told >= this.#epoch && now <= this.#heldUntil
  }

  /** The image has everything up to this revision. */
  told(revision: number, now: number): void {
    this.#told = revision
    this.#tell(now)
  }

  /** Publishes failed partitions, that this broker wants to go, or that it has no room. */
  change(standing: Partial<Standing>, now: number): void {
    this.#standing = { ...this.#standing, ...standing }
    this.#isChanged = true
    this.#act(now)
  }

  granted(id: number, lease: LeaseId | null, now: number): void {
    const sentAt = this.#answer(id)
    if (sentAt === null) return
    if (lease === null) this.#againAt = now + RETRY_MS
    else {
      this.#lease = lease
      this.#heldUntil = sentAt + heldMs(this.#o.ttlMs)
      this.#keepAgainAt = now + keepAliveEveryMs(this.#o.ttlMs)
    }
    this.#act(now)
  }

  answered(id: number, outcome: Outcome, now: number): void {
    if (this.#answer(id) === null) return
    if (outcome.outcome === 'refused') {
      const entry = (key: string) => outcome.now.find(e => e.key === key) ?? null
      this.#node = entry(nodeKey(this.#o.id)) ?? this.#node
      this.#other = entry(brokerKey(this.#o.id))
    } else if (outcome.outcome === 'unknown') this.#againAt = now + RETRY_MS
    else this.#other = null
    if (outcome.outcome !== 'applied' && this.#epoch !== 0) this.#isChanged = true
    this.#act(now)
  }

  /** What the image shows under this broker's id; null: nothing. */
  seen(registration: Registration | null, now: number): void {
    const { epoch, incarnation } = registration ?? { epoch: 0, incarnation: '' }
    if (epoch !== 0 && incarnation === this.#o.incarnation) {
      this.#revision = registration!.revision
      if (epoch !== this.#epoch) this.#registered(epoch, now)
    } else if (this.#epoch !== 0 && epoch !== this.#epoch) this.#lost(now)
    this.#act(now)
  }

  /** The controller has unfenced this registration. */
  unfenced(): void {
    this.#wasUnfenced = true
  }

  /** @param ttlMs what is left; 0: the lease is gone; null: no answer */
  kept(id: number, ttlMs: number | null, now: number): void {
    const asked = this.#keepAlive
    if (asked === null || asked.id !== id) return
    this.#keepAlive = null
    if (ttlMs === null) this.#keepAgainAt = now + RETRY_MS
    else if (ttlMs === 0) this.#lost(now)
    else {
      this.#heldUntil = asked.sentAt + heldMs(ttlMs)
      this.#keepAgainAt = asked.sentAt + keepAliveEveryMs(this.#o.ttlMs)
    }
    this.#act(now)
  }

  /** Wall clock and monotonic clock have parted: this process, or the machine, may have stood still for longer than it seems. */
  clockJumped(now: number): void {
    this.#heldUntil = Number.NEGATIVE_INFINITY
    // What was sent before the jump was sent nobody knows how long ago.
    this.#keepAlive = null
    this.#keepAgainAt = now
    if (this.#asked !== null) this.#asked = { ...this.#asked, sentAt: Number.NEGATIVE_INFINITY }
    this.#act(now)
  }

  /** To be called at least every 200 ms. */
  tick(now: number): void {
    this.#act(now)
  }

  /** The broker has stopped: nobody needs to wait for the lease's end. */
  stop(): void {
    this.#isStopped = true
    if (this.#lease !== null) this.#o.out.push({ kind: 'revoke', lease: this.#lease })
  }

  /** @returns when what is answered was sent; null if it is not what is waited for */
  #answer(id: number): number | null {
    if (this.#asked === null || this.#asked.id !== id) return null
    const { sentAt } = this.#asked
    this.#asked = null
    return sentAt
  }

  #registered(epoch: number, now: number): void {
    this.#epoch = epoch
    this.#isChanged = true
    this.#o.out.push({ kind: 'registered', epoch })
    this.#act(now)
  }

  #lost(now: number): void {
    if (this.#lease !== null) this.#o.out.push({ kind: 'revoke', lease: this.#lease })
    this.#lease = null
    this.#epoch = 0
    this.#asked = null
    this.#keepAlive = null
    this.#heldUntil = Number.NEGATIVE_INFINITY
    this.#tell(now)
  }

  #act(now: number): void {
    if (this.#isStopped) return
    this.#tell(now)
    if (this.#asked === null && now >= this.#againAt) {
      const id = ++this.#ids
      if (this.#lease === null) {
        this.#asked = { id, sentAt: now }
        this.#o.out.push({ kind: 'grant', id, ttlMs: this.#o.ttlMs })
      } else if (this.#epoch === 0) this.#register(id, now)
      else if (this.#isChanged) this.#update(id, now)
    }
    if (this.#lease === null || this.#keepAlive !== null || now < this.#keepAgainAt) return
    this.#keepAlive = { id: ++this.#ids, sentAt: now }
    this.#o.out.push({ kind: 'keepAlive', id: this.#keepAlive.id, lease: this.#lease })
  }

  #tell(now: number): void {
    const isUncertain = !this.isHeld(now)
    if (isUncertain === this.#isUncertain) return
    this.#isUncertain = isUncertain
    this.#o.out.push({ kind: 'uncertain', isUncertain })
  }

  #register(id: number, now: number): void {
    const { id: me, dir, replacesNode } = this.#o
    const node = this.#node?.value as unknown as NodeRecord | undefined
    const other = this.#other?.value as { readonly [name: string]: unknown } | undefined
    const isOurs = node?.dir === dir
    if (node !== undefined && !isOurs && !replacesNode) {
      this.#wait(`broker id ${me} belongs to data folder ${node.dir}`, now)
    } else if (other !== undefined && other.dir !== dir) {
      this.#wait(`broker id ${me} is in use by data folder ${other.dir}`, now)
    } else if (other !== undefined) {
      // An earlier life of this folder, which is locked: dead. Deleted first, so that the new key has a revision of its own.
      const compares = [{ key: brokerKey(me), created: this.#other!.created }]
      const gone = [brokerKey(me), unfencedKey(me)].map(key => ({ key, value: null }))
      this.#send(id, compares, gone, now)
    } else {
      const compares = [
        { key: brokerKey(me), created: 0 },
        { key: nodeKey(me), revision: this.#node?.revision ?? 0 },
      ]
      const changes: Change[] = [this.#ownKey()]
      if (!isOurs) changes.push({ key: nodeKey(me), value: { dir, state: 'new' } })
      this.#send(id, compares, changes, now)
    }
  }

  #update(id: number, now: number): void {
    this.#isChanged = false
    const key = brokerKey(this.#o.id)
    // By revision: an earlier change whose answer was lost must not be applied after this one.
    this.#send(id, [{ key, revision: this.#revision }], [this.#ownKey()], now)
  }

  #ownKey(): Change {
    const { incarnation, dir, facts, id } = this.#o
    const { failed, draining, full } = this.#standing
    const value: Json = {
      ...facts,
      incarnation,
      dir,
      lease: this.#lease!,
      start: this.#wasUnfenced ? 'live' : this.#o.start,
      ...(failed.length > 0 && { failed }),
      ...(draining && { draining }),
      ...(full && { full }),
    }
    return { key: brokerKey(id), value, lease: this.#lease! }
  }

  #send(id: number, compares: Compare[], changes: Change[], now: number): void {
    this.#asked = { id, sentAt: now }
    this.#o.out.push({ kind: 'register', id, compares, changes })
  }

  #wait(reason: string, now: number): void {
    this.#againAt = now + RETRY_MS
    this.#other = null
    this.#node = null
    if (reason !== this.#reason) this.#o.out.push({ kind: 'blocked', reason })
    this.#reason = reason
  }
}
