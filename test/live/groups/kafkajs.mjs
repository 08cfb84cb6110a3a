// A KafkaJS member of a group and an admin, as member.ts asks. The argument is the broker's address.
import kafkajs from 'kafkajs'
import { say, serve } from './calls.mjs'

const address = process.argv[2]
const kafka = new kafkajs.Kafka({
  clientId: 'kafkajs',
  brokers: [address],
  logLevel: kafkajs.logLevel.NOTHING,
})
let consumer
let topic

async function withAdmin(use) {
  const admin = kafka.admin()
  await admin.connect()
  try {
    return await use(admin)
  } finally {
    await admin.disconnect()
  }
}

function partitionsOf(memberAssignment) {
  if (memberAssignment.length === 0) return []
  const { assignment } = kafkajs.AssignerProtocol.MemberAssignment.decode(memberAssignment)
  return Object.values(assignment).flat()
}

serve({
  async join({ group, topic: name }) {
    topic = name
    consumer = kafka.consumer({
      groupId: group,
      sessionTimeout: 6_000,
      heartbeatInterval: 500,
      maxWaitTimeInMs: 100,
    })
    consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
      say({ assigned: payload.memberAssignment[topic] ?? [] })
    })
    await consumer.connect()
    await consumer.subscribe({ topic, fromBeginning: true })
    await consumer.run({
      autoCommit: false,
      eachMessage: async ({ partition, message }) => {
        say({ record: [partition, Number(message.offset)] })
      },
    })
  },

  leave: () => consumer.disconnect(),

  commit({ offsets, metadata }) {
    const all = Object.entries(offsets)
    const one = ([partition, offset]) => ({ topic, partition: Number(partition), offset, metadata })
    return consumer.commitOffsets(all.map(([p, offset]) => one([p, String(offset)])))
  },

  describe: ({ group }) =>
    withAdmin(async admin => {
      const [described] = (await admin.describeGroups([group])).groups
      const members = described.members.map(({ memberAssignment }) => ({
        instance: '',
        partitions: partitionsOf(memberAssignment),
      }))
      return { state: described.state, members }
    }),

  list: () => withAdmin(async admin => (await admin.listGroups()).groups.map(g => g.groupId)),

  offsets: ({ group, topic: name }) =>
    withAdmin(async admin => {
      const [{ partitions }] = await admin.fetchOffsets({ groupId: group, topics: [name] })
      const known = partitions.filter(({ offset }) => offset !== '-1')
      // It makes null of the empty text that the broker sends.
      const text = ({ offset, metadata }) => [Number(offset), metadata ?? '']
      return Object.fromEntries(known.map(one => [one.partition, text(one)]))
    }),

  reset: ({ group, topic: name, offsets }) =>
    withAdmin(admin => {
      const all = Object.entries(offsets)
      const partitions = all.map(([partition, offset]) => ({
        partition: Number(partition),
        offset: String(offset),
      }))
      return admin.setOffsets({ groupId: group, topic: name, partitions })
    }),

  deleteGroup: ({ group }) => withAdmin(admin => admin.deleteGroups([group])),
})
