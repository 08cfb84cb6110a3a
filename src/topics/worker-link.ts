import { assert } from '../assert.ts'
import {
  ENTRY_EPOCH,
  ENTRY_HANDLE,
  ENTRY_HEADER_BYTES,
  ENTRY_KIND,
  ENTRY_MORE,
  ENTRY_PARTITION,
  ENTRY_PAYLOAD,
  ENTRY_TOKEN,
  ENTRY_TOPIC_ID,
  ENTRY_TRANSACTION_VERSION,
  KIND_APPEND,
  KIND_APPEND_SHARED,
  KIND_COMMAND,
  KIND_EVENT,
  KIND_PLACED,
  KIND_REPLICATE,
  KIND_STABILITY,
} from '../shared/entry.ts'
import {
  COMPLETION_SLEEP,
  createSharedMemory,
  REQUEST_SLEEP,
  type SharedMemory,
  SPACE_SLEEP,
} from '../shared/layout.ts'
import { Ring } from '../shared/ring.ts'
import { listen, wake } from '../shared/signal.ts'
import type {
  CommandAnswer,
  CommandName,
  Commands,
  LogView,
  OfflineEvent,
} from '../storage/commands.ts'
import { Tails } from './tail.ts'

/** Completions of one worker that may wait for the main thread. */
const COMPLETION_BYTES = 2 * 1024 * 1024

/** What an append needs to know of its partition. */
export interface AppendTarget {
  readonly handle: number
  readonly index: number
  /** The 16 bytes of the topic id as four little-endian words. */
  readonly topicIdWords: Int32Array
  readonly leaderEpoch: number
  /** Others want what is appended before it is flushed. */
  readonly hasFollowers: boolean
}

/** Is told what became of one append: `at` is its completion in the ring, to be read before returning. */
export interface AppendWaiter {
  onAppended(slot: number, completions: Ring, at: number): void
  onWorkerLost(slot: number): void
}

interface PendingCommand {
  resolve(response: unknown): void
  reject(error: Error): void
}

/** A command that the worker refused or could not finish. */
export class CommandFailed extends Error {
  override readonly name = 'CommandFailed'
  readonly kind: string
  constructor(message: string, kind: string) {
    super(message)
    this.kind = kind
  }
}

/**
 * The main thread's end of one partition worker: appends go into the request ring, what became of them comes out of the
 * completion ring. Nothing here blocks; a full ring is told to the caller, who pauses what feeds it.
 */
export class WorkerLink {
  readonly memory: SharedMemory
  /** Called for every completed append, before its waiter. What it throws is its own affair. */
  onCompletion: (completions: Ring, at: number) => void = () => {}
  /** Called for every append to a partition with followers as soon as it has its offset, which is before it is flushed. */
  onPlaced: (completions: Ring, at: number) => void = () => {}
  /** Called with what has become of transactions in a partition, before the completions of the appends that did it. */
  onStability: (completions: Ring, at: number) => void = () => {}
  onOffline: (event: OfflineEvent) => void = () => {}
  /** Called with what an answer says of whole logs, in its place among the completions: what comes behind it is newer. */
  onViews: (views: readonly LogView[]) => void = () => {}
  /** Told of what nobody expected in who waited for an append, which is told that its outcome is unknown. */
  onBadWaiter: (error: unknown) => void = () => {}
  /** Bytes of all batches submitted so far. */
  appendedBytes = 0
  /** For the readers of its partitions that keep up. */
  readonly tails: Tails
  readonly #requests: Ring
  readonly #completions: Ring
  readonly #listener: ReturnType<typeof listen>
  readonly #waiters: (AppendWaiter | null)[] = [null]
  readonly #slots: number[] = [0]
  readonly #freeTokens: number[] = []
  readonly #commands = new Map<number, PendingCommand>()
  #nextCommand = 1
  /** Appends and commands that somebody waits for. */
  #owed = 0
  #isUnref = false
  /** Of the message that is being received. */
  readonly #parts: Buffer[] = []
  #spaceWaiters: (() => void)[] = []
  #publishScheduled = false
  #lost: Error | null = null

  constructor(ringBytes: number) {
    this.memory = createSharedMemory(ringBytes, COMPLETION_BYTES)
    this.#requests = new Ring(this.memory, 'request')
    this.tails = new Tails(this.#requests)
    this.#completions = new Ring(this.memory, 'completion')
    this.#listener = listen(this.#requests.control, COMPLETION_SLEEP, () => this.#drain())
  }

  get isLost(): boolean {
    return this.#lost !== null
  }

  /**
   * Copies a batch into the ring: its place in the order of appends is fixed when this returns.
   * @param waiter told of the outcome; null if nobody waits
   * @param version of its transaction; 0: it is of none
   * @returns false if the ring is full: wait for `space` and try again; or if the worker is lost: see `isLost`
   */
  append(
    target: AppendTarget,
    batch: Buffer,
    waiter: AppendWaiter | null,
    slot: number,
    version = 0,
  ): boolean {
    const kind = target.hasFollowers ? KIND_APPEND_SHARED : KIND_APPEND
    const at = this.#submit(kind, target, batch, target.leaderEpoch)
    if (at === -1) return false
    this.#requests.words[(at >> 2) + ENTRY_TRANSACTION_VERSION] = version
    if (waiter !== null)
      this.#requests.words[(at >> 2) + ENTRY_TOKEN] = this.#takeToken(waiter, slot)
    return true
  }

  /** The same with a batch as its leader has it, which nobody waits for. */
  replicate(target: AppendTarget, batch: Buffer, epoch: number): boolean {
    return this.#submit(KIND_REPLICATE, target, batch, epoch) !== -1
  }

  /** @returns where it stands in the ring; -1: it does not */
  #submit(kind: number, target: AppendTarget, batch: Buffer, epoch: number): number {
    if (this.#lost !== null) return -1
    const ring = this.#requests
    const at = ring.reserve(kind, batch.length)
    if (at === -1) return -1
    const word = at >> 2
    const { words } = ring
    words[word + ENTRY_HANDLE] = target.handle
    words[word + ENTRY_TOKEN] = 0
    words[word + ENTRY_PARTITION] = target.index
    words.set(target.topicIdWords, word + ENTRY_TOPIC_ID)
    words[word + ENTRY_EPOCH] = epoch
    ring.write(at, batch)
    this.appendedBytes += batch.length
    this.#publishSoon()
    return at
  }

  #takeToken(waiter: AppendWaiter, slot: number): number {
    const token = this.#freeTokens.pop() ?? this.#waiters.length
    this.#waiters[token] = waiter
    this.#slots[token] = slot
    this.#owe()
    return token
  }

  /** One publish and one wake-up for everything submitted in this turn of the event loop. */
  #publishSoon(): void {
    if (this.#publishScheduled) return
    this.#publishScheduled = true
    process.nextTick(() => {
      this.#publishScheduled = false
      this.#requests.publish()
      wake(this.#requests.control, REQUEST_SLEEP)
    })
  }

  /** Resolves when the worker has given ring space back. */
  space(): Promise<void> {
    return new Promise(resolve => this.#spaceWaiters.push(resolve))
  }

  /** Runs a command in its place among the appends. Rejects with CommandFailed, or if the worker is lost. */
  async command<N extends CommandName>(
    name: N,
    request: Commands[N]['request'],
  ): Promise<Commands[N]['response']> {
    const json = Buffer.from(JSON.stringify({ name, request }))
    for (;;) {
      if (this.#lost !== null) throw this.#lost
      const at = this.#requests.reserve(KIND_COMMAND, json.length)
      if (at === -1) {
        await this.space()
        continue
      }
      const token = this.#nextCommand++ & 0x7fffffff
      this.#requests.words[(at >> 2) + ENTRY_TOKEN] = token
      this.#requests.write(at, json)
      this.#publishSoon()
      const answer = new Promise<unknown>((resolve, reject) => {
        this.#commands.set(token, { resolve, reject })
        this.#owe()
      })
      return (await answer) as Commands[N]['response']
    }
  }

  #drain(): void {
    const ring = this.#completions
    let at = ring.next()
    if (at === -1) return
    for (; at !== -1; at = ring.next()) {
      const kind = ring.words[(at >> 2) + ENTRY_KIND]
      if (kind === KIND_APPEND) this.#finishAppend(at)
      else if (kind === KIND_PLACED) this.onPlaced(ring, at)
      else if (kind === KIND_STABILITY) this.onStability(ring, at)
      else this.#finishMessage(kind!, at)
    }
    ring.release()
    wake(ring.control, SPACE_SLEEP)
    const waiting = this.#spaceWaiters
    if (waiting.length > 0) {
      this.#spaceWaiters = []
      for (const resume of waiting) resume()
    }
  }

  #finishAppend(at: number): void {
    const ring = this.#completions
    this.onCompletion(ring, at)
    const token = ring.words[(at >> 2) + ENTRY_TOKEN]!
    if (token === 0) return
    const waiter = this.#waiters[token]
    assert(waiter != null, 'a completion has a waiter')
    const slot = this.#slots[token]!
    this.#waiters[token] = null
    this.#freeTokens.push(token)
    this.#settle()
    try {
      waiter.onAppended(slot, ring, at)
    } catch (error) {
      this.onBadWaiter(error)
      this.#tellLost(waiter, slot)
    }
  }

  #tellLost(waiter: AppendWaiter, slot: number): void {
    try {
      waiter.onWorkerLost(slot)
    } catch (error) {
      this.onBadWaiter(error)
    }
  }

  #finishMessage(kind: number, at: number): void {
    const ring = this.#completions
    const word = at >> 2
    const start = at + ENTRY_HEADER_BYTES
    // Copied: the ring's memory is the worker's again after this turn.
    const part = ring.bytes.subarray(start, start + ring.words[word + ENTRY_PAYLOAD]!)
    this.#parts.push(Buffer.from(part))
    if (ring.words[word + ENTRY_MORE] === 1) return
    const json = Buffer.concat(this.#parts.splice(0)).toString('utf8')
    if (kind === KIND_EVENT) {
      this.onOffline(JSON.parse(json) as OfflineEvent)
      return
    }
    const token = ring.words[word + ENTRY_TOKEN]!
    const pending = this.#commands.get(token)
    assert(pending !== undefined, 'an answer has a command')
    this.#commands.delete(token)
    this.#settle()
    const answer = JSON.parse(json) as CommandAnswer
    if ('error' in answer) pending.reject(new CommandFailed(answer.error, answer.kind))
    else {
      const { views } = (answer.response ?? {}) as { views?: readonly LogView[] }
      if (views !== undefined) this.onViews(views)
      pending.resolve(answer.response)
    }
  }

  /** From now on the process lives only while somebody waits for what this worker does. Its thread is unref'd by the caller. */
  unref(): void {
    this.#isUnref = true
    if (this.#owed > 0) this.#listener.ref()
  }

  #owe(): void {
    if (this.#owed++ === 0 && this.#isUnref) this.#listener.ref()
  }

  #settle(): void {
    if (--this.#owed === 0 && this.#isUnref) this.#listener.unref()
  }

  /** The thread is gone: whatever it had not answered has an unknown outcome, which its waiters are told. */
  lose(error: Error): void {
    if (this.#lost !== null) return
    this.#drain()
    this.#lost = error
    for (let token = 1; token < this.#waiters.length; token++) {
      const waiter = this.#waiters[token]
      this.#waiters[token] = null
      if (waiter != null) this.#tellLost(waiter, this.#slots[token]!)
    }
    for (const pending of this.#commands.values()) pending.reject(error)
    this.#commands.clear()
    const waiting = this.#spaceWaiters
    this.#spaceWaiters = []
    for (const resume of waiting) resume()
    this.#listener.stop()
  }
}
