import type { Target } from '../assignment.ts'
import type { AssignedMember, AssignedTopic } from './assignor.ts'

export const NOBODY = -1

/** Who is to have which partition, while an assignor moves them about. Members are numbers: their places in the list. */
export class Ledger {
  readonly #members: readonly AssignedMember[]
  /** By topic id: the member of each partition. */
  readonly #owners = new Map<string, Int32Array>()
  readonly #topics: readonly AssignedTopic[]
  /** Partitions that each member has. */
  readonly counts: Int32Array
  readonly #isChanged: Uint8Array

  /** Begins with the targets so far, as far as they still hold. */
  constructor(members: readonly AssignedMember[], topics: readonly AssignedTopic[]) {
    this.#members = members
    this.#topics = topics
    this.counts = new Int32Array(members.length)
    this.#isChanged = new Uint8Array(members.length)
    for (const { id, partitions } of topics) {
      this.#owners.set(id, new Int32Array(partitions).fill(NOBODY))
    }
  }

  owners(topicId: string): Int32Array {
    return this.#owners.get(topicId)!
  }

  /** Takes over what the member is to have so far, of the topics that it subscribes to. */
  keep(member: number, isSubscribed: (topicId: string) => boolean): void {
    for (const [topicId, partitions] of this.#members[member]!.target) {
      const owners = isSubscribed(topicId) ? this.#owners.get(topicId) : undefined
      for (const partition of partitions) {
        if (owners?.[partition] === NOBODY) {
          owners[partition] = member
          this.counts[member]!++
        } else {
          this.#isChanged[member] = 1
        }
      }
    }
  }

  give(owners: Int32Array, partition: number, member: number): void {
    this.release(owners, partition)
    owners[partition] = member
    this.counts[member]!++
    this.#isChanged[member] = 1
  }

  release(owners: Int32Array, partition: number): void {
    const member = owners[partition]!
    if (member === NOBODY) return
    owners[partition] = NOBODY
    this.counts[member]!--
    this.#isChanged[member] = 1
  }

  targets(): Target[] {
    const targets = this.#members.map((member, i) =>
      this.#isChanged[i] === 1 ? new Map<string, number[]>() : member.target,
    )
    for (const { id } of this.#topics) {
      const owners = this.#owners.get(id)!
      for (let partition = 0; partition < owners.length; partition++) {
        const member = owners[partition]!
        if (member === NOBODY || this.#isChanged[member] === 0) continue
        const target = targets[member] as Map<string, number[]>
        const list = target.get(id)
        if (list === undefined) target.set(id, [partition])
        else list.push(partition)
      }
    }
    return targets
  }
}
