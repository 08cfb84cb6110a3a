import type { ClusterImage, ImageTopic, PartitionRef } from '../cluster/image.ts'
import type { ImageDiff } from '../cluster/image-diff.ts'
import { brokerKey, nodeKey, type Registration } from '../cluster/registration.ts'
import { CONFIG_PREFIX } from '../configs/named.ts'
import {
  isRefusal,
  nextState,
  type Proposal,
  transactionOf,
  unfencedKey,
} from '../replication/next-state.ts'
import { NO_LEADER } from '../replication/partition-state.ts'
import type { Change, Compare, LeaseId, Outbox, Outcome } from '../replication/types.ts'
import { Batch } from './batch.ts'
import { isInTheWay, isNewDisk, needOf } from './needs.ts'

export const CONTROLLER = 'controller'
export const TICK_MS = 5_000
/** A registration that goes may come again at once: the next life of the same folder deletes it first. */
const GONE_MS = 100
/** Whom somebody refused longer ago than this may listen again: one that has just become controller did not look since. */
const REFUSED_MS_MAX = 5_000
/** One that was wrongly suspected is left to its lease for so long. */
const SUSPECT_AGAIN_MS = 60_000
const AGAIN_MS = 200
const ORPHAN_MS = 600_000
const PREFERRED_A_SECOND = 50

export type ControllerEffect =
  /**
   * Send it, once: `answered(id)`, after the image has learnt what it says. The same id comes again while the outcome is
   * unknown.
   */
  {
    readonly kind: 'transact'
    readonly id: number
    readonly compares: readonly Compare[]
    readonly changes: readonly Change[]
  }

export interface ControllerOptions {
  readonly me: number
  readonly incarnation: string
  readonly image: ClusterImage
  /** broker.session.timeout.ms */
  readonly ttlMs: number
  /** leader.imbalance.check.interval.seconds in ms; Infinity: never. */
  readonly preferredMs: number
  /** unclean.leader.election.enable, as it is in force for the topic. */
  readonly mayBeUnclean: (topic: ImageTopic) => boolean
  readonly out: Outbox<ControllerEffect>
}

interface Sent {
  readonly id: number
  readonly batch: Batch
  /** When it is sent again; Infinity while an answer may come. */
  againAt: number
}

/**
 * Every broker has one; it acts while the key `controller` is its own. Looks at what is, not at what happened: each record
 * whose brokers have changed is looked at until it needs nothing. One transaction is under way at a time, and every one
 * compares the key's create_revision, so that one who was replaced can write nothing. Pure; all times are monotonic ms.
 */
export class Controller {
  readonly #o: ControllerOptions
  readonly #image: ClusterImage
  #lease: LeaseId | null = null
  /** create_revision of the key while it is ours; 0: it is not. */
  #created = 0
  #electedAt = 0
  #tickAt = 0
  #tick = 0
  #ids = 0
  #sent: Sent | null = null
  #quietUntil = Number.NEGATIVE_INFINITY
  /** Records to look at. */
  readonly #dirty = new Set<string>()
  /** Those of a broker are looked at again at this time. */
  readonly #later = new Map<number, number>()
  readonly #goneAt = new Map<number, number>()
  /** Registered at some time while this broker was. */
  readonly #seen = new Set<number>()
  /** Brokers whose process is gone, and since when: nobody listens. */
  readonly #refusing = new Map<number, number>()
  readonly #suspected = new Map<number, { readonly incarnation: string; readonly at: number }>()
  /** Records without a topic, and since when. */
  #orphans: ReadonlyMap<string, number> = new Map()
  #sweepAt = 0
  #preferredAt = Number.POSITIVE_INFINITY
  #nextPreferredAt = 0
  #preferred: string[] = []

  constructor(options: ControllerOptions) {
    this.#o = options
    this.#image = options.image
  }

  get isActive(): boolean {
    return this.#created !== 0
  }

  /** The lease of this broker's session while it is registered; null: it is not. */
  session(lease: LeaseId | null, now: number): void {
    this.#lease = lease
    // Whose own registration has ended may have been cut off like all others: who is away then may come back, too.
    if (lease === null) {
      this.#seen.clear()
      this.#goneAt.clear()
    }
    this.#act(now)
  }

  /** The image has changed. */
  changed(diff: ImageDiff, now: number): void {
    if (diff.keys.includes(CONTROLLER)) this.#election(now)
    for (const { id, old, now: registration, wasUnfenced } of diff.brokers) {
      if (registration !== null) {
        this.#seen.add(id)
        this.#goneAt.delete(id)
        if (old?.epoch !== registration.epoch) this.#refusing.delete(id)
      } else {
        if (wasUnfenced) this.#seen.add(id)
        if (!this.#goneAt.has(id)) this.#goneAt.set(id, now)
        this.#refusing.delete(id)
      }
      this.#lookAt(id)
    }
    for (const { key, now: state } of diff.partitions) if (state !== null) this.#dirty.add(key)
    // With configs it may change whether somebody who is not in sync may lead.
    if (diff.keys.some(key => key.startsWith(CONFIG_PREFIX))) {
      this.#lookAtLeaderless(this.#image.partitions)
    }
    for (const { now: topic } of diff.topics) {
      if (topic !== null) this.#lookAtLeaderless(this.#image.partitionsOf(topic.id))
    }
    this.#act(now)
  }

  answered(id: number, outcome: Outcome, now: number): void {
    const sent = this.#sent
    if (sent === null || sent.id !== id) return
    if (outcome.outcome === 'unknown') {
      sent.againAt = now + AGAIN_MS
      return
    }
    this.#sent = null
    // Whatever it was to change is looked at again; what was applied needs nothing then.
    for (const key of sent.batch.keys) this.#dirty.add(key)
    if (outcome.outcome === 'refused') this.#quietUntil = now + AGAIN_MS
    this.#act(now)
  }

  /** The broker's connection was closed by its side, and for 200 ms since it refuses new ones: no process listens there. */
  refused(id: number, now: number): void {
    this.#refusing.set(id, now)
    this.#act(now)
  }

  /** To be called at least every 100 ms. */
  tick(now: number): void {
    if (this.#sent !== null && now >= this.#sent.againAt) this.#resend(this.#sent)
    this.#act(now)
  }

  /** Whose key it is stands in the image. */
  #election(now: number): void {
    const entry = this.#image.entry(CONTROLLER)
    const value = entry?.value as { readonly incarnation?: string } | undefined
    const created = value?.incarnation === this.#o.incarnation ? entry!.created : 0
    if (created === this.#created) return
    this.#created = created
    if (created === 0) return
    this.#electedAt = now
    this.#tickAt = now + TICK_MS
    this.#preferredAt = now + this.#o.preferredMs
    for (const { key } of this.#image.partitions) this.#dirty.add(key)
    for (const { id } of this.#image.brokers) this.#seen.add(id)
  }

  #lookAt(id: number): void {
    for (const { key } of this.#image.partitionsOn(id)) this.#dirty.add(key)
  }

  /** One thing at a time, the most urgent first. */
  #act(now: number): void {
    if (this.#sent !== null || now < this.#quietUntil) return
    const batch = new Batch()
    if (this.#created === 0) this.#stand(batch)
    else {
      this.#wakeLater(now)
      batch.require({ key: CONTROLLER, created: this.#created })
      this.#keep(batch, now)
      this.#suspect(batch, now)
      if (!batch.isDecided) this.#mend(batch, now)
      if (!batch.isDecided) this.#admit(batch)
      this.#prefer(batch, now)
      this.#sweep(batch, now)
    }
    if (batch.isEmpty) return
    this.#sent = { id: ++this.#ids, batch, againAt: Number.POSITIVE_INFINITY }
    this.#resend(this.#sent)
  }

  #resend(sent: Sent): void {
    const { id, batch } = sent
    sent.againAt = Number.POSITIVE_INFINITY
    this.#o.out.push({ kind: 'transact', id, compares: batch.compares, changes: batch.changes })
  }

  /** Nobody is controller, or an earlier life of this broker, or one that no process listens for: then this one would be. */
  #stand(batch: Batch): void {
    if (this.#lease === null) return
    const { me, incarnation } = this.#o
    const entry = this.#image.entry(CONTROLLER)
    if (entry === null) {
      const value = { broker: me, incarnation, tick: 0 }
      batch.require({ key: CONTROLLER, created: 0 })
      batch.add({ key: CONTROLLER, value, lease: this.#lease })
      return
    }
    // Deleted first: written over, the key would keep its create_revision, which is what fences.
    const { broker } = entry.value as { readonly broker: number }
    const registration = this.#image.broker(broker)
    const isDead = broker === me || (this.#refusing.has(broker) && registration !== null)
    if (!isDead) return
    batch.require({ key: CONTROLLER, created: entry.created })
    batch.add({ key: CONTROLLER, value: null })
    if (broker !== me) this.#strike(batch, registration!)
  }

  #keep(batch: Batch, now: number): void {
    if (now < this.#tickAt || this.#lease === null) return
    this.#tickAt = now + TICK_MS
    const { me: broker, incarnation } = this.#o
    const value = { broker, incarnation, tick: ++this.#tick }
    batch.add({ key: CONTROLLER, value, lease: this.#lease })
  }

  /** Fast fence: whose process is gone need not be waited for. */
  #suspect(batch: Batch, now: number): void {
    for (const [id, at] of [...this.#refusing].sort(([a], [b]) => a - b)) {
      this.#refusing.delete(id)
      const registration = this.#image.broker(id)
      if (registration === null || id === this.#o.me || now - at > REFUSED_MS_MAX) continue
      const { incarnation } = registration
      const before = this.#suspected.get(id)
      // The same process is back: it was not dead. One that was started since may be.
      if (before?.incarnation === incarnation && now - before.at < SUSPECT_AGAIN_MS) continue
      this.#suspected.set(id, { incarnation, at: now })
      this.#goneAt.set(id, now - GONE_MS)
      this.#strike(batch, registration)
    }
  }

  #mayBeUnclean(key: string): boolean {
    const topic = this.#image.topicOf(key)
    return topic !== null && this.#o.mayBeUnclean(topic)
  }

  #lookAtLeaderless(partitions: Iterable<PartitionRef>): void {
    for (const { key } of partitions) {
      if (this.#image.partitionAt(key)!.leader === NO_LEADER) this.#dirty.add(key)
    }
  }

  #strike(batch: Batch, { id, epoch }: Registration): void {
    batch.require({ key: brokerKey(id), created: epoch })
    batch.add({ key: brokerKey(id), value: null })
    batch.add({ key: unfencedKey(id), value: null })
  }

  #wakeLater(now: number): void {
    for (const [id, time] of this.#later) {
      if (now < time) continue
      this.#later.delete(id)
      this.#lookAt(id)
    }
  }

  /** One just elected waits for those that it has not seen since it registered: after an outage all come back at once. */
  #isGone(id: number, now: number): boolean {
    const gone = this.#goneAt.get(id) ?? this.#electedAt
    const time = this.#seen.has(id) ? gone + GONE_MS : this.#electedAt + this.#o.ttlMs
    if (now >= time) return true
    this.#later.set(id, Math.min(time, this.#later.get(id) ?? time))
    return false
  }

  /** Elections, fencing, what was lost: partitions without a leader first. */
  #mend(batch: Batch, now: number): void {
    if (this.#dirty.size === 0) return
    const keys = [...this.#dirty].sort()
    const image = this.#image
    const isUrgent = (key: string): boolean => {
      const leader = image.partitionAt(key)?.leader ?? -1
      return leader === -1 || image.broker(leader) === null
    }
    for (const key of [...keys.filter(isUrgent), ...keys.filter(key => !isUrgent(key))]) {
      if (batch.isFull) return
      this.#dirty.delete(key)
      const need = needOf(image, key, {
        isGone: id => this.#isGone(id, now),
        mayBeUnclean: () => this.#mayBeUnclean(key),
      })
      if (need !== null) this.#change(batch, key, need)
    }
  }

  /** Unfences who has nothing in its way, and lets those go that have been drained. */
  #admit(batch: Batch): void {
    for (const broker of this.#image.brokers) {
      const { id, draining } = broker
      const isUnfenced = this.#image.unfenced(id) !== 0
      if (batch.isFull || isUnfenced !== draining) continue
      const refs = [...this.#image.partitionsOn(id)]
      if (draining && refs.some(({ key }) => this.#dirty.has(key) || this.#holds(key, id))) continue
      if (!draining && refs.some(({ key }) => isInTheWay(this.#image, key, id))) continue
      if (draining) this.#release(batch, id)
      else this.#unfence(batch, broker)
    }
  }

  /** Draining, and others could do without it: not yet out. */
  #holds(key: string, id: number): boolean {
    const outlook = { isGone: () => false, mayBeUnclean: () => false }
    return needOf(this.#image, key, outlook)?.failed?.includes(id) === true
  }

  #release(batch: Batch, id: number): void {
    batch.require({ key: unfencedKey(id), created: this.#image.unfenced(id) })
    batch.add({ key: unfencedKey(id), value: null })
  }

  #unfence(batch: Batch, broker: Registration): void {
    const { id, epoch, lease } = broker
    // Who joined an ISR before this registration was made must be in the image: an own transaction tells of it out of turn.
    if (this.#image.revision < epoch) return
    const key = unfencedKey(id)
    const old = this.#image.entry(key)
    batch.require({ key: brokerKey(id), created: epoch })
    if (old !== null) {
      // Of an earlier registration: written over, it would keep its create_revision, which is what fences.
      batch.require({ key, revision: old.revision })
      batch.add({ key, value: null })
      return
    }
    batch.require({ key, created: 0 })
    batch.add({ key, value: { epoch }, lease })
    const node = this.#image.entry(nodeKey(id))
    if (node === null || !isNewDisk(this.#image, broker)) return
    batch.require({ key: node.key, revision: node.revision })
    batch.add({ key: node.key, value: { ...(node.value as object), state: 'member' } })
  }

  /** Now and then the first of the replicas is made leader again, so many a second. */
  #prefer(batch: Batch, now: number): void {
    if (now >= this.#preferredAt) {
      this.#preferredAt = now + this.#o.preferredMs
      this.#preferred = [...this.#image.partitions].map(({ key }) => key).sort()
      this.#nextPreferredAt = now
    }
    while (this.#preferred.length > 0 && now >= this.#nextPreferredAt && !batch.isFull) {
      const key = this.#preferred.shift()!
      const state = this.#image.partitionAt(key)
      if (state === null || batch.keys.includes(key)) continue
      const [first] = state.replicas
      if (state.leader === first || this.#image.view(key).full(first!)) continue
      if (this.#change(batch, key, { leader: 'preferred' })) {
        this.#nextPreferredAt += 1_000 / PREFERRED_A_SECOND
      }
    }
  }

  /** Records of no topic: a creation that was not finished, or a deletion. */
  #sweep(batch: Batch, now: number): void {
    if (now < this.#sweepAt) return
    this.#sweepAt = now + ORPHAN_MS / 10
    const orphans = [...this.#image.partitions].filter(
      ({ topicId }) => this.#image.topicById(topicId) === null,
    )
    const since = new Map(orphans.map(({ key }) => [key, this.#orphans.get(key) ?? now]))
    this.#orphans = since
    for (const [key, time] of since) {
      if (now - time < ORPHAN_MS || batch.isFull || batch.keys.includes(key)) continue
      batch.require({ key, revision: this.#image.partitionAt(key)!.revision })
      batch.add({ key, value: null }, key)
    }
  }

  /** @returns whether the record becomes another by the proposal */
  #change(batch: Batch, key: string, proposal: Proposal): boolean {
    const next = nextState(this.#image.partitionAt(key)!, proposal, this.#image.view(key))
    if (isRefusal(next)) return false
    const { compares, change } = transactionOf(key, next)
    for (const compare of compares) batch.require(compare)
    batch.add(change, key)
    return true
  }
}
