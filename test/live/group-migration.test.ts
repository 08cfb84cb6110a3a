import { setTimeout as sleep } from 'node:timers/promises'
import kafkajs from 'kafkajs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Client } from '../../src/client/client.ts'
import { listGroupsApi } from '../../src/protocol/messages/16-list-groups.ts'
import { GroupBroker } from './groups/broker.ts'
import { type Delivered, Member } from './groups/member.ts'
import { createTopics } from './groups/topics.ts'
import { javaCommand, tool } from './tools.ts'

const PARTITIONS = 6
const WAIT_MS_MAX = 30_000

/**
 * What members of both protocols can be made of. librdkafka's cooperative assignor keeps data of its own in the assignments:
 * such a group is not moved, here as on Kafka 4.3.1.
 */
const LIBRARIES: Readonly<Record<string, () => readonly string[]>> = {
  Java: () => javaCommand('Groups'),
  'franz-go': () => [tool('franz-go'), 'groups'],
}

const test = suite('a live group moves between the two protocols')
let broker: GroupBroker

test.before(async () => {
  broker = await GroupBroker.start()
})
test.after(() => broker.close())

/** One group of one library; every record is seen at least once, and in order by each owner. */
class Migration {
  readonly #name: string
  readonly #command: readonly string[]
  readonly #members: Member[] = []
  readonly #seen = new Set<string>()
  readonly #kafka: kafkajs.Kafka
  #written = 0

  constructor(name: string, command: readonly string[]) {
    this.#name = name
    this.#command = [...command, broker.address]
    const logLevel = kafkajs.logLevel.NOTHING
    this.#kafka = new kafkajs.Kafka({ brokers: [broker.address], logLevel })
  }

  async run(): Promise<void> {
    try {
      await createTopics(this.#kafka, { [this.#name]: PARTITIONS })
      const old = [await this.#join('classic'), await this.#join('classic')]
      await this.#share(old)
      assert.is(await this.#type(), 'classic')
      // The newcomer takes the group along; nobody stops.
      const first = await this.#join('consumer')
      await this.#share([...old, first])
      assert.is(await this.#type(), 'consumer')
      await old[0]!.leave()
      const second = await this.#join('consumer')
      await this.#share([old[1]!, first, second])
      // When only members of the classic protocol are left, it is a classic group again.
      await first.leave()
      await second.leave()
      await this.#share([old[1]!])
      await this.#until('the group is classic', async () => (await this.#type()) === 'classic')
    } catch (error) {
      const members = this.#members.join('\n')
      throw new Error(`${this.#name}: ${(error as Error).message}\n${members}`, { cause: error })
    } finally {
      await Promise.all(this.#members.map(member => member.kill()))
    }
  }

  async #join(protocol: string): Promise<Member> {
    const name = `${protocol}${this.#members.length}`
    const onRecord = (_: Member, { partition, offset }: Delivered): void => {
      this.#seen.add(`${partition} ${offset}`)
    }
    const member = new Member(name, this.#command, onRecord)
    this.#members.push(member)
    const group = this.#name
    await member.join({ group, topic: this.#name, protocol, instance: null })
    return member
  }

  /** These members have all partitions, each once, everybody some; and what is written comes to them. */
  async #share(members: readonly Member[]): Promise<void> {
    const isShared = (): boolean =>
      members.every(member => member.owned.length > 0) &&
      members
        .flatMap(member => member.owned)
        .toSorted((a, b) => a - b)
        .join() === '0,1,2,3,4,5'
    await this.#until('all partitions are shared', isShared)
    await this.#write(5)
    const all = PARTITIONS * this.#written
    await this.#until(`all ${all} records are seen`, () => this.#seen.size === all)
    assert.ok(isShared(), 'and they stay shared')
  }

  async #write(count: number): Promise<void> {
    const producer = this.#kafka.producer()
    await producer.connect()
    const messages = Array.from({ length: PARTITIONS * count }, (_, i) => ({
      partition: i % PARTITIONS,
      value: `record ${i}`,
    }))
    await producer.send({ topic: this.#name, messages })
    await producer.disconnect()
    this.#written += count
  }

  async #type(): Promise<string | undefined> {
    const [host, port] = broker.address.split(':')
    await using client = await Client.connect({ host: host!, port: Number(port) })
    const { groups } = await client.send(listGroupsApi, 5, {})
    return groups.find(({ groupId }) => groupId === this.#name)?.groupType.toLowerCase()
  }

  async #until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
    const deadline = performance.now() + WAIT_MS_MAX
    while (!(await holds())) {
      const failed = this.#members.find(member => member.failure !== undefined)
      if (failed !== undefined) throw failed.failure
      if (performance.now() > deadline) {
        const owned = this.#members.map(m => `${m.name} has ${m.owned}`).join('; ')
        throw new Error(
          `not so after ${WAIT_MS_MAX} ms: ${what}; ${this.#seen.size} seen, ${owned}`,
        )
      }
      await sleep(20)
    }
  }
}

for (const [name, command] of Object.entries(LIBRARIES)) {
  test(name, () => new Migration(`migrated-${name}-${Date.now().toString(36)}`, command()).run())
}

test.run()
