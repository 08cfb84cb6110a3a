// A @platformatic/kafka member of a group and an admin, as member.ts asks; on the newest Node. The arguments are the folder
// that the package is installed in and the broker's address.
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { say, serve } from './calls.mjs'

const [, , folder, address] = process.argv
const { Admin, Consumer } = createRequire(join(folder, 'x.js'))('@platformatic/kafka')
const client = { clientId: 'platformatic', bootstrapBrokers: [address] }
const admin = new Admin(client)
let consumer
let topic

const partitionsOf = assignments =>
  [...(assignments?.values() ?? [])].flatMap(({ partitions }) => partitions)

/** The new protocol has no event for a new assignment: it is there after a heartbeat, at the latest with a record. */
function tellAfterHeartbeats(from, stream) {
  let told = ''
  const tell = () => {
    const assigned = partitionsOf(from.assignments)
    if (assigned.join() === told) return
    told = assigned.join()
    say({ assigned })
  }
  from.on('consumer:heartbeat:end', tell)
  stream.on('data', tell)
}

function tellAfterJoins(from) {
  from.on('consumer:group:join', ({ assignments, generationId }) => {
    say({ assigned: partitionsOf(assignments), generation: generationId })
  })
}

const toList = (offsets, one) =>
  Object.entries(offsets).map(([partition, offset]) => one(Number(partition), BigInt(offset)))

serve({
  async join({ group, topic: name, protocol, instance }) {
    topic = name
    const classic = { sessionTimeout: 6_000, rebalanceTimeout: 30_000, heartbeatInterval: 500 }
    consumer = new Consumer({
      ...client,
      groupId: group,
      groupProtocol: protocol,
      ...(protocol === 'classic' ? classic : {}),
      ...(instance === null ? {} : { groupInstanceId: instance }),
      maxWaitTime: 100,
      autocommit: false,
    })
    if (protocol === 'classic') tellAfterJoins(consumer)
    const stream = await consumer.consume({
      topics: [topic],
      mode: 'committed',
      fallbackMode: 'earliest',
    })
    if (protocol === 'consumer') tellAfterHeartbeats(consumer, stream)
    stream.on('data', ({ partition, offset }) => say({ record: [partition, Number(offset)] }))
    stream.on('error', error => process.stderr.write(`stream: ${error.message}\n`))
  },

  leave: () => consumer.close(true),

  commit: ({ offsets }) =>
    consumer.commit({
      offsets: toList(offsets, (partition, offset) => ({
        topic,
        partition,
        offset,
        leaderEpoch: -1,
      })),
    }),

  async committed({ partitions }) {
    const all = await consumer.listCommittedOffsets({ topics: [{ topic, partitions }] })
    const offsets = all.get(topic)
    return Object.fromEntries(partitions.map(p => [p, [Number(offsets[p]), '']]))
  },

  async describe({ group }) {
    const described = (await admin.describeGroups({ groups: [group] })).get(group)
    const members = [...described.members.values()].map(member => ({
      instance: member.groupInstanceId ?? '',
      partitions: partitionsOf(member.assignments),
    }))
    return { state: described.state, members }
  },

  list: async () => [...(await admin.listGroups({ types: ['classic', 'consumer'] })).keys()],

  async offsets({ group, topic: name }) {
    const [{ topics }] = await admin.listConsumerGroupOffsets({ groups: [group] })
    const { partitions } = topics.find(one => one.name === name) ?? { partitions: [] }
    const known = partitions.filter(({ committedOffset }) => committedOffset !== -1n)
    const pair = ({ committedOffset, metadata }) => [Number(committedOffset), metadata ?? '']
    return Object.fromEntries(known.map(one => [one.partitionIndex, pair(one)]))
  },

  reset: ({ group, topic: name, offsets }) => {
    const partitionOffsets = toList(offsets, (partition, offset) => ({ partition, offset }))
    return admin.alterConsumerGroupOffsets({ groupId: group, topics: [{ name, partitionOffsets }] })
  },

  deleteOffsets: ({ group, topic: name, partitions }) =>
    admin.deleteConsumerGroupOffsets({
      groupId: group,
      topics: [{ name, partitionIndexes: partitions }],
    }),

  /** It removes members by their ids only. */
  async evict({ group, instance }) {
    const described = (await admin.describeGroups({ groups: [group] })).get(group)
    const members = [...described.members.values()]
    const { id } = members.find(member => member.groupInstanceId === instance)
    await admin.removeMembersFromConsumerGroup({ groupId: group, members: [{ memberId: id }] })
  },

  deleteGroup: ({ group }) => admin.deleteGroups({ groups: [group] }),
})
