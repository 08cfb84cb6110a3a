import type { MemoryClock, MemoryMetadata } from './memory.ts'
import type { Watch, WatchListener } from './store.ts'

/** Tells its listener some time after a transaction, of all there are by then. */
export class MemoryWatch implements Watch {
  readonly #metadata: MemoryMetadata
  readonly #clock: MemoryClock
  readonly #prefix: string
  readonly #listener: WatchListener
  #revision: number
  #isAwake = false
  #isStopped = false
  #isHeld = false

  constructor(
    metadata: MemoryMetadata,
    clock: MemoryClock,
    prefix: string,
    afterRevision: number,
    listener: WatchListener,
  ) {
    this.#metadata = metadata
    this.#clock = clock
    this.#prefix = prefix
    this.#revision = afterRevision
    this.#listener = listener
  }

  wake(): void {
    if (this.#isAwake || this.#isHeld) return
    this.#isAwake = true
    this.#clock.soon(() => {
      this.#isAwake = false
      this.#catchUp()
    })
  }

  #catchUp(): void {
    if (this.#isStopped || this.#isHeld) return
    const events = this.#metadata.since(this.#revision)
    if (events === null) {
      const { revision, entries } = this.#metadata.list(this.#prefix)
      this.#revision = revision
      this.#tell(() => this.#listener.onReset(revision, entries))
      return
    }
    for (const { revision, changes } of events) {
      if (this.#isStopped) return
      this.#revision = revision
      const seen = changes.filter(({ key }) => key.startsWith(this.#prefix))
      if (seen.length > 0) this.#tell(() => this.#listener.onChange({ revision, changes: seen }))
    }
  }

  #tell(call: () => void): void {
    try {
      call()
    } catch (error) {
      this.#metadata.onBadWatcher(error)
    }
  }

  /** Held, it tells of nothing; then of what came meanwhile. */
  set isHeld(held: boolean) {
    this.#isHeld = held
    this.wake()
  }

  restart(): void {
    this.wake()
  }

  stop(): void {
    this.#isStopped = true
    this.#metadata.forget(this)
  }
}
