import { guarded } from '../../guarded.ts'
import type { KeyEvent, Listing, Watch, WatchListener } from '../store.ts'
import type { EtcdClient } from './client.ts'
import * as wire from './wire.ts'

/** Between two tries to connect; doubled after each that fails. */
const BACKOFF_MS_MIN = 20
const BACKOFF_MS_MAX = 1_000

export interface WatchParts {
  readonly client: EtcdClient
  readonly keys: wire.Keys
  readonly prefix: string
  readonly listener: WatchListener
  readonly list: () => Promise<Listing>
  /** The store's revision. */
  readonly head: () => Promise<number>
  readonly onStop: () => void
}

/**
 * One stream of etcd's, made anew behind the last revision that was told whenever it ends. What etcd does not have any more
 * is made up for by a list.
 */
export class EtcdWatch implements Watch {
  readonly #o: WatchParts
  /** Everything up to this one was told. */
  #revision: number
  /** What is heard of an earlier stream or list counts no more. */
  #life = 0
  #close: () => void = () => {}
  #avoid: () => void = () => {}
  #timer: NodeJS.Timeout | null = null
  #backoffMs = BACKOFF_MS_MIN
  #isDown = false
  #isStopped = false

  constructor(afterRevision: number, parts: WatchParts) {
    this.#o = parts
    this.#revision = afterRevision
    this.#connect()
  }

  stop(): void {
    if (this.#isStopped) return
    this.#isStopped = true
    this.#end()
    this.#o.onStop()
  }

  restart(): void {
    if (this.#isStopped) return
    this.#avoid()
    this.#connect()
  }

  /** @returns what begins */
  #end(): number {
    this.#close()
    this.#close = () => {}
    clearTimeout(this.#timer ?? undefined)
    return ++this.#life
  }

  #connect(): void {
    const life = this.#end()
    const ifAlive = (act: () => void): void => {
      if (life === this.#life) act()
    }
    const { client, keys, prefix } = this.#o
    // From what was told last, not behind it: an etcd that was compacted just behind it has lost what was deleted in that
    // revision, and tells of the rest without a word (etcd 18089, 19179).
    // This way it says that it was compacted.
    const body = wire.watchBody(keys, prefix, Math.max(1, this.#revision))
    const listener = {
      onLine: (line: Buffer) => ifAlive(() => this.#take(line)),
      onEnd: (why: Error) => ifAlive(() => this.#later(why)),
    }
    client.stream(wire.PATH.watch, body, listener).then(
      ({ close, address }) => {
        if (life !== this.#life) return close()
        this.#close = close
        this.#avoid = () => client.avoid(address)
      },
      (error: Error) => ifAlive(() => this.#later(error)),
    )
  }

  #later(why: Error): void {
    const { client } = this.#o
    if (!this.#isDown) client.log.warn({ err: why }, 'a watch of the metadata was cut off')
    this.#isDown = true
    this.#avoid()
    this.#after(() => this.#connect())
  }

  #after(act: () => void): void {
    this.#end()
    this.#timer = setTimeout(act, this.#backoffMs)
    this.#timer.unref()
    this.#backoffMs = Math.min(2 * this.#backoffMs, BACKOFF_MS_MAX)
  }

  #take(line: Buffer): void {
    let message: wire.WatchMessage
    try {
      message = wire.readWatch(this.#o.keys, line)
    } catch (error) {
      this.#refused(error as Error)
      return
    }
    if (message.kind === 'compacted') void this.#reset()
    else if (message.kind === 'cancelled') this.#refused(new Error(message.reason))
    else if (message.kind === 'created') this.#up(message.revision)
    else {
      for (const err of message.foreign) this.#o.client.log.error({ err }, 'a change was left out')
      this.#tell(message.events)
    }
  }

  /** An older etcd says no more than "permission denied" to a token that is not valid any more. */
  #refused(why: Error): void {
    this.#o.client.renew()
    this.#later(why)
  }

  #up(revision: number): void {
    if (this.#isDown) this.#o.client.log.info({}, 'the metadata is watched again')
    this.#isDown = false
    this.#backoffMs = BACKOFF_MS_MIN
    // A member that lags behind catches up. An etcd that was restored from a backup would tell nothing for long.
    if (revision < this.#revision) void this.#checkRestored(this.#life)
  }

  async #checkRestored(life: number): Promise<void> {
    const isBehind = await this.#o.head().then(
      head => head < this.#revision,
      (error: Error) => error,
    )
    if (life !== this.#life) return
    if (isBehind instanceof Error) this.#later(isBehind)
    else if (isBehind) await this.#reset()
  }

  /** A transaction's changes are never torn apart: they have one revision, and come in one message. */
  #tell(events: readonly KeyEvent[]): void {
    const { client, listener } = this.#o
    const life = this.#life
    for (let from = 0; from < events.length && life === this.#life; ) {
      const { revision } = events[from]!
      let to = from + 1
      while (to < events.length && events[to]!.revision === revision) to++
      const changes = events.slice(from, to)
      from = to
      if (revision <= this.#revision) continue
      this.#revision = revision
      guarded(client.log, 'a listener of the metadata failed', {}, () =>
        listener.onChange({ revision, changes }),
      )
    }
  }

  async #reset(): Promise<void> {
    const life = this.#end()
    const { client, listener } = this.#o
    let listing: Listing
    try {
      listing = await this.#o.list()
    } catch (error) {
      if (life !== this.#life) return
      client.log.warn({ err: error }, 'the metadata could not be listed')
      return this.#after(() => void this.#reset())
    }
    if (life !== this.#life) return
    const { revision, entries } = listing
    this.#revision = revision
    guarded(client.log, 'a listener of the metadata failed', {}, () =>
      listener.onReset(revision, entries),
    )
    if (life === this.#life) this.#connect()
  }
}
