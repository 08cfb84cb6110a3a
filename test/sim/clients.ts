import { type Batch, lastSeqOf } from './log-content.ts'
import type { Surroundings } from './node.ts'
import { DUPLICATE } from './worker.ts'

const TIMEOUT_MS = 2_000

const newBatch = (pid: number, seq: number, lastOffset: number): Batch => ({
  baseOffset: 0,
  lastOffset,
  epoch: -1,
  isWhole: true,
  bytes: null,
  pid,
  seq,
  value: pid * 1_000_000 + seq,
})

/** An idempotent producer with acks=all, one batch at a time, that tries again until it is told that it is there. */
export class Producer {
  readonly pid: number
  readonly #around: Surroundings
  readonly #key: string
  /** Of the next batch. */
  #seq = 0
  #batch: Batch | null = null
  #attempt = 0
  isStopped = false

  constructor(pid: number, key: string, around: Surroundings) {
    this.pid = pid
    this.#key = key
    this.#around = around
    this.#nextLater()
  }

  /** Waits for an answer. */
  get isWaiting(): boolean {
    return this.#batch !== null
  }

  #nextLater(): void {
    const { world } = this.#around
    world.after(
      world.random.chance(0.8) ? world.between(5, 200) : world.between(200, 1_500),
      () => {
        if (this.isStopped) return
        const count = world.random.below(3)
        this.#batch = newBatch(this.pid, this.#seq, count)
        this.#seq = lastSeqOf(this.#batch) + 1
        this.#send()
      },
    )
  }

  #send(): unknown {
    const { world, network, nodes } = this.#around
    const batch = this.#batch!
    const attempt = ++this.#attempt
    const to = this.#leader()
    const again = (): void => {
      if (attempt !== this.#attempt) return
      const next = ++this.#attempt
      world.after(world.between(20, 200), () => {
        if (next === this.#attempt) this.#send()
      })
    }
    world.after(TIMEOUT_MS, again)
    const process = nodes.find(({ id }) => id === to)?.process ?? null
    if (process === null) return world.after(5, again)
    // What was sent in an attempt that is over may arrive all the same.
    network.send('c', to, () => {
      process.deliver(() =>
        process.produce(this.#key, batch, 'all', (error, appended) => {
          network.send(to, 'c', () => {
            if (this.#batch !== batch) return
            if (error === DUPLICATE) this.#done(null)
            else if (error !== 0) again()
            else this.#done(appended)
          })
          // As the broker says so, whether it is heard or not.
          if (error === 0) this.#around.checks.acked(this.#key, appended!)
        }),
      )
    })
  }

  #done(appended: Batch | null): void {
    this.#around.world.note('ack', this.#key, this.pid, appended?.baseOffset ?? -1)
    this.#batch = null
    this.#attempt++
    this.#nextLater()
  }

  #leader(): number {
    return leaderOf(this.#key, this.#around)
  }
}

/** By the metadata of whatever broker was asked last. */
function leaderOf(key: string, { world, nodes }: Surroundings): number {
  const asked = world.random.pick(nodes).process
  const known = asked?.image.partitionAt(key)?.leader ?? -1
  return known === -1 ? world.random.pick(nodes).id : known
}

const TALKER_PID = 1_000

/** With acks=1: does not wait, so that leaders which are cut off have much that nobody else has. */
export class Talker {
  isStopped = false

  constructor(number: number, key: string, around: Surroundings) {
    const { world, network, nodes } = around
    let pid = TALKER_PID * (number + 1)
    const talk = (): void => {
      if (this.isStopped) return
      world.after(world.between(20, 250), talk)
      const to = leaderOf(key, around)
      const process = nodes.find(({ id }) => id === to)?.process ?? null
      const batch = newBatch(++pid, 0, 0)
      network.send('c', to, () =>
        process?.deliver(() => process.produce(key, batch, 'one', () => {})),
      )
    }
    talk()
  }
}
