import { MEMBER_BYTES } from '../memory.ts'

/** Ids given out and not yet used, in one group; more are refused. */
const PENDING_MEMBERS_MAX = 10_000

/** The ids that were given out to members who have not joined with them yet, and until when they hold (KIP-394). */
export class PendingMembers {
  /** Broker time in ms by id. */
  readonly #deadlines = new Map<string, number>()
  /** What they take in memory. */
  heldBytes = 0

  get isEmpty(): boolean {
    return this.#deadlines.size === 0
  }

  has(memberId: string): boolean {
    return this.#deadlines.has(memberId)
  }

  /** @returns false if too many are out */
  add(memberId: string, deadline: number): boolean {
    if (this.#deadlines.size >= PENDING_MEMBERS_MAX) return false
    this.#deadlines.set(memberId, deadline)
    this.heldBytes += bytesOf(memberId)
    return true
  }

  /** @returns whether it was there */
  remove(memberId: string): boolean {
    const isThere = this.#deadlines.delete(memberId)
    if (isThere) this.heldBytes -= bytesOf(memberId)
    return isThere
  }

  /** Removes those whose time is over. @returns whether there were any */
  expire(now: number): boolean {
    let any = false
    for (const [memberId, deadline] of this.#deadlines) {
      if (deadline <= now) any = this.remove(memberId)
    }
    return any
  }

  get earliest(): number {
    let earliest = Number.POSITIVE_INFINITY
    for (const deadline of this.#deadlines.values()) earliest = Math.min(earliest, deadline)
    return earliest
  }
}

const bytesOf = (memberId: string): number => MEMBER_BYTES + memberId.length
