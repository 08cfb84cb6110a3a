import type { LeaseId, Session } from '../store.ts'
import type { EtcdClient } from './client.ts'
import { isLeaseGone, refusalOf } from './errors.ts'
import * as wire from './wire.ts'

/** A keep-alive is sent after this share of the lease's time, and may take as long; after one that failed, much sooner. */
const INTERVAL_SHARE = 1 / 3
const RETRY_SHARE = 1 / 10
const RETRY_MS_MIN = 50
/** Of a lease's time, what is believed in: clocks differ, and a little more for what is amid being done when it ends. */
const BELIEVED_SHARE = 0.99
const MARGIN_MS = 500

interface Held {
  readonly lease: LeaseId
  readonly ttlMs: number
  /** When the last keep-alive that was answered was sent. */
  sent: number
  timer: NodeJS.Timeout | null
}

/** A lease of etcd. Whether it is alive only etcd knows: a failing keep-alive is tried again until etcd says that it is gone. */
export class EtcdSession implements Session {
  readonly #client: EtcdClient
  readonly #now: () => number
  #held: Held | null = null
  /** The last keep-alive failed, which is said once. */
  #isDown = false
  onLost: (lease: LeaseId) => void = () => {}

  /** @param now monotonic, ms */
  constructor(client: EtcdClient, now: () => number) {
    this.#client = client
    this.#now = now
  }

  get lease(): LeaseId | null {
    return this.#held?.lease ?? null
  }

  mayHold(now: number): boolean {
    if (this.#held === null) return false
    const { sent, ttlMs } = this.#held
    return now < sent + BELIEVED_SHARE * ttlMs - MARGIN_MS
  }

  async open(ttlMs: number): Promise<LeaseId> {
    await this.close()
    const sent = this.#now()
    const body = wire.grantBody(Math.max(1, Math.ceil(ttlMs / 1000)))
    // One that is granted twice ends by itself, and nothing is bound to it.
    const answer = await this.#call(wire.PATH.grant, body)
    const granted = wire.readGrant(answer)
    if (this.#held !== null) throw new Error('bug: two leases are opened at the same time')
    this.#held = { ...granted, sent, timer: null }
    this.#schedule(this.#held, granted.ttlMs * INTERVAL_SHARE)
    return granted.lease
  }

  async #call(path: string, body: string) {
    try {
      return await this.#client.call(path, body, { isRepeatable: true, isUrgent: true })
    } catch (error) {
      throw error instanceof wire.EtcdError ? refusalOf(error, this.#client.url) : error
    }
  }

  #schedule(held: Held, afterMs: number): void {
    held.timer = setTimeout(() => void this.#keepAlive(held), Math.max(afterMs, RETRY_MS_MIN))
    held.timer.unref()
  }

  async #keepAlive(held: Held): Promise<void> {
    const sent = this.#now()
    const intervalMs = held.ttlMs * INTERVAL_SHARE
    let ttlMs: number | null = null
    try {
      const options = { isRepeatable: true, isUrgent: true, timeoutMs: intervalMs }
      const body = wire.leaseBody(held.lease)
      ttlMs = wire.readKeepAlive(await this.#client.call(wire.PATH.keepAlive, body, options))
    } catch (error) {
      const isGone = error instanceof wire.EtcdError && isLeaseGone(error)
      if (isGone) ttlMs = 0
      else this.#failed(error)
    }
    if (this.#held !== held) return
    if (ttlMs === 0) return this.#lost(held)
    if (ttlMs === null) return this.#schedule(held, held.ttlMs * RETRY_SHARE)
    held.sent = sent
    this.#isDown = false
    this.#schedule(held, intervalMs - (this.#now() - sent))
  }

  #failed(err: unknown): void {
    if (!this.#isDown) this.#client.log.warn({ err }, 'the lease is not kept alive')
    this.#isDown = true
  }

  #lost(held: Held): void {
    this.#held = null
    this.#client.log.warn({ lease: held.lease }, 'the lease has ended')
    this.onLost(held.lease)
  }

  /** Somebody of this process has ended it. */
  ended(lease: LeaseId): void {
    const held = this.#held
    if (held?.lease !== lease) return
    clearTimeout(held.timer ?? undefined)
    this.#lost(held)
  }

  /** Nothing is kept alive any more. @returns the lease there was */
  drop(): LeaseId | null {
    const held = this.#held
    this.#held = null
    clearTimeout(held?.timer ?? undefined)
    return held?.lease ?? null
  }

  async close(): Promise<void> {
    const lease = this.drop()
    if (lease !== null) await this.revoke(lease)
  }

  /** Of whomever. */
  async revoke(lease: LeaseId, timeoutMs?: number): Promise<void> {
    const options = { isRepeatable: true, isUrgent: true, timeoutMs }
    try {
      await this.#client.call(wire.PATH.revoke, wire.leaseBody(lease), options)
    } catch (error) {
      if (!(error instanceof wire.EtcdError)) throw error
      if (!isLeaseGone(error)) throw refusalOf(error, this.#client.url)
    }
  }
}
