import { join } from 'node:path'
import { suite } from 'uvu'
import { GroupBroker } from './groups/broker.ts'
import { type Library, Scenario } from './groups/scenario.ts'
import { javaCommand, tool } from './tools.ts'

/**
 * One scenario, groups/scenario.ts, that each client library goes through against a broker of ours. With KAFKA_ADDRESS
 * it is another broker, see groups/broker.ts: all of it holds for Kafka 4.3.1.
 *
 * Every member, A, B and C, is a program of its own, groups/* and go/groups.go, that does what it is told over its
 * standard input, see groups/member.ts. The topic has 6 partitions. Throughout, a new owner of a partition must begin
 * at what is committed, none may skip a record, and all records must be read.
 *
 * 1. A joins and gets all 6. It commits half way, B and C join, each has 2, and the group is described so and listed.
 * 2. B leaves: A and C have 3 each.
 * 3. B joins with a static id, closes without leaving (@platformatic/kafka always leaves: it is killed), and comes back
 *    with the id: it has the same partitions, the others are not told of anything, and the generation is the same. Then
 *    it closes again, and an admin removes it: A and C have all at once.
 * 4. C is killed (and B where nobody can remove it): not before its session of 6 s is over, A has all 6.
 * 5. A commits with metadata; consumer and admin read that back. A group with a member can be neither deleted nor
 *    reset. A leaves: the group is empty, and a new member goes on from what was committed.
 * 6. The offsets are reset, and a member begins there; they are deleted for one topic, those of another stay; the group
 *    is deleted, is not listed any more, and is described as not there.
 *
 * | library | protocols | left out, since the library cannot do it |
 * |---|---|---|
 * | KafkaJS 2.2 | classic | static members, a consumer's own view of offsets, deleting offsets, removing members |
 * | @platformatic/kafka 2.12 | classic | metadata of offsets |
 * | | consumer | that; describing such groups; static members (leaves for good); removing members |
 * | confluent-kafka 2.16 | both | deleting offsets, removing members |
 * | aiokafka 0.14, admin of kafka-python 3.0 | classic | a consumer's own view of offsets |
 * | franz-go 1.22 | classic | a consumer's own view of offsets |
 * | | consumer | that; static members (it leaves out the id when it leaves, which is refused); removing members |
 * | Java 4.3 | both | |
 */
const here = (name: string) => join(import.meta.dirname, 'groups', name)

const test = suite('consumer groups')
/** They mostly wait, for sessions to end. */
const AT_ONCE = 3
const run = Date.now().toString(36)
let broker: GroupBroker
/** Called once the broker is there. */
let begin = () => {}
const lanes: Promise<void>[] = Array(AT_ONCE).fill(new Promise<void>(resolve => (begin = resolve)))

test.before(async () => {
  broker = await GroupBroker.start()
  begin()
})
test.after(() => broker.close())

/** Adds a test that waits for a scenario; the next lane runs it. */
function scenario(name: string, library: () => Library): void {
  const id = name.replace(/\W+/g, '-').toLowerCase()
  const before = lanes.shift()!
  const done = before.then(() => new Scenario(broker.address, `${id}-${run}`, library()).run())
  lanes.push(done.catch(() => {}))
  test(name, () => done)
}

scenario('KafkaJS, classic', () => ({
  command: [process.execPath, here('kafkajs.mjs')],
  protocol: 'classic',
  lacks: ['static', 'committed', 'deleteOffsets', 'evict'],
  gone: /^Dead$/,
}))

for (const protocol of ['classic', 'consumer'] as const) {
  scenario(`@platformatic/kafka on the newest Node, ${protocol}`, () => ({
    command: [tool('newest/node_modules/node/bin/node'), here('platformatic.mjs'), tool('newest')],
    protocol,
    alwaysLeaves: true,
    lacks: protocol === 'classic' ? ['metadata'] : ['metadata', 'static', 'describe', 'evict'],
    gone: /^dead$/i,
  }))
}

for (const protocol of ['classic', 'consumer'] as const) {
  scenario(`confluent-kafka for Python, ${protocol}`, () => ({
    command: [tool('python/bin/python'), '-B', here('confluent.py')],
    protocol,
    lacks: ['deleteOffsets', 'evict'],
    gone: /GROUP_ID_NOT_FOUND|DEAD/,
  }))
}

scenario('aiokafka with the admin of kafka-python, classic', () => ({
  command: [tool('python/bin/python'), '-B', here('purepython.py')],
  protocol: 'classic',
  lacks: ['committed'],
  gone: /GroupIdNotFound/,
}))

for (const protocol of ['classic', 'consumer'] as const) {
  scenario(`franz-go, ${protocol}`, () => ({
    command: [tool('franz-go'), 'groups'],
    protocol,
    lacks: protocol === 'classic' ? ['committed'] : ['committed', 'static', 'evict'],
    gone: /GROUP_ID_NOT_FOUND/,
  }))
}

for (const protocol of ['classic', 'consumer'] as const) {
  scenario(`Java, ${protocol}`, () => ({
    command: javaCommand('Groups'),
    protocol,
    lacks: [],
    gone: /GroupIdNotFound/,
  }))
}

test.run()
