import { BrokerError } from '../../errors.ts'
import { ErrorCode } from '../../protocol/error-codes.ts'
import { checkTransaction } from '../rules.ts'
import {
  type Change,
  type Compare,
  type Entry,
  type Json,
  LeaseEnded,
  type LeaseId,
  type Listing,
  type MetadataStore,
  type TxResult,
  type Watch,
  type WatchListener,
} from '../store.ts'
import { EtcdClient, type EtcdOptions } from './client.ts'
import { isCompacted, refusalOf } from './errors.ts'
import { EtcdWatch } from './watch.ts'
import * as wire from './wire.ts'

/** Keys in one page of a list: 100,000 take 0.8 s, and hold the event loop for 6 ms at a time (at 5,000: 0.65 s and 17 ms). */
const PAGE_KEYS = 1_000
/** Each means that etcd was compacted amid it, which happens once in minutes. */
const LISTS_MAX = 5
const WATCHES_MAX = 100
/** In JSON, where bytes take a third more: etcd takes 1.5 MiB, and says so up to 2 MiB. */
const TRANSACTION_BYTES_MAX = 2 * 1_048_576
/** An answer to a keep-alive that takes longer is given up, and another one sent. */
const KEEP_ALIVE_MS = 2_000

/** The metadata of a cluster, in etcd. */
export class EtcdMetadataStore implements MetadataStore {
  readonly #client: EtcdClient
  readonly #keys: wire.Keys
  readonly #watches = new Set<EtcdWatch>()
  #isClosed = false

  private constructor(options: EtcdOptions) {
    this.#client = new EtcdClient(options)
    this.#keys = new wire.Keys(options.url.prefix)
  }

  /**
   * Looks whether there is an etcd that can be used: its version, the user, the prefix.
   * @throws BrokerError that says what is wrong
   */
  static async open(options: EtcdOptions): Promise<EtcdMetadataStore> {
    const store = new EtcdMetadataStore(options)
    try {
      await store.#client.check()
      await store.#page('', null, 0, 1)
      return store
    } catch (error) {
      store.#client.close()
      throw error
    }
  }

  async get(key: string): Promise<Entry | null> {
    const answer = await this.#read(wire.getBody(this.#keys, key))
    return wire.readRange(this.#keys, answer).entries[0] ?? null
  }

  async list(prefix: string): Promise<Listing> {
    for (let tries = 1; ; tries++) {
      try {
        return await this.#list(prefix)
      } catch (error) {
        const cause = error instanceof BrokerError ? error.cause : error
        const isAgain = cause instanceof wire.EtcdError && isCompacted(cause)
        if (!isAgain || tries >= LISTS_MAX) throw error
      }
    }
  }

  async #list(prefix: string): Promise<Listing> {
    const entries: Entry[] = []
    let page = await this.#page(prefix, null, 0, PAGE_KEYS)
    const { revision } = page
    entries.push(...page.entries)
    while (page.hasMore) {
      page = await this.#page(prefix, entries.at(-1)!.key, revision, PAGE_KEYS)
      entries.push(...page.entries)
    }
    return { revision, entries }
  }

  async #page(prefix: string, behind: string | null, revision: number, limit: number) {
    const body = wire.rangeBody(this.#keys, { prefix, behind, limit, revision })
    return wire.readRange(this.#keys, await this.#read(body))
  }

  #read(body: string) {
    return this.#refused(this.#client.call(wire.PATH.range, body, { isRepeatable: true }))
  }

  async #refused<T>(call: Promise<T>): Promise<T> {
    try {
      return await call
    } catch (error) {
      throw error instanceof wire.EtcdError ? refusalOf(error, this.#client.url) : error
    }
  }

  compareAndSet(key: string, revision: number, value: Json | null): Promise<TxResult> {
    return this.transact([{ key, revision }], [{ key, value }])
  }

  async transact(compares: readonly Compare[], changes: readonly Change[]): Promise<TxResult> {
    checkTransaction(compares, changes)
    const body = wire.txnBody(this.#keys, compares, changes)
    if (Buffer.byteLength(body) > TRANSACTION_BYTES_MAX) {
      const message = `A metadata transaction has at most ${TRANSACTION_BYTES_MAX} bytes.`
      throw new BrokerError(ErrorCode.INVALID_REQUEST, message)
    }
    const call = this.#client.call(wire.PATH.txn, body, { isRepeatable: false })
    return wire.readTxn(this.#keys, await this.#refused(call))
  }

  watch(prefix: string, afterRevision: number, listener: WatchListener): Watch {
    if (this.#isClosed || this.#watches.size >= WATCHES_MAX) {
      const why = this.#isClosed ? 'is closed' : `has ${WATCHES_MAX} watches`
      throw new BrokerError(ErrorCode.KAFKA_STORAGE_ERROR, `The metadata store ${why}.`)
    }
    const [client, keys] = [this.#client, this.#keys]
    const list = (): Promise<Listing> => this.list(prefix)
    const head = async (): Promise<number> => (await this.#page('', null, 0, 1)).revision
    const onStop = (): void => void this.#watches.delete(watch)
    const watch = new EtcdWatch(afterRevision, {
      ...{ client, keys, prefix, listener },
      ...{ list, head, onStop },
    })
    this.#watches.add(watch)
    return watch
  }

  async grant(ttlMs: number): Promise<LeaseId> {
    const body = wire.grantBody(Math.max(1, Math.ceil(ttlMs / 1000)))
    const options = { isRepeatable: true, isUrgent: true }
    return wire.leaseOf(await this.#refused(this.#client.call(wire.PATH.grant, body, options)))
  }

  async keepAlive(lease: LeaseId): Promise<number> {
    const answer = await this.#ofLease(wire.PATH.keepAlive, lease, KEEP_ALIVE_MS)
    return answer === null ? 0 : wire.readKeepAlive(answer)
  }

  async revoke(lease: LeaseId): Promise<void> {
    await this.#ofLease(wire.PATH.revoke, lease)
  }

  /** @returns null if there is no such lease */
  async #ofLease(path: string, lease: LeaseId, timeoutMs?: number) {
    const options = { isRepeatable: true, isUrgent: true, timeoutMs }
    try {
      return await this.#refused(this.#client.call(path, wire.leaseBody(lease), options))
    } catch (error) {
      if (error instanceof LeaseEnded) return null
      throw error
    }
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    for (const watch of this.#watches) watch.stop()
    this.#client.close()
  }
}
