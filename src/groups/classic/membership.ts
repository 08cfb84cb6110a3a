import { assert } from '../../assert.ts'
import type { JoinRequest, ProtocolMetadata, Reply } from '../group.ts'
import type { ClassicMember } from './member.ts'

/**
 * Who is in a classic group, under which ids, who leads it and what all of them speak. No state and no time here: that is
 * ClassicGroup's.
 */
export class Membership {
  readonly #members = new Map<string, ClassicMember>()
  /** Member id by group.instance.id. */
  readonly #static = new Map<string, string>()
  /** How many members have each protocol. */
  readonly #supporters = new Map<string, number>()
  leaderId: string | null = null
  protocolType: string | null = null
  /** What all of them take in memory. */
  heldBytes = 0

  get size(): number {
    return this.#members.size
  }

  get all(): Iterable<ClassicMember> {
    return this.#members.values()
  }

  get(memberId: string): ClassicMember | undefined {
    return this.#members.get(memberId)
  }

  staticMemberId(instanceId: string): string | undefined {
    return this.#static.get(instanceId)
  }

  isLeader(memberId: string): boolean {
    return this.leaderId === memberId
  }

  add(member: ClassicMember): void {
    const { memberId, instanceId } = member
    assert(!this.#members.has(memberId), 'a member is added once')
    this.#members.set(memberId, member)
    this.#count(member, 1)
    if (instanceId !== null) this.#static.set(instanceId, memberId)
    this.leaderId ??= memberId
  }

  assign(member: ClassicMember, assignment: Buffer): void {
    this.heldBytes += assignment.length - member.assignment.length
    member.assignment = assignment
  }

  /** Whoever waits for this reply is gone. @returns its member */
  abandon(reply: Reply<never>): ClassicMember | undefined {
    for (const member of this.#members.values()) {
      if (!member.isAwaiting(reply)) continue
      member.isAbandoned = true
      return member
    }
    return undefined
  }

  /** Dynamic members that have not joined again are out. */
  removeAbsent(): void {
    for (const { memberId, instanceId, awaitingJoin } of [...this.#members.values()]) {
      if (awaitingJoin === null && instanceId === null) this.remove(memberId)
    }
  }

  /** Takes over what a member says of itself when it joins again. */
  update(member: ClassicMember, request: JoinRequest): void {
    this.#count(member, -1)
    member.update(request)
    this.#count(member, 1)
  }

  remove(memberId: string): void {
    const member = this.#members.get(memberId)
    if (member === undefined) return
    this.#members.delete(memberId)
    this.#count(member, -1)
    if (member.instanceId !== null) this.#static.delete(member.instanceId)
    if (this.isLeader(memberId)) this.leaderId = this.#members.keys().next().value ?? null
  }

  /** The same static member under a new id; it keeps its role and its assignment. */
  replace(old: ClassicMember, member: ClassicMember): void {
    const wasLeader = this.isLeader(old.memberId)
    this.#members.delete(old.memberId)
    this.#count(old, -1)
    this.#members.set(member.memberId, member)
    this.#count(member, 1)
    if (member.instanceId !== null) this.#static.set(member.instanceId, member.memberId)
    if (wasLeader) this.leaderId = member.memberId
  }

  /** If the leader has not joined again, one that has takes its place. @returns whether there is a leader that has */
  electJoinedLeader(): boolean {
    if (this.leaderId === null) return false
    const isThere = (member: ClassicMember): boolean => member.awaitingJoin !== null
    if (isThere(this.#members.get(this.leaderId)!)) return true
    const joined = [...this.#members.values()].find(isThere)
    if (joined === undefined) return false
    this.leaderId = joined.memberId
    return true
  }

  get haveAllJoined(): boolean {
    for (const { awaitingJoin } of this.#members.values()) if (awaitingJoin === null) return false
    return true
  }

  get awaitingJoinCount(): number {
    let count = 0
    for (const { awaitingJoin } of this.#members.values()) if (awaitingJoin !== null) count++
    return count
  }

  /** Of the group's record at most with this member in the place of another: all but ids of the group, protocol and assignments. */
  recordBytesWith(next: ClassicMember, replaced: ClassicMember | undefined): number {
    let bytes = next.recordBytes
    let leader = next.idBytes
    for (const member of this.#members.values()) {
      if (member === replaced) continue
      bytes += member.recordBytes
      leader = Math.max(leader, member.idBytes)
    }
    return bytes + leader
  }

  /** The next time in ms of broker time at which a session may be over. */
  earliestDeadline(now: number): number {
    let earliest = Number.POSITIVE_INFINITY
    for (const { deadline } of this.#members.values()) {
      // Of a member that waits for an answer the session is over later, if at all.
      if (deadline > now) earliest = Math.min(earliest, deadline)
    }
    return earliest
  }

  /** The longest that any member wants to be waited for, in ms. */
  get rebalanceTimeoutMs(): number {
    let longest = 0
    for (const member of this.#members.values()) {
      longest = Math.max(longest, member.rebalanceTimeoutMs)
    }
    return longest
  }

  /** Whether there is a protocol of this type that all members and these protocols have in common. */
  supports(protocolType: string, protocols: readonly ProtocolMetadata[]): boolean {
    if (this.#members.size === 0) return protocolType !== '' && protocols.length > 0
    if (protocolType !== this.protocolType) return false
    return protocols.some(({ name }) => this.#isCommon(name))
  }

  /** The protocol that all have and most prefer. */
  selectProtocol(): string {
    const candidates = new Set([...this.#supporters.keys()].filter(name => this.#isCommon(name)))
    assert(candidates.size > 0, 'members have a protocol in common')
    const votes = new Map<string, number>()
    for (const member of this.#members.values()) {
      const vote = member.vote(candidates)
      votes.set(vote, (votes.get(vote) ?? 0) + 1)
    }
    return [...votes].reduce((best, one) => (one[1] > best[1] ? one : best))[0]
  }

  #isCommon(protocol: string): boolean {
    return this.#supporters.get(protocol) === this.#members.size
  }

  #count(member: ClassicMember, change: 1 | -1): void {
    this.heldBytes += change * member.heldBytes
    for (const name of new Set(member.protocols.map(p => p.name))) {
      const count = (this.#supporters.get(name) ?? 0) + change
      if (count === 0) this.#supporters.delete(name)
      else this.#supporters.set(name, count)
    }
  }
}
