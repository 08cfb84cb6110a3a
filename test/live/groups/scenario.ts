import { setTimeout as sleep } from 'node:timers/promises'
import kafkajs, { type Kafka } from 'kafkajs'
import * as assert from 'uvu/assert'
import { Client } from '../../../src/client/client.ts'
import { AlterOperation } from '../../../src/configs/alter.ts'
import { incrementalAlterConfigsApi } from '../../../src/protocol/messages/44-incremental-alter-configs.ts'
import { type CallName, type Committed, type Delivered, Member } from './member.ts'
import { createTopics } from './topics.ts'

export type Protocol = 'classic' | 'consumer'

/** What a library may not be able to do: a call, to keep metadata with an offset, to be a static member. */
export type Ability = CallName | 'metadata' | 'static'

export interface Library {
  /** The program and its arguments; the broker's address is the last of them. */
  readonly command: readonly string[]
  readonly protocol: Protocol
  readonly lacks: readonly Ability[]
  /** How the library says that a group is not there: a state, or an error. */
  readonly gone: RegExp
  /** Its consumer leaves for good when it is closed, static or not: such a member can only be killed. */
  readonly alwaysLeaves?: boolean
}

const PARTITIONS = [0, 1, 2, 3, 4, 5]
/** The lowest that a broker allows classic members by default. */
const SESSION_MS = 6_000
/** Heartbeats come every 0.5 s, so that much of the session may be over when a member is killed, and some delay. */
const SESSION_LEFT_MS_MIN = 4_500
const WAIT_MS_MAX = 25_000
const POLL_MS = 20
const DESCRIBE_MS = 100
const GROUP_RESOURCE = 32

/** A consumer group that one client library goes through, see groups.test.ts. */
export class Scenario {
  readonly #address: string
  readonly #name: string
  readonly #library: Library
  readonly #kafka: Kafka
  /** Records written to each partition so far. */
  #end = 0
  /** Where a new owner of each partition must begin. */
  readonly #committed = new Map<number, number>(PARTITIONS.map(p => [p, 0]))
  readonly #members: Member[] = []
  #problem: string | undefined
  #step = 'start'

  constructor(address: string, name: string, library: Library) {
    this.#address = address
    this.#name = name
    this.#library = library
    const logLevel = kafkajs.logLevel.NOTHING
    this.#kafka = new kafkajs.Kafka({ clientId: name, brokers: [address], logLevel })
  }

  async run(): Promise<void> {
    const names = ['A', 'B', 'C']
    const [a, b, c] = names.map(name => this.#member(name)) as [Member, Member, Member]
    try {
      await this.#prepare()
      await this.#share(a, b, c)
      await this.#leave(a, b, c)
      const still = await this.#returnWithStaticId(a, b, c)
      await this.#kill(a, [c, ...still])
      await this.#commit(a)
      await this.#reset(a)
      await this.#delete(a)
    } catch (error) {
      const { message, details = '' } = error as Error & { details?: string }
      const what = `${this.#name}, ${this.#step}: ${message}\n${details}`
      throw new Error(`${what}\n${this.#members.join('\n')}`, { cause: error })
    } finally {
      await Promise.all(this.#members.map(member => member.kill()))
    }
  }

  /** One joins and gets everything; two more join, and all three share, going on where the first has committed. */
  async #share(a: Member, b: Member, c: Member): Promise<void> {
    this.#step = 'three members join'
    await this.#join(a)
    await this.#owners(a)
    await this.#delivered(a)
    await this.#commitAt(this.#end - 5, 'half way', a)
    await Promise.all([this.#join(b), this.#join(c)])
    await this.#owners(a, b, c)
    await this.#deliverMore(a, b, c)
    await this.#described(a, 'stable', a, b, c)
    assert.ok((await a.call('list', {})).includes(this.#name), 'the group is listed')
  }

  async #leave(a: Member, b: Member, c: Member): Promise<void> {
    this.#step = 'one leaves'
    await b.leave()
    await this.#owners(a, c)
    await this.#deliverMore(a, c)
    await this.#described(a, 'stable', a, c)
  }

  /** Resolves to the static members that are still in the group. */
  async #returnWithStaticId(a: Member, b: Member, c: Member): Promise<Member[]> {
    if (!this.#can('static')) return []
    this.#step = 'one returns with its static id'
    await this.#join(b, 'static')
    await this.#owners(a, b, c)
    await this.#deliverMore(a, b, c)
    await this.#commitAt(this.#end - 1, 'before the return', a, b, c)
    const { owned, generation } = b
    const others = [a, c].map(({ assignments }) => assignments)
    const back = await this.#return(b)
    await this.#until('the same partitions', () => back.owned.join() === owned.join())
    await this.#deliverMore(a, back, c)
    await this.#described(a, 'stable', a, back, c)
    const after = [a, c].map(({ assignments }) => assignments)
    assert.equal(after, others, 'the others were not told of anything')
    assert.is(back.generation, generation, 'the generation')
    if (!this.#can('evict')) return [back]
    if (this.#library.alwaysLeaves) await back.kill()
    else await back.leave()
    await a.call('evict', { group: this.#name, instance: 'static' })
    await this.#owners(a, c)
    return []
  }

  async #return(member: Member): Promise<Member> {
    let back = member
    if (this.#library.alwaysLeaves) {
      await member.kill()
      back = this.#member(member.name)
    } else {
      await member.leave()
    }
    await this.#join(back, 'static')
    return back
  }

  async #kill(a: Member, killed: readonly Member[]): Promise<void> {
    this.#step = 'one is killed'
    const started = performance.now()
    await Promise.all(killed.map(member => member.kill()))
    await this.#owners(a)
    const ms = performance.now() - started
    assert.ok(ms >= SESSION_LEFT_MS_MIN, `its session was over after ${Math.round(ms)} ms`)
    await this.#deliverMore(a)
    await this.#described(a, 'stable', a)
  }

  async #commit(a: Member): Promise<void> {
    this.#step = 'offsets are committed'
    const at = this.#end - 3
    await this.#commitAt(at, 'three to go', a)
    await this.#isCommitted(a, at, 'three to go')
    if (this.#can('committed')) {
      const seen = await a.call('committed', { partitions: PARTITIONS })
      assert.equal(seen, this.#expected(at, 'three to go'))
    }
    await this.#refused(a.call('deleteGroup', { group: this.#name }), /non.?empty|not empty/i)
    const offsets = offsetsAt(0)
    const reset = a.call('reset', { group: this.#name, topic: this.#name, offsets })
    await this.#refused(reset, /unknown.?member|not aware|running|non.?empty|not empty/i)
    await a.leave()
    await this.#described(a, 'empty')
    this.#step = 'a new member goes on from what was committed'
    await this.#join(a)
    await this.#delivered(a)
    await a.leave()
    await this.#described(a, 'empty')
  }

  async #reset(a: Member): Promise<void> {
    this.#step = 'offsets are reset'
    const group = this.#name
    await a.call('reset', { group, topic: this.#name, offsets: offsetsAt(2) })
    for (const partition of PARTITIONS) this.#committed.set(partition, 2)
    await this.#isCommitted(a, 2, '')
    await this.#join(a)
    await this.#delivered(a)
    await a.leave()
    await this.#described(a, 'empty')
  }

  async #delete(a: Member): Promise<void> {
    const group = this.#name
    if (this.#can('deleteOffsets')) await this.#deleteOffsets(a)
    this.#step = 'the group is deleted'
    await a.call('deleteGroup', { group })
    assert.not.ok((await a.call('list', {})).includes(group), 'the group is not listed')
    assert.equal(await a.call('offsets', { group, topic: this.#name }), {})
    if (!this.#can('describe')) return
    const seen = await a.call('describe', { group }).then(
      ({ state }) => state,
      (error: Error) => error.message,
    )
    matches(seen, this.#library.gone)
  }

  async #deleteOffsets(a: Member): Promise<void> {
    this.#step = 'offsets are deleted'
    const group = this.#name
    const other = { group, topic: this.#other }
    await a.call('reset', { ...other, offsets: { 0: 1 } })
    await a.call('deleteOffsets', { group, topic: this.#name, partitions: PARTITIONS })
    assert.equal(await a.call('offsets', { group, topic: this.#name }), {})
    assert.equal(await a.call('offsets', other), { 0: [1, ''] }, 'those of another topic stay')
  }

  get #other(): string {
    return `${this.#name}-other`
  }

  #can(ability: Ability): boolean {
    return !this.#library.lacks.includes(ability)
  }

  #member(name: string): Member {
    const { command } = this.#library
    const whole = [...command, this.#address]
    const member = new Member(name, whole, (from, record) => this.#onRecord(from, record))
    this.#members.push(member)
    return member
  }

  /** A topic with 6 partitions of 10 records, another with 1 of 2; the session timeout for the new protocol. */
  async #prepare(): Promise<void> {
    this.#step = 'prepare'
    await createTopics(this.#kafka, { [this.#name]: PARTITIONS.length, [this.#other]: 1 })
    await this.#produce(10)
    if (this.#library.protocol === 'consumer') await this.#setSessionTimeout()
  }

  /** Members of the new protocol do not choose it: it is a config of the group. */
  async #setSessionTimeout(): Promise<void> {
    const [host, port] = this.#address.split(':') as [string, string]
    const client = await Client.connect({ host, port: Number(port) })
    try {
      const name = 'consumer.session.timeout.ms'
      const config = { name, configOperation: AlterOperation.SET, value: String(SESSION_MS) }
      const resource = { resourceType: GROUP_RESOURCE, resourceName: this.#name, configs: [config] }
      const request = { resources: [resource], validateOnly: false }
      const { responses } = await client.send(incrementalAlterConfigsApi, 1, request)
      assert.equal(responses[0]?.errorCode, 0, responses[0]?.errorMessage ?? '')
    } finally {
      await client.close()
    }
  }

  /** Writes `count` records to every partition. */
  async #produce(count: number): Promise<void> {
    const producer = this.#kafka.producer()
    await producer.connect()
    const messages = PARTITIONS.flatMap(partition =>
      Array.from({ length: count }, (_, i) => ({ partition, key: `k${i}`, value: `v${i}` })),
    )
    await producer.send({ topic: this.#name, messages })
    this.#end += count
    await producer.disconnect()
  }

  /** A new owner begins where the last one has committed; one that goes on may read again, but skip nothing. */
  #onRecord(member: Member, { partition, offset }: Delivered): void {
    const next = member.next.get(partition)
    const committed = this.#committed.get(partition)
    if (next === undefined ? offset === committed : offset <= next) return
    const expected = next ?? committed
    this.#problem ??= `${member.name} read ${partition} at ${offset}, not at ${expected}`
  }

  async #join(member: Member, instance: string | null = null): Promise<void> {
    const { protocol } = this.#library
    await member.join({ group: this.#name, topic: this.#name, protocol, instance })
  }

  /** Waits until these members own every partition once, as many each: so do all the assignors share 6 of them. */
  #owners(...members: Member[]): Promise<void> {
    const shared = () => {
      const owned = members.flatMap(member => member.owned)
      const isAll = owned.sort((x, y) => x - y).join() === PARTITIONS.join()
      return (
        isAll && members.every(({ owned: own }) => own.length === owned.length / members.length)
      )
    }
    const names = members.map(({ name }) => name).join(' and ')
    return this.#until(`every partition owned once, by ${names}`, shared)
  }

  /** Waits until every partition has been read to its end by the one who owns it. */
  #delivered(...members: Member[]): Promise<void> {
    const isRead = (partition: number) => {
      const owner = members.find(member => member.owned.includes(partition))
      return owner !== undefined && owner.next.get(partition) === this.#end
    }
    return this.#until(`every record up to ${this.#end}`, () => PARTITIONS.every(isRead))
  }

  async #deliverMore(...members: Member[]): Promise<void> {
    await this.#produce(1)
    await this.#delivered(...members)
  }

  /** Each commits for what it owns. */
  async #commitAt(offset: number, metadata: string, ...members: Member[]): Promise<void> {
    for (const member of members) {
      await member.call('commit', { offsets: offsetsAt(offset, member.owned), metadata })
      for (const partition of member.owned) this.#committed.set(partition, offset)
    }
  }

  #expected(offset: number, metadata: string): Committed {
    const kept = this.#can('metadata') ? metadata : ''
    return Object.fromEntries(PARTITIONS.map(partition => [partition, [offset, kept]]))
  }

  async #isCommitted(asker: Member, offset: number, metadata: string): Promise<void> {
    const seen = await asker.call('offsets', { group: this.#name, topic: this.#name })
    assert.equal(seen, this.#expected(offset, metadata))
  }

  /** Waits until the group is described as in this state, with these members. */
  async #described(asker: Member, state: string, ...members: Member[]): Promise<void> {
    if (!this.#can('describe')) return
    const deadline = performance.now() + WAIT_MS_MAX
    for (;;) {
      const seen = await asker.call('describe', { group: this.#name })
      const expected = members.map(({ owned }) => owned.join()).sort()
      const owned = seen.members.map(({ partitions }) => partitions.sort().join()).sort()
      if (plain(seen.state) === state && owned.join(';') === expected.join(';')) return
      if (performance.now() > deadline) {
        throw new Error(`described as ${JSON.stringify(seen)}, not ${state} ${expected.join(';')}`)
      }
      await sleep(DESCRIBE_MS)
    }
  }

  async #refused(call: Promise<unknown>, why: RegExp): Promise<void> {
    const message = await call.then(
      () => 'it was not refused',
      (error: Error) => error.message,
    )
    matches(message, why)
  }

  async #until(what: string, holds: () => boolean): Promise<void> {
    const deadline = performance.now() + WAIT_MS_MAX
    for (;;) {
      const failure = this.#members.find(member => member.failure !== undefined)?.failure
      if (failure !== undefined) throw failure
      if (this.#problem !== undefined) throw new Error(this.#problem)
      if (holds()) return
      if (performance.now() > deadline) throw new Error(`not within ${WAIT_MS_MAX} ms: ${what}`)
      await sleep(POLL_MS)
    }
  }
}

function offsetsAt(offset: number, partitions: readonly number[] = PARTITIONS) {
  return Object.fromEntries(partitions.map(partition => [partition, offset]))
}

function matches(text: string, pattern: RegExp): void {
  assert.ok(pattern.test(text), `${pattern} does not match ${JSON.stringify(text)}`)
}

/** PREPARING_REBALANCE, PreparingRebalance and preparing-rebalance are the same state. */
function plain(state: string): string {
  return state.toLowerCase().replace(/[^a-z]/g, '')
}
