import type { Report } from './report.ts'

export const now = (): number => performance.now()

/** Who may consume a partition: one run of one member. */
export interface Owner {
  readonly label: string
  /** Until then the broker cannot have given up on it: it was heard of, or told to rebalance, too short a time ago. */
  readonly protectedUntil: number
}

/** From when an owner has been told that the partition is its own. */
export interface Claim {
  readonly owner: Owner
  readonly acquiredAt: number
}

/** A commit on its way: exactly one of these is called, or none if the connection broke. */
export interface Commit {
  acknowledge(): void
  refuse(): void
}

interface Write {
  readonly value: number
  readonly sentAt: number
  /** Infinity: not acknowledged, and it may count all the same. */
  ackedAt: number
  isRefused: boolean
}

/**
 * What one group has done with one partition, and what it may still do:
 * - its committed offset is a register: a read gives the last commit acknowledged before it, or one that overlaps or follows;
 * - everything below a committed offset has been processed by somebody;
 * - committed offsets never go back: whoever commits starts from what was committed, when nobody else may commit any more;
 * - nobody is given a partition while another may still hold it, and who was overtaken cannot commit.
 */
export class Cell {
  readonly name: string
  readonly #report: Report
  #processed = new Uint8Array(1024)
  /** Every record below has been processed. */
  processedTo = 0
  readonly #writes: Write[] = []
  readonly #open = new Set<Claim>()
  #latest: Claim | null = null

  constructor(name: string, report: Report) {
    this.name = name
    this.#report = report
  }

  process(offset: number): void {
    if (offset >= this.#processed.length) {
      const larger = new Uint8Array(2 * offset)
      larger.set(this.#processed)
      this.#processed = larger
    }
    this.#processed[offset] = 1
    while (this.#processed[this.processedTo] === 1) this.processedTo++
  }

  // Ownership.

  /** @param at when the owner was told: it may have been frozen since */
  acquire(owner: Owner, at: number): Claim {
    const claim = { owner, acquiredAt: at }
    for (const other of this.#open) {
      if (other.owner === owner) continue
      const [first, second] = other.acquiredAt < at ? [other, claim] : [claim, other]
      const left = first.owner.protectedUntil - second.acquiredAt
      if (left > 0) {
        const owners = `${first.owner.label} and ${second.owner.label}`
        const since = Math.round(second.acquiredAt - first.acquiredAt)
        this.#violated(
          `owned by ${owners} at once: given to the second ${since} ms after the first, ${Math.round(left)} ms too early`,
        )
      } else if (first === other) {
        this.#open.delete(other)
      }
    }
    this.#open.add(claim)
    if (this.#latest === null || this.#latest.acquiredAt < at) this.#latest = claim
    return claim
  }

  release(claim: Claim): void {
    this.#open.delete(claim)
  }

  // Offsets.

  /** @param value as OffsetFetch gave it, asked `from` and answered `to` */
  read(value: number, from: number, to: number, who: string): void {
    const done = this.#writes.filter(write => write.ackedAt < from)
    const settledSince = Math.max(Number.NEGATIVE_INFINITY, ...done.map(write => write.sentAt))
    const isPossible = this.#writes.some(
      write =>
        write.value === value &&
        !write.isRefused &&
        write.sentAt < to &&
        write.ackedAt >= settledSince,
    )
    if (!isPossible && !(value === -1 && done.length === 0)) {
      const last = this.#writes.filter(write => !write.isRefused).slice(-3)
      const sent = last.map(write => `${write.value}${write.ackedAt < from ? '' : '?'}`)
      this.#violated(`${who} reads offset ${value}, but the last commits are ${sent.join(', ')}`)
    }
    if (value > this.processedTo) {
      this.#violated(`${who} starts at ${value}, but nobody has processed ${this.processedTo}`)
    }
  }

  /** @param claim of the one who commits */
  commit(value: number, claim: Claim): Commit {
    if (value > this.processedTo) {
      this.#violated(`${claim.owner.label} commits ${value} without ${this.processedTo}`)
    }
    const write: Write = {
      value,
      sentAt: now(),
      ackedAt: Number.POSITIVE_INFINITY,
      isRefused: false,
    }
    this.#writes.push(write)
    const latest = this.#latest
    const overtaker = latest !== claim && latest?.owner !== claim.owner ? latest : null
    return {
      acknowledge: () => {
        write.ackedAt = now()
        this.#report.count('commits acknowledged')
        this.#checkAcknowledged(write, claim, overtaker)
      },
      refuse: () => {
        write.isRefused = true
        this.#report.count('commits refused')
      },
    }
  }

  #checkAcknowledged(write: Write, { owner }: Claim, overtaker: Claim | null): void {
    if (overtaker !== null) {
      const since = Math.round(write.sentAt - overtaker.acquiredAt)
      this.#violated(
        `${owner.label} may commit ${write.value}, sent ${since} ms after ${overtaker.owner.label} was given the partition`,
      )
    }
    let before = -1
    for (const other of this.#writes) {
      if (other.ackedAt < write.sentAt) before = Math.max(before, other.value)
    }
    if (before > write.value) {
      this.#violated(`${owner.label} may commit ${write.value} after ${before} was committed`)
    }
  }

  #violated(what: string): void {
    this.#report.violate(`${this.name}: ${what}`)
  }
}
