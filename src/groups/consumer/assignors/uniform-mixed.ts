import type { Target } from '../assignment.ts'
import type { AssignedMember, AssignedTopic } from './assignor.ts'
import { Ledger, NOBODY } from './ledger.ts'

/**
 * Rounds over all topics in which partitions are moved. Where the subscribers of a topic all subscribe to the same topics, one
 * is enough; else each evens out more, and this is where Kafka stops too.
 */
const ROUNDS_MAX = 16

interface SharedTopic extends AssignedTopic {
  /** Places in the list of members. */
  readonly subscribers: number[]
}

/**
 * Members subscribe to different topics. What is free goes to the subscribers with the fewest partitions, topic by topic; then,
 * again topic by topic, those with the most hand over to those with the fewest until no topic has anything to even out.
 */
export function uniformMixed(members: readonly AssignedMember[]): Target[] {
  const topics = topicsOf(members)
  const ledger = new Ledger(members, topics)
  members.forEach((member, i) => {
    const subscribed = new Set(member.topics.map(topic => topic.id))
    ledger.keep(i, topicId => subscribed.has(topicId))
  })
  for (const topic of topics) distribute(ledger, topic)
  const shared = topics.filter(topic => topic.subscribers.length > 1)
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const moved = shared.filter(topic => even(ledger, topic))
    if (moved.length === 0) break
  }
  return ledger.targets()
}

/** First those with the most partitions for each subscriber, then those with the fewest subscribers: they leave least choice. */
function topicsOf(members: readonly AssignedMember[]): SharedTopic[] {
  const topics = new Map<string, SharedTopic>()
  members.forEach((member, i) => {
    for (const { id, partitions } of member.topics) {
      const known = topics.get(id)
      if (known === undefined) topics.set(id, { id, partitions, subscribers: [i] })
      else known.subscribers.push(i)
    }
  })
  const share = ({ partitions, subscribers }: SharedTopic): number =>
    partitions / subscribers.length
  return [...topics.values()].sort(
    (a, b) =>
      share(b) - share(a) || a.subscribers.length - b.subscribers.length || (a.id < b.id ? -1 : 1),
  )
}

/** Gives away what nobody has of a topic. */
function distribute(ledger: Ledger, { id, subscribers }: SharedTopic): void {
  const owners = ledger.owners(id)
  const free = placesOf(owners, NOBODY)
  if (free.length === 0) return
  const loads = subscribers.map(member => ledger.counts[member]!)
  const shares = levelled(
    loads,
    loads.map(() => 0),
    free.length,
  )
  hand(ledger, owners, free, subscribers, shares)
}

/** Moves partitions of a topic between its subscribers until their totals differ as little as they can. @returns whether any moved */
function even(ledger: Ledger, { id, subscribers }: SharedTopic): boolean {
  if (isEven(ledger, subscribers)) return false
  const owners = ledger.owners(id)
  const place = new Map(subscribers.map((member, i) => [member, i]))
  const held = subscribers.map(() => 0)
  for (const owner of owners) held[place.get(owner)!]!++
  const others = subscribers.map((member, i) => ledger.counts[member]! - held[i]!)
  const shares = levelled(others, held, owners.length)
  const free: number[] = []
  for (let partition = owners.length - 1; partition >= 0; partition--) {
    const i = place.get(owners[partition]!)!
    if (held[i]! <= shares[i]!) continue
    held[i]!--
    free.push(partition)
    ledger.release(owners, partition)
  }
  hand(
    ledger,
    owners,
    free.reverse(),
    subscribers,
    shares.map((share, i) => share - held[i]!),
  )
  return free.length > 0
}

function isEven({ counts }: Ledger, members: readonly number[]): boolean {
  let least = Number.POSITIVE_INFINITY
  let most = 0
  for (const member of members) {
    const count = counts[member]!
    if (count < least) least = count
    if (count > most) most = count
  }
  return most - least <= 1
}

function placesOf(owners: Int32Array, member: number): number[] {
  const places: number[] = []
  owners.forEach((owner, partition) => {
    if (owner === member) places.push(partition)
  })
  return places
}

function hand(
  ledger: Ledger,
  owners: Int32Array,
  partitions: readonly number[],
  members: readonly number[],
  shares: readonly number[],
): void {
  let at = 0
  members.forEach((member, i) => {
    for (let n = shares[i]!; n > 0; n--) ledger.give(owners, partitions[at++]!, member)
  })
}

/**
 * How many of `count` partitions each member gets so that the totals come out as level as water would stand over the loads
 * that they have besides. What does not come out even stays with those who hold more already.
 */
export function levelled(
  loads: readonly number[],
  held: readonly number[],
  count: number,
): number[] {
  const order = loads.map((_, i) => i).sort((a, b) => loads[a]! - loads[b]! || a - b)
  let width = 0
  let sum = count
  // One more member is under water as long as the water stands above its load.
  while (width < order.length && sum > loads[order[width]!]! * width) sum += loads[order[width++]!]!
  const level = Math.floor(sum / width)
  let rest = sum % width
  const shares = loads.map(() => 0)
  const wet = order.slice(0, width)
  for (const i of wet) shares[i] = level - loads[i]!
  for (const isRicher of [true, false]) {
    for (const i of wet) {
      if (rest === 0) break
      const base = level - loads[i]!
      if (held[i]! > base !== isRicher || shares[i] !== base) continue
      shares[i] = base + 1
      rest--
    }
  }
  return shares
}
