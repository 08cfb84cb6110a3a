import type { TopicInfo, TopicsView } from '../group.ts'
import type { MemberInfo } from './member.ts'

/** What one or more members subscribe to. */
export interface Subscription {
  readonly names: ReadonlySet<string>
  /** Empty: none. */
  readonly pattern: string
}

/** The topics that a pattern stands for. */
export interface ResolvedPattern {
  readonly topics: ReadonlySet<string>
  /** The revision of the topics in which it was matched. */
  readonly version: number
  /** ms since 1970 */
  readonly timestamp: number
}

/** The subscriptions of a group: each kept once, however many members have it. */
export class Subscriptions {
  readonly #byKey = new Map<string, { readonly subscription: Subscription; members: number }>()
  readonly #members = new Map<string, number>()
  readonly patterns = new Map<string, ResolvedPattern>()

  add(info: MemberInfo): Subscription {
    const key = keyOf(info)
    const names = new Set(info.subscribedTopicNames)
    const pattern = info.subscribedTopicRegex ?? ''
    const known = this.#byKey.get(key) ?? { subscription: { names, pattern }, members: 0 }
    known.members++
    this.#byKey.set(key, known)
    if (pattern !== '') this.#members.set(pattern, this.subscribersOf(pattern) + 1)
    return known.subscription
  }

  remove(info: MemberInfo): void {
    const key = keyOf(info)
    const known = this.#byKey.get(key)!
    if (--known.members === 0) this.#byKey.delete(key)
    const { pattern } = known.subscription
    if (pattern === '') return
    const left = this.subscribersOf(pattern) - 1
    if (left === 0) this.#members.delete(pattern)
    else this.#members.set(pattern, left)
  }

  /** Members that subscribe with this pattern. */
  subscribersOf(pattern: string): number {
    return this.#members.get(pattern) ?? 0
  }

  get subscribedPatterns(): Iterable<string> {
    return this.#members.keys()
  }

  get hasPatterns(): boolean {
    return this.#members.size > 0
  }

  includes(topic: string): boolean {
    for (const { subscription } of this.#byKey.values())
      if (this.has(subscription, topic)) return true
    return false
  }

  /** Whether a subscription covers a topic. A pattern that is not resolved yet covers none. */
  has({ names, pattern }: Subscription, topic: string): boolean {
    return names.has(topic) || (this.patterns.get(pattern)?.topics.has(topic) ?? false)
  }

  /** The topics that there are of a subscription, by name. */
  topicsOf(subscription: Subscription, topics: TopicsView): TopicInfo[] {
    return existing(this.#namesOf(subscription), topics)
  }

  /** The topics that there are of all subscriptions, by name. */
  allTopics(topics: TopicsView): TopicInfo[] {
    const subscriptions = [...this.#byKey.values()].map(({ subscription }) => subscription)
    if (subscriptions.length === 1) return this.topicsOf(subscriptions[0]!, topics)
    return existing(new Set(subscriptions.flatMap(s => [...this.#namesOf(s)])), topics)
  }

  #namesOf({ names, pattern }: Subscription): ReadonlySet<string> {
    const matched = this.patterns.get(pattern)?.topics
    if (matched === undefined) return names
    return names.size === 0 ? matched : new Set([...names, ...matched])
  }
}

function keyOf({ subscribedTopicNames, subscribedTopicRegex }: MemberInfo): string {
  return JSON.stringify([subscribedTopicRegex ?? '', ...subscribedTopicNames])
}

function existing(names: ReadonlySet<string>, topics: TopicsView): TopicInfo[] {
  const found: TopicInfo[] = []
  for (const name of names) {
    const topic = topics.byName(name)
    if (topic !== undefined) found.push(topic)
  }
  return found.sort((a, b) => (a.name < b.name ? -1 : 1))
}

/**
 * A fingerprint of topics that changes when one of them is made, deleted or grown: 53 bits, 0 for none. Kafka's is another;
 * it is only ever compared with our own.
 */
export function metadataHash(topics: readonly TopicInfo[]): number {
  let low = 0
  let high = 0
  for (const { id, name, partitions } of topics) {
    let a = 0x811c9dc5 ^ partitions
    let b = 0x41c6ce57 + partitions
    const text = id + name
    for (let i = 0; i < text.length; i++) {
      const unit = text.charCodeAt(i)
      a = Math.imul(a ^ unit, 0x01000193)
      b = Math.imul(b ^ unit, 0x5bd1e995)
    }
    // Sums: the order of the topics does not matter.
    low = (low + (a ^ (a >>> 15))) | 0
    high = (high + (b ^ (b >>> 13))) | 0
  }
  return (high >>> 11) * 0x1_0000_0000 + (low >>> 0)
}
