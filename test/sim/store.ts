import { knownBy } from '../../src/cluster/outcome.ts'
import type { Change, Compare, Outcome, WatchEvent } from '../../src/replication/types.ts'
import type { Process } from './process.ts'

const TIMEOUT_MS = 1_000

/** A broker's connections to etcd: requests that get lost on either way or are late, and one watch over everything. */
export class Store {
  readonly #process: Process
  /** Events up to here were taken from etcd for this watch. */
  #sentRevision = 0
  #isWatching = false
  #isPumping = false

  constructor(process: Process) {
    this.#process = process
  }

  transact(
    compares: readonly Compare[],
    changes: readonly Change[],
    done: (outcome: Outcome) => void,
    onApply: (outcome: Outcome) => void = () => {},
  ): void {
    const { image } = this.#process
    const { etcd } = this.#process.around
    this.#call(
      () => {
        const outcome = etcd.transact(compares, changes)
        onApply(outcome)
        return outcome
      },
      outcome => {
        if (outcome === null) return done({ outcome: 'unknown' })
        this.#process.learnt(image.learn(knownBy(image, compares, changes, outcome)))
        done(outcome)
      },
    )
  }

  grant(ttlMs: number, done: (lease: string | null) => void): void {
    this.#call(() => this.#process.around.etcd.grant(ttlMs), done)
  }

  keepAlive(lease: string, done: (ttlMs: number | null) => void): void {
    this.#call(() => this.#process.around.etcd.keepAlive(lease), done)
  }

  revoke(lease: string): void {
    this.#call(
      () => this.#process.around.etcd.revoke(lease),
      () => {},
    )
  }

  /** First all there is, then every change. */
  watch(): void {
    const { etcd } = this.#process.around
    this.#call(
      () => etcd.list(),
      all => {
        if (all === null) return this.#process.around.world.after(200, () => this.watch())
        const image = this.#process.image
        const { bugs } = this.#process.around.settings
        if (bugs.resetWithoutDeletions) {
          this.#process.learnt(image.learn(all.entries))
          this.#process.learnt(image.apply({ revision: all.revision, changes: [] }))
        } else this.#process.learnt(image.reset(all.revision, all.entries))
        this.#sentRevision = all.revision
        this.#isWatching = true
        this.pump()
      },
    )
  }

  /** The stream breaks; it goes on where it was, or, if that is compacted, with a list. */
  cut(isCompacted: boolean): void {
    if (!this.#isWatching) return
    this.#isWatching = false
    const { world } = this.#process.around
    world.after(world.between(50, 1_500), () => {
      if (isCompacted) this.watch()
      else {
        this.#isWatching = true
        this.#sentRevision = this.#process.image.revision
        this.pump()
      }
    })
  }

  /** Takes what etcd has for this watch. */
  pump(): unknown {
    const { world, etcd, network } = this.#process.around
    if (!this.#isWatching || this.#isPumping || !this.#process.isAlive) return
    if (this.#sentRevision >= etcd.revision) return
    this.#isPumping = true
    const again = (): void => {
      this.#isPumping = false
      this.pump()
    }
    if (etcd.isAway || network.isCut('e', this.#process.node.id)) return world.after(150, again)
    const events = this.#eventsAfter(this.#sentRevision)
    this.#sentRevision = etcd.revision
    world.after(network.delay(), () => {
      if (this.#isWatching) {
        this.#process.deliver(() => {
          // Of a stream that was cut while this lay here.
          for (const event of events) this.#process.learnt(this.#process.image.apply(event))
        })
      }
      again()
    })
  }

  #eventsAfter(revision: number): WatchEvent[] {
    const { events } = this.#process.around.etcd
    let from = events.length
    while (from > 0 && events[from - 1]!.revision > revision) from--
    return events.slice(from)
  }

  /** @param done null: no answer in time */
  #call<T>(apply: () => T, done: (result: T | null) => void): void {
    const process = this.#process
    const { world, network, etcd } = process.around
    const me = process.node.id
    let isDone = false
    const finish = (result: T | null): void => {
      if (isDone) return
      isDone = true
      process.deliver(() => done(result))
    }
    const arrive = (): void => {
      // Its sender may have given up: what is in etcd's socket is carried out all the same.
      if (etcd.isAway || network.isCut(me, 'e')) {
        if (world.random.chance(0.97)) world.after(world.between(50, 300), arrive)
        return
      }
      const result = apply()
      if (world.random.chance(network.poorness)) return
      network.send('e', me, () => finish(result))
    }
    const late = world.random.chance(network.poorness) ? world.between(500, 8_000) : 0
    world.after(network.delay() + late, arrive)
    world.after(TIMEOUT_MS, () => finish(null))
  }
}
