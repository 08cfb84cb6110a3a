import { ZERO_UUID } from '../../../src/protocol/fields.ts'
import { subscription } from '../../apis/grouping.ts'
import { Key, type Talk } from './talk.ts'
import type { Body, Tree } from './two-brokers.ts'

const NO_TOPIC = { name: 'no', topicId: 'cccccccccccccccccccccA' }

/** How a group gets into each state; the member that there is is `m`, a static one has the instance id `i`. */
export const STATES: Readonly<Record<string, (talk: Talk) => Promise<unknown>>> = {
  none: async () => {},
  offsets: talk => talk.commit('x'),
  pending: talk => talk.join('m'),
  completing: talk => talk.joinTwice('m'),
  stable: async talk => {
    await talk.joinTwice('m')
    await talk.sync('m')
    await talk.commit('m', { memberId: talk.id('m'), generationIdOrMemberEpoch: 1 })
  },
  static: async talk => {
    await talk.join('m', { groupInstanceId: 'i' })
    await talk.sync('m', { groupInstanceId: 'i' })
  },
  preparing: async talk => {
    await STATES.stable!(talk)
    await talk.joinTwice('n')
  },
  emptied: async talk => {
    await STATES.stable!(talk)
    await talk.leave('m')
  },
  connect: async talk => {
    await talk.joinTwice('m', { protocolType: 'connect' })
    await talk.sync('m')
    await talk.commit('m', { memberId: talk.id('m'), generationIdOrMemberEpoch: 1 })
  },
  consumer: async talk => {
    await talk.consume('m')
    await talk.commit('m', {
      memberId: talk.id('m'),
      generationIdOrMemberEpoch: talk.generation('m'),
    })
  },
  consumers: async talk => {
    await talk.consume('m')
    await talk.consume('n')
    await talk.consume('m', { memberEpoch: talk.generation('m') })
  },
  consumerStatic: talk => talk.consume('m', { instanceId: 'i' }),
  consumerAway: async talk => {
    await talk.consume('m', { instanceId: 'i' })
    await talk.consume('m', { instanceId: 'i', memberEpoch: -2 })
  },
  consumerEmptied: async talk => {
    await STATES.consumer!(talk)
    await talk.consume('m', { memberEpoch: -1 })
  },
  mixed: async talk => {
    await STATES.stable!(talk)
    await talk.consume('c')
  },
}

interface Who {
  readonly memberId: string
  readonly epoch: number
  readonly instanceId: string | null
}

function* whos(talk: Talk): Generator<Who> {
  const right = talk.generation('m')
  for (const memberId of [talk.id('m'), '', 'nobody'])
    for (const instanceId of [null, 'i', 'other', ''])
      for (const epoch of [right, -1, 0, right + 1, right - 1, -2, -3])
        yield { memberId, epoch, instanceId }
}

/** The bodies that are tried of each API. */
export const PROBES: Readonly<Record<number, (talk: Talk) => Iterable<Body>>> = {
  [Key.beat]: talk => asWhos(talk, 'generationId'),
  [Key.sync]: function* (talk): Generator<Body> {
    const assignments = [{ memberId: talk.id('m'), assignment: Buffer.from('new') }]
    const all = { protocolType: 'consumer', protocolName: 'range', assignments }
    for (const who of asWhos(talk, 'generationId')) yield { ...who, ...all }
    const right = { memberId: talk.id('m'), generationId: talk.generation('m'), ...all }
    yield { ...right, protocolType: 'other' }
    yield { ...right, protocolName: 'other' }
    yield { ...right, protocolType: null }
    yield { ...right, protocolName: null, groupId: '' }
    yield { ...right, assignments: [] }
    yield { ...right, groupId: '' }
  },
  [Key.join]: function* (talk): Generator<Body> {
    const protocols = [{ name: 'range', metadata: subscription('t1') }]
    const timeouts = { sessionTimeoutMs: 60_000, rebalanceTimeoutMs: 60_000 }
    const all = { ...timeouts, protocolType: 'consumer', protocols }
    for (const memberId of [talk.id('m'), '', 'nobody'])
      for (const groupInstanceId of [null, 'i', 'other']) {
        const who = { ...all, memberId, groupInstanceId }
        yield who
        yield { ...who, protocols: [...protocols, { name: 'other', metadata: Buffer.from('?') }] }
        yield { ...who, protocols: [{ name: 'other', metadata: subscription('t1') }] }
        yield { ...who, protocols: [{ name: 'range', metadata: subscription('t2') }] }
        yield { ...who, protocols: [{ name: 'range', metadata: Buffer.alloc(0) }] }
        yield { ...who, protocols: [{ name: '', metadata: Buffer.from('?') }] }
        yield { ...who, protocols: [...protocols, ...protocols] }
        yield { ...who, protocols: [] }
        yield { ...who, protocolType: '' }
        yield { ...who, protocolType: 'connect' }
        yield { ...who, sessionTimeoutMs: 5_999 }
        yield { ...who, sessionTimeoutMs: 1_800_001 }
        yield { ...who, rebalanceTimeoutMs: -1 }
        yield { ...who, groupId: '' }
        yield { ...who, groupId: '', sessionTimeoutMs: 1 }
      }
  },
  [Key.leave]: function* (talk): Generator<Body> {
    const memberIds = [talk.id('m'), talk.id('n'), '', 'nobody']
    const members: Body[] = memberIds.flatMap(memberId =>
      [null, 'i', 'other', ''].map(groupInstanceId => ({ memberId, groupInstanceId })),
    )
    for (const one of members) yield { members: [one], memberId: one.memberId! }
    yield { members: [] }
    yield { members: [members[0]!], memberId: talk.id('m'), groupId: '' }
    yield { members: members.slice(1), memberId: 'nobody' }
    yield { members: [members[0]!, members[0]!], memberId: 'nobody' }
  },
  [Key.commit]: function* (talk): Generator<Body> {
    const one = { partitionIndex: 0, committedOffset: 9, committedMetadata: 'm' }
    const topics = [{ name: 't1', topicId: '#t1', partitions: [one] }]
    for (const who of asWhos(talk, 'generationIdOrMemberEpoch')) yield { ...who, topics }
    const right = { memberId: talk.id('m'), generationIdOrMemberEpoch: talk.generation('m') }
    for (const who of [right, { memberId: '', generationIdOrMemberEpoch: -1 }]) {
      yield { ...who, topics: [] }
      yield { ...who, topics, groupId: '' }
      yield { ...who, topics, retentionTimeMs: 100_000 }
      yield { ...who, topics: [...topics, { ...NO_TOPIC, partitions: [one] }] }
      yield { ...who, topics: [{ name: '', topicId: ZERO_UUID, partitions: [one] }] }
      yield { ...who, topics: [...topics, ...topics] }
      const odd: Body[] = [
        { committedOffset: -1 },
        { committedOffset: -5 },
        { committedMetadata: null },
        { committedMetadata: 'm'.repeat(4096) },
        { committedMetadata: 'm'.repeat(4097) },
        { committedMetadata: 'ü'.repeat(3000) },
        { committedLeaderEpoch: 99 },
        { partitionIndex: -1 },
        { partitionIndex: 99 },
      ]
      for (const over of odd)
        yield {
          ...who,
          topics: [
            {
              ...topics[0]!,
              partitions: [
                { ...one, ...over },
                { ...one, partitionIndex: 1 },
              ],
            },
          ],
        }
    }
  },
  [Key.fetch]: function* (talk): Generator<Body> {
    const one = { name: 't1', topicId: '#t1', partitionIndexes: [0, 1, 0, 99, -1] }
    const groupId = talk.group
    for (const topics of [
      null,
      [],
      [one, one],
      [{ ...one, ...NO_TOPIC }],
      [{ ...one, name: '', topicId: ZERO_UUID }],
    ])
      for (const asked of [groupId, '']) {
        const anybody = { groupId: asked, memberId: null, memberEpoch: -1, topics }
        yield { groupId: asked, topics: topics ?? [], groups: [anybody], requireStable: true }
        if (topics === null) yield { groupId: asked, topics, groups: [anybody, anybody] }
      }
    for (const { memberId, epoch } of whos(talk))
      yield { topics: [one], groups: [{ groupId, memberId, memberEpoch: epoch, topics: [one] }] }
    yield { topics: null, groups: [] }
    yield { groups: [{ groupId, memberId: null, memberEpoch: 0, topics: [one] }], topics: [one] }
  },
  [Key.describe]: ({ group }) => lists('groups', group),
  [Key.show]: ({ group }) => lists('groupIds', group),
  [Key.delete]: ({ group }) => lists('groupsNames', group),
  [Key.list]: function* (): Generator<Body> {
    for (const typesFilter of [
      [],
      ['classic'],
      ['consumer'],
      ['CONSUMER', 'share'],
      ['no'],
      [' Classic '],
      [''],
    ])
      for (const statesFilter of [
        [],
        ['Stable'],
        ['stable', 'EMPTY'],
        ['PreparingRebalance'],
        ['completingrebalance'],
        ['Dead'],
        ['Assigning', 'Reconciling'],
        ['no'],
        [''],
      ])
        yield { statesFilter, typesFilter }
  },
  [Key.forget]: function* (talk): Generator<Body> {
    const partitions = [0, 1, 1, 99, -1].map(partitionIndex => ({ partitionIndex }))
    const topics = [{ name: 't1', partitions }]
    yield { topics }
    yield { topics: [{ name: 't2', partitions }, ...topics, { name: 'no', partitions }] }
    yield { topics: [] }
    yield {
      topics: [
        { name: 't1', partitions: [] },
        { name: '', partitions },
      ],
    }
    yield { topics, groupId: '' }
    yield { topics: [], groupId: `${talk.group}?` }
  },
  [Key.find]: function* ({ group }): Generator<Body> {
    for (const keyType of [0, 3, -1])
      for (const key of [group, '']) yield { keyType, key, coordinatorKeys: [key, key] }
    yield { keyType: 0, key: group, coordinatorKeys: [] }
  },
  [Key.consume]: function* (talk): Generator<Body> {
    const joining = {
      subscribedTopicNames: ['t1'],
      rebalanceTimeoutMs: 60_000,
      topicPartitions: [] as Tree[],
    }
    const owned = { topicPartitions: `+${talk.id('m').slice(1)}` }
    for (const { memberId, epoch: memberEpoch, instanceId } of whos(talk)) {
      yield { memberId, memberEpoch, instanceId, ...(memberEpoch === 0 ? joining : {}) }
      yield { memberId, memberEpoch, instanceId, ...joining }
      yield { memberId, memberEpoch, instanceId, ...joining, ...owned }
    }
    const here = { memberId: talk.id('m'), memberEpoch: talk.generation('m') }
    for (const who of [here, { memberId: 'new', memberEpoch: 0, ...joining }]) {
      const odd: Body[] = [
        { groupId: '' },
        { rackId: '' },
        { rackId: 'r' },
        { rebalanceTimeoutMs: -1 },
        { rebalanceTimeoutMs: 0 },
        { rebalanceTimeoutMs: -2 },
        { serverAssignor: 'no' },
        { serverAssignor: '' },
        { serverAssignor: 'range' },
        { subscribedTopicNames: null },
        { subscribedTopicNames: [] },
        { subscribedTopicNames: ['t2', 't1', 't1', 'no', ''] },
        { subscribedTopicRegex: '(' },
        { subscribedTopicNames: null, subscribedTopicRegex: '' },
        { topicPartitions: null },
        { topicPartitions: [{ topicId: '#t1', partitions: [] }] },
        { topicPartitions: [{ topicId: '#t1', partitions: [0, 77] }] },
        { topicPartitions: [{ topicId: NO_TOPIC.topicId, partitions: [0] }] },
        { subscribedTopicNames: ['t2'] },
      ]
      for (const over of odd) yield { ...who, ...over }
    }
  },
}

function* asWhos(talk: Talk, generation: string): Generator<Body> {
  for (const { memberId, epoch, instanceId } of whos(talk))
    yield { memberId, groupInstanceId: instanceId, [generation]: epoch }
  yield { memberId: talk.id('m'), [generation]: talk.generation('m'), groupId: '' }
}

function* lists(name: string, group: string): Generator<Body> {
  for (const includeAuthorizedOperations of [false, true])
    for (const ids of [[group], [], [group, group], ['', `${group}?`]])
      yield { [name]: ids, includeAuthorizedOperations }
}
