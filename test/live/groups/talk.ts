import { servedApis } from '../../../src/apis/index.ts'
import type { Api } from '../../../src/protocol/schema.ts'
import { subscription } from '../../apis/grouping.ts'
import type { Body, Pair, Step, TwoBrokers } from './two-brokers.ts'

/** API keys. */
export const Key = {
  ...{ commit: 8, fetch: 9, find: 10, join: 11, beat: 12, leave: 13, sync: 14, describe: 15 },
  ...{ list: 16, delete: 42, forget: 47, consume: 68, show: 69 },
} as const

export const apiOf = (key: number): Api => servedApis.find(api => api.request.apiKey === key)!
export const nameOf = ({ request }: Api): string => request.name.replace('Request', '')

const compact = (value: unknown): string =>
  JSON.stringify(value, (_, one) => {
    return one?.type === 'Buffer' ? `<${one.data.length}>` : one
  })

/** Takes what both have answered. @returns whether that is different */
export type Judge = (where: string, history: readonly string[], pair: Pair, last: Step) => boolean

const run = `x${Date.now().toString(36)}`
let groups = 0

/** What is known of one group, and how to talk about it. */
export class Talk {
  readonly group = `${run}-${++groups}`
  readonly #brokers: TwoBrokers
  readonly #judge: Judge
  readonly #where: string
  readonly history: string[] = []
  /** Generation or epoch by member. */
  readonly generations = new Map<string, number>()
  isDifferent = false

  constructor(brokers: TwoBrokers, judge: Judge, where: string) {
    this.#brokers = brokers
    this.#judge = judge
    this.#where = where
    brokers.prefix = this.group
    brokers.abandon()
  }

  id(member: string): string {
    return `@${this.group}.${member}`
  }

  generation(member: string): number {
    return this.generations.get(member) ?? 0
  }

  /** Kafka's answer, or undefined while it is parked. */
  async send(member: string, key: number, version: number, body: Body): Promise<Body | undefined> {
    const by = `${this.group}.${member}`
    const step: Step = { by, api: apiOf(key), version, body: { groupId: this.group, ...body } }
    this.history.push(`${member}: ${nameOf(step.api)} v${version} ${compact(step.body)}`)
    const pairs = await this.#brokers.send(step, key === Key.join || key === Key.sync)
    for (const pair of pairs) {
      const { kafka } = pair
      const { generationId, memberEpoch, errorCode } = (kafka ?? {}) as Body
      const who = pair.step.by.slice(this.group.length + 1)
      const epoch = generationId ?? memberEpoch
      if (errorCode === 0 && typeof epoch === 'number') this.generations.set(who, epoch)
      if (this.#judge(this.#where, this.history, pair, step)) this.isDifferent = true
    }
    return pairs.find(pair => pair.step === step)?.kafka as Body | undefined
  }

  join(member: string, over: Body = {}, version = 5) {
    return this.send(member, Key.join, version, {
      ...{ memberId: '', sessionTimeoutMs: 60_000, rebalanceTimeoutMs: 60_000 },
      protocolType: 'consumer',
      protocols: [{ name: 'range', metadata: subscription('t1') }],
      ...over,
    })
  }

  /** Joins with the id that it is given first. */
  async joinTwice(member: string, over: Body = {}) {
    await this.join(member, over)
    return this.join(member, { memberId: this.id(member), ...over })
  }

  sync(member: string, over: Body = {}, version = 4) {
    return this.send(member, Key.sync, version, {
      ...{ memberId: this.id(member), generationId: this.generation(member) },
      ...{ protocolType: 'consumer', protocolName: 'range' },
      assignments: [{ memberId: this.id(member), assignment: Buffer.from('mine') }],
      ...over,
    })
  }

  commit(member: string, over: Body = {}, version = 9) {
    const partition = { committedOffset: 7, committedLeaderEpoch: 3, committedMetadata: 'text' }
    const partitions = [0, 1].map(partitionIndex => ({ ...partition, partitionIndex }))
    return this.send(member, Key.commit, version, {
      ...{ memberId: '', generationIdOrMemberEpoch: -1 },
      topics: [{ name: 't1', topicId: '#t1', partitions }],
      ...over,
    })
  }

  leave(member: string, over: Body = {}, version = 3) {
    const one = { memberId: this.id(member), groupInstanceId: null, ...over }
    return this.send(member, Key.leave, version, { members: [one], memberId: one.memberId! })
  }

  consume(member: string, over: Body = {}, version = 1) {
    const joining = {
      subscribedTopicNames: ['t1'],
      rebalanceTimeoutMs: 60_000,
      topicPartitions: [],
    }
    const memberEpoch = over.memberEpoch ?? 0
    return this.send(member, Key.consume, version, {
      ...{ memberId: `${this.group}.${member}`, memberEpoch },
      ...(memberEpoch === 0 ? joining : {}),
      ...over,
    })
  }
}
