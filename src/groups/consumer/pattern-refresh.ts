import type { GroupContext } from '../group.ts'
import { NEVER } from './member.ts'
import type { Subscriptions } from './subscriptions.ts'

/** ms that at least lie between two rounds over all patterns, however many topics come and go; Kafka has 10 s. */
const PAUSE_MS = 1_000

/**
 * When to find out anew which topics the patterns of a group stand for: at once for a new pattern; for all of them
 * together, so that there is one rebalance and not many, when topics have changed and now and then.
 */
export class PatternRefresh {
  readonly #context: GroupContext
  readonly #subscriptions: Subscriptions
  #revision = -1
  #askedAt = -NEVER
  #pauseMs = PAUSE_MS
  /** Asked for, and not answered. */
  readonly #open = new Set<string>()
  #new: string | null = null

  constructor(context: GroupContext, subscriptions: Subscriptions) {
    this.#context = context
    this.#subscriptions = subscriptions
  }

  isNew(pattern: string): void {
    this.#new = pattern
  }

  /** Nothing more has to come for this pattern. */
  isDone(pattern: string): void {
    this.#open.delete(pattern)
  }

  /** Asks for what is due. */
  ask(): void {
    if (!this.#subscriptions.hasPatterns) return
    const { topics, settings } = this.#context
    const { consumerRegexRefreshIntervalMs: intervalMs } = settings
    const isNews = topics.revision !== this.#revision
    const isOpen = this.#open.size > 0
    const waitMs = isNews ? PAUSE_MS : isOpen ? this.#pauseMs : intervalMs
    const now = this.#context.now()
    const added = this.#new
    this.#new = null
    if (now - this.#askedAt < waitMs) {
      if (added !== null) this.#resolve(added)
      return
    }
    // Without an answer, as for a pattern that takes too long to match, it asks less and less often.
    const isInVain = isOpen && !isNews
    this.#pauseMs = isInVain ? Math.min(this.#pauseMs * 2, intervalMs) : PAUSE_MS
    this.#askedAt = now
    this.#revision = topics.revision
    for (const pattern of this.#subscriptions.subscribedPatterns) this.#resolve(pattern)
  }

  #resolve(pattern: string): void {
    this.#open.add(pattern)
    this.#context.resolvePattern(pattern)
  }
}
