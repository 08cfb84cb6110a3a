import { unfencedKey, type View } from '../replication/next-state.ts'
import { fromEntry, PARTITION_PREFIX, type PartitionState } from '../replication/partition-state.ts'
import type { Entry, WatchEvent } from '../replication/types.ts'
import { TOPIC_PREFIX } from '../topics/topic-record.ts'
import { DiffBuilder, type ImageDiff } from './image-diff.ts'
import { BROKERS_PREFIX, NODES_PREFIX, type Registration, registrationOf } from './registration.ts'

/** One partition by topic id and index. */
export interface PartitionRef {
  readonly key: string
  readonly topicId: string
  readonly index: number
}

export interface ImageTopic {
  readonly name: string
  readonly id: string
  readonly partitions: number
  readonly revision: number
  /** All of `topics/<name>`. */
  readonly entry: Entry
}

/** A key as it was at some revision; null: it was not there. */
export type Known =
  | Entry
  | { readonly key: string; readonly value: null; readonly revision: number }

/** A partition's place in the image; the object stays the same while the record exists. */
class Slot implements PartitionRef {
  readonly key: string
  readonly topicId: string
  readonly index: number
  state: PartitionState

  constructor(key: string, state: PartitionState) {
    const cut = key.lastIndexOf('/')
    this.key = key
    this.topicId = key.slice(PARTITION_PREFIX.length, cut)
    this.index = Number(key.slice(cut + 1))
    this.state = state
  }
}

/**
 * The cluster as this broker knows it: all brokers, topics and partition records, and the one place that says who leads. Made
 * from a list of all keys at one revision and the events after it, in order; what this broker's own transactions have done
 * or were refused for may be told ahead of the watch (`learn`). Each key is at its newest known revision, and everything up
 * to `revision` is in here: so whoever sees a broker's registration here also sees all that was written before it.
 */
export class ClusterImage {
  /** Everything up to here has been told. */
  revision = 0
  readonly #entries = new Map<string, Entry>()
  /** Deletions that were learnt ahead of the watch, and their revision: an older list must not bring the key back. */
  readonly #deleted = new Map<string, number>()
  readonly #slots = new Map<string, Slot>()
  readonly #byTopic = new Map<string, Map<number, Slot>>()
  /** Where a broker is a replica. */
  readonly #byBroker = new Map<number, Set<Slot>>()
  readonly #brokers = new Map<number, Registration>()
  readonly #nodes = new Set<number>()
  readonly #topicKeys = new Map<string, ImageTopic>()
  readonly #topics = new Map<string, ImageTopic>()
  readonly #topicIds = new Map<string, ImageTopic>()

  /** A transaction that a watch tells of, in order of revision. Those known already change nothing. */
  apply(event: WatchEvent): ImageDiff {
    const diff = new DiffBuilder(this)
    for (const { key, value, created } of event.changes) {
      if (value === null) this.#remove(key, event.revision, diff)
      else this.#put({ key, value, created, revision: event.revision }, diff)
    }
    this.#advance(event.revision)
    return diff.build()
  }

  /** All there is at a revision, after which the watch goes on. What is not in it is gone. */
  reset(revision: number, entries: readonly Entry[]): ImageDiff {
    const diff = new DiffBuilder(this)
    const isThere = new Set(entries.map(({ key }) => key))
    for (const [key, entry] of this.#entries) {
      // What was learnt of later transactions is not in an older list.
      if (!isThere.has(key) && entry.revision <= revision) this.#remove(key, revision, diff)
    }
    for (const entry of entries) this.#put(entry, diff)
    this.#advance(revision)
    return diff.build()
  }

  /**
   * What this broker's own transactions have told (`knownBy`), ahead of the watch. What comes after the watch has told of it
   * is old: the key may have been deleted since.
   */
  learn(known: readonly Known[]): ImageDiff {
    const diff = new DiffBuilder(this)
    for (const entry of known) {
      if (entry.revision <= this.revision) continue
      if (entry.value !== null) this.#put(entry as Entry, diff)
      else {
        this.#remove(entry.key, entry.revision, diff)
        this.#deleted.set(entry.key, entry.revision)
      }
    }
    return diff.build()
  }

  /** How many keys there are. */
  get size(): number {
    return this.#entries.size
  }

  entry(key: string): Entry | null {
    return this.#entries.get(key) ?? null
  }

  broker(id: number): Registration | null {
    return this.#brokers.get(id) ?? null
  }

  /** In order of id. */
  get brokers(): readonly Registration[] {
    return [...this.#brokers.values()].sort((a, b) => a.id - b.id)
  }

  /** Running or not. */
  hasNode(id: number): boolean {
    return this.#nodes.has(id)
  }

  /** Ids of all brokers that there are, running or not: until they are unregistered. In order. */
  get nodes(): readonly number[] {
    return [...this.#nodes].sort((a, b) => a - b)
  }

  /** create_revision of `unfenced/<id>`, if that was written for the registration that the broker has; else 0. */
  unfenced(id: number): number {
    const entry = this.#entries.get(unfencedKey(id))
    if (entry === undefined) return 0
    const { epoch } = entry.value as { readonly epoch: number }
    return this.#brokers.get(id)?.epoch === epoch ? entry.created : 0
  }

  topic(name: string): ImageTopic | null {
    return this.#topics.get(name) ?? null
  }

  topicByKey(key: string): ImageTopic | null {
    return this.#topicKeys.get(key) ?? null
  }

  topicById(id: string): ImageTopic | null {
    return this.#topicIds.get(id) ?? null
  }

  /** Of a partition's record. */
  topicOf(key: string): ImageTopic | null {
    const slot = this.#slots.get(key)
    return slot === undefined ? null : this.topicById(slot.topicId)
  }

  get topics(): Iterable<ImageTopic> {
    return this.#topics.values()
  }

  partition(topicId: string, index: number): PartitionState | null {
    return this.#byTopic.get(topicId)?.get(index)?.state ?? null
  }

  partitionAt(key: string): PartitionState | null {
    return this.#slots.get(key)?.state ?? null
  }

  /** Of one topic id, whether it is a topic or not: in order of index. */
  partitionsOf(topicId: string): readonly PartitionRef[] {
    return [...(this.#byTopic.get(topicId)?.values() ?? [])].sort((a, b) => a.index - b.index)
  }

  /** Those that the broker is a replica of, in no order that means anything. */
  partitionsOn(id: number): Iterable<PartitionRef> {
    return this.#byBroker.get(id) ?? []
  }

  get partitions(): Iterable<PartitionRef> {
    return this.#slots.values()
  }

  /** What nextState asks about brokers, for one partition. */
  view(key: string): View {
    return new PartitionView(this, key.slice(PARTITION_PREFIX.length))
  }

  #advance(revision: number): void {
    this.revision = Math.max(this.revision, revision)
    for (const [key, at] of this.#deleted) if (at <= this.revision) this.#deleted.delete(key)
  }

  #put(entry: Entry, diff: DiffBuilder): void {
    const { key, revision } = entry
    if ((this.#entries.get(key)?.revision ?? 0) >= revision) return
    if ((this.#deleted.get(key) ?? 0) >= revision) return
    this.#deleted.delete(key)
    if (key.startsWith(PARTITION_PREFIX)) this.#putPartition(entry, diff)
    else {
      diff.touch(key)
      this.#entries.set(key, entry)
      this.#index(key, entry)
    }
  }

  /** @returns whether the key was there, older than that */
  #remove(key: string, revision: number, diff: DiffBuilder): boolean {
    const entry = this.#entries.get(key)
    if (entry === undefined || entry.revision > revision) return false
    if (key.startsWith(PARTITION_PREFIX)) diff.partition(this.#slots.get(key)!)
    else diff.touch(key)
    this.#entries.delete(key)
    this.#index(key, null)
    return true
  }

  #putPartition(entry: Entry, diff: DiffBuilder): void {
    const state = fromEntry(entry)
    let slot = this.#slots.get(entry.key)
    this.#entries.set(entry.key, entry)
    if (slot === undefined) {
      slot = new Slot(entry.key, state)
      diff.newPartition(slot)
      this.#slots.set(entry.key, slot)
      const ofTopic = this.#byTopic.get(slot.topicId) ?? new Map<number, Slot>()
      this.#byTopic.set(slot.topicId, ofTopic.set(slot.index, slot))
    } else {
      diff.partition(slot)
      this.#leave(slot)
    }
    slot.state = state
    for (const id of state.replicas) {
      const onBroker = this.#byBroker.get(id) ?? new Set<Slot>()
      this.#byBroker.set(id, onBroker.add(slot))
    }
  }

  #leave(slot: Slot): void {
    for (const id of slot.state.replicas) this.#byBroker.get(id)?.delete(slot)
  }

  #removePartition(key: string): void {
    const slot = this.#slots.get(key)!
    this.#leave(slot)
    this.#slots.delete(key)
    const ofTopic = this.#byTopic.get(slot.topicId)!
    ofTopic.delete(slot.index)
    if (ofTopic.size === 0) this.#byTopic.delete(slot.topicId)
  }

  #index(key: string, entry: Entry | null): void {
    if (key.startsWith(BROKERS_PREFIX)) {
      const id = Number(key.slice(BROKERS_PREFIX.length))
      if (entry === null) this.#brokers.delete(id)
      else this.#brokers.set(id, registrationOf(entry))
    } else if (key.startsWith(NODES_PREFIX)) {
      const id = Number(key.slice(NODES_PREFIX.length))
      if (entry === null) this.#nodes.delete(id)
      else this.#nodes.add(id)
    } else if (key.startsWith(TOPIC_PREFIX)) this.#indexTopic(key, entry)
    else if (key.startsWith(PARTITION_PREFIX)) this.#removePartition(key)
  }

  /** The key is made from the name, but does not hold it: `.` and `_` are one there. */
  #indexTopic(key: string, entry: Entry | null): void {
    const old = this.#topicKeys.get(key)
    if (old !== undefined) {
      this.#topicKeys.delete(key)
      this.#topics.delete(old.name)
      this.#topicIds.delete(old.id)
    }
    if (entry === null) return
    const value = entry.value as { readonly name: string; id: string; partitions: number }
    const { revision } = entry
    const topic = { name: value.name, id: value.id, partitions: value.partitions, revision, entry }
    this.#topicKeys.set(key, topic)
    this.#topics.set(topic.name, topic)
    this.#topicIds.set(topic.id, topic)
  }
}

class PartitionView implements View {
  readonly #image: ClusterImage
  readonly #partition: string

  constructor(image: ClusterImage, partition: string) {
    this.#image = image
    this.#partition = partition
  }

  unfenced(id: number): ReturnType<View['unfenced']> {
    const created = this.#image.unfenced(id)
    if (created === 0) return null
    const { epoch, incarnation } = this.#image.broker(id)!
    return { epoch, incarnation, created }
  }

  draining(id: number): boolean {
    return this.#image.broker(id)?.draining === true
  }

  full(id: number): boolean {
    return this.#image.broker(id)?.full === true
  }

  failed(id: number): boolean {
    return this.#image.broker(id)?.failed.has(this.#partition) === true
  }
}
