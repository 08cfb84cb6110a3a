import * as assert from 'uvu/assert'
import type { JoinResponse, SyncResponse } from '../../src/groups/group.ts'
import { ErrorCode } from '../../src/protocol/error-codes.ts'
import type { Random } from '../lib/random.ts'
import { type ClassicDriver, type Parked, REBALANCE_MS, SESSION_MS } from './classic-driver.ts'

/** What all members of a run have been told, held against what a group may tell. */
export class Model {
  hasRestarted = false
  /** By generation: who was told to lead it, with which members, and under which protocol. */
  readonly #leaders = new Map<number, { leader: string; members: string[]; protocol: string }>()
  /** What the leader of a generation gave each member. */
  readonly #assigned = new Map<number, ReadonlyMap<string, string>>()

  joined(answer: JoinResponse, isRejoin: boolean): void {
    const generation = answer.generationId!
    const protocol = answer.protocolName!
    const known = this.#leaders.get(generation)
    if (answer.members!.length === 0) {
      if (known !== undefined) assert.is(protocol, known.protocol, 'one protocol a generation')
      return
    }
    const members = answer.members!.map(member => member.memberId).sort()
    assert.is(answer.leader, answer.memberId, 'only the leader is told the members')
    assert.ok(members.includes(answer.memberId))
    if (known !== undefined && !isRejoin) {
      assert.unreachable(`generation ${generation} has two leaders: ${known.leader}`)
    }
    this.#leaders.set(generation, { leader: answer.memberId, members, protocol })
  }

  /** The leader hands out what it decides: for each member a text that names it and the generation. */
  assign(generation: number, members: readonly string[]): Record<string, string> {
    const given = new Map(members.map(id => [id, `${generation} for ${id}`]))
    this.#assigned.set(generation, given)
    return Object.fromEntries(given)
  }

  synced(member: Member, generation: number, answer: SyncResponse): void {
    const given = this.#assigned.get(generation)
    assert.ok(given !== undefined, 'nobody has an assignment before the leader gives it')
    const text = answer.assignment!.toString()
    const own = given.get(member.memberId)
    if (own !== undefined) assert.is(text, own, 'to each his own')
    // A static member may have taken the place of one under another id.
    else if (member.instanceId !== null) assert.match(text, new RegExp(`^(${generation} for .*)?$`))
    else assert.is(text, '', 'nothing for those whom the leader did not know')
  }

  /** The broker has started anew from its log: generations after this one will be counted again. */
  restarted(generation: number): void {
    this.hasRestarted = true
    for (const map of [this.#leaders, this.#assigned]) {
      for (const later of [...map.keys()]) if (later > generation) map.delete(later)
    }
  }
}

const TIMED_OUT = 0.02

/** A client of the classic protocol: one request under way at a time, as clients do it. */
export class Member {
  memberId = ''
  generation = -1
  readonly instanceId: string | null
  readonly #model: Model
  readonly #random: Random
  readonly #sessionTimeoutMs: number
  #protocols: string[]
  #join: Parked<JoinResponse> | null = null
  #sync: Parked<SyncResponse> | null = null
  #isRejoin = false
  /** Generation whose assignment it has, or -1. */
  has = -1
  isDead = false

  constructor(model: Model, random: Random, instanceId: string | null) {
    this.#model = model
    this.#random = random
    this.instanceId = instanceId
    this.#protocols = this.#anyProtocols()
    // Some outlive a rebalance that they do not join, some do not.
    this.#sessionTimeoutMs = random.pick([SESSION_MS, 3 * REBALANCE_MS])
  }

  #anyProtocols(): string[] {
    return this.#random.pick([['a'], ['a', 'b'], ['b', 'a'], ['c', 'a']])
  }

  get isSettled(): boolean {
    return this.#join === null && this.#sync === null && this.has === this.generation
  }

  /** Does what is next. */
  step(driver: ClassicDriver): void {
    if (this.#join !== null) this.#takeJoin(driver)
    else if (this.#sync !== null) this.#takeSync()
    else if (this.has === this.generation && this.generation !== -1) this.#beat(driver)
    else this.#sendJoin(driver)
  }

  #sendJoin(driver: ClassicDriver): void {
    if (this.#random.chance(0.1)) this.#protocols = this.#anyProtocols()
    this.#isRejoin = this.memberId !== ''
    this.#join = driver.join({
      memberId: this.memberId,
      groupInstanceId: this.instanceId,
      protocols: this.#protocols.map(name => ({ name, metadata: Buffer.from(name) })),
      sessionTimeoutMs: this.#sessionTimeoutMs,
      version: this.#random.pick([3, 5, 9]),
    })
  }

  #takeJoin(driver: ClassicDriver): void {
    const parked = this.#join!
    if (parked.isWaiting) {
      // It gives up now and then, and asks again under the same id.
      if (this.memberId !== '' && this.#random.chance(TIMED_OUT)) this.#join = null
      return
    }
    this.#join = null
    const answer = parked.value
    switch (answer.errorCode) {
      case ErrorCode.NONE:
        this.memberId = answer.memberId
        this.#joined(driver, answer)
        return
      case ErrorCode.MEMBER_ID_REQUIRED:
        this.memberId = answer.memberId
        return
      case ErrorCode.UNKNOWN_MEMBER_ID:
      case ErrorCode.FENCED_INSTANCE_ID:
        this.reset()
        return
      case ErrorCode.INCONSISTENT_GROUP_PROTOCOL:
        // After a restart only the protocol in use is known of the others, as in Kafka.
        assert.ok(this.#model.hasRestarted, 'all have a protocol in common')
        this.#protocols = ['a', 'b', 'c']
        this.reset()
        return
      default:
        assert.unreachable(`JoinGroup answered ${answer.errorCode}`)
    }
  }

  #joined(driver: ClassicDriver, answer: JoinResponse): void {
    this.#model.joined(answer, this.#isRejoin || this.instanceId !== null)
    this.generation = answer.generationId!
    this.has = -1
    const isLeader = answer.leader === answer.memberId && answer.skipAssignment !== true
    const members = answer.members!.map(member => member.memberId)
    // A leader that is told again to lead a stable group assigns nothing new.
    const isAsked = isLeader && driver.group.state === 'CompletingRebalance'
    const given = isAsked ? this.#model.assign(this.generation, members) : {}
    this.#sync = driver.sync(this.memberId, this.generation, given, this.instanceId)
  }

  #takeSync(): void {
    const parked = this.#sync!
    if (parked.isWaiting) return
    this.#sync = null
    const answer = parked.value
    switch (answer.errorCode) {
      case ErrorCode.NONE:
        this.#model.synced(this, this.generation, answer)
        this.has = this.generation
        return
      case ErrorCode.REBALANCE_IN_PROGRESS:
      case ErrorCode.ILLEGAL_GENERATION:
        return
      case ErrorCode.UNKNOWN_MEMBER_ID:
      case ErrorCode.FENCED_INSTANCE_ID:
        this.reset()
        return
      default:
        assert.unreachable(`SyncGroup answered ${answer.errorCode}`)
    }
  }

  #beat(driver: ClassicDriver): void {
    const errorCode = driver.group.heartbeat(this.memberId, this.instanceId, this.generation)
    switch (errorCode) {
      case ErrorCode.NONE:
        if (this.#random.chance(0.02)) this.#sendJoin(driver)
        return
      case ErrorCode.REBALANCE_IN_PROGRESS:
      case ErrorCode.ILLEGAL_GENERATION:
        this.has = -1
        this.generation = -1
        return
      default:
        this.reset()
    }
  }

  reset(): void {
    this.memberId = ''
    this.generation = -1
    this.has = -1
    this.#join = null
    this.#sync = null
  }

  /** After a restart of the broker: what was under way is gone, what was acknowledged is known. */
  reconnect(): void {
    this.#join = null
    this.#sync = null
  }
}
