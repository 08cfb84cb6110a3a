import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { BrokerNode } from '../../src/broker.ts'
import { errorName } from '../../src/protocol/error-codes.ts'
import type { DecodedFields, EncodableFields, Fields } from '../../src/protocol/fields.ts'
import { offsetCommitApi } from '../../src/protocol/messages/08-offset-commit.ts'
import { offsetFetchApi } from '../../src/protocol/messages/09-offset-fetch.ts'
import { joinGroupApi } from '../../src/protocol/messages/11-join-group.ts'
import { heartbeatApi } from '../../src/protocol/messages/12-heartbeat.ts'
import { leaveGroupApi } from '../../src/protocol/messages/13-leave-group.ts'
import { syncGroupApi } from '../../src/protocol/messages/14-sync-group.ts'
import { describeGroupsApi } from '../../src/protocol/messages/15-describe-groups.ts'
import { deleteGroupsApi } from '../../src/protocol/messages/42-delete-groups.ts'
import { offsetDeleteApi } from '../../src/protocol/messages/47-offset-delete.ts'
import { consumerGroupHeartbeatApi } from '../../src/protocol/messages/68-consumer-group-heartbeat.ts'
import type { Api } from '../../src/protocol/schema.ts'
import { subscription } from '../apis/grouping.ts'
import { Random, seeds } from '../lib/random.ts'
import { NO_UTF8, sendRaw } from '../lib/raw-client.ts'

/** Little room, so that what members say together passes every bound on its way to the disk. */
const OPTIONS = {
  listeners: 'PLAINTEXT://127.0.0.1:0',
  ringBytes: 1 << 20,
  messageMaxBytes: 100_000,
  offsetsTopicNumPartitions: 3,
  groupInitialRebalanceDelayMs: 0,
  groupMinSessionTimeoutMs: 1,
  groupConsumerMigrationPolicy: 'bidirectional',
} as const
const RUNS = Number(process.env.RUNS ?? 3)
const REQUESTS = 400
const test = suite('odd requests to groups')

/** A broker in a folder of its own, and what it complains of. */
class Attacked {
  readonly random: Random
  readonly #dir = mkdtempSync(join(tmpdir(), 'odradek-odd-'))
  readonly complaints: string[] = []
  node!: BrokerNode
  /** Members that the broker has named, by group. */
  readonly members = new Map<string, { memberId: string; generation: number }[]>()
  /** By group, what was acknowledged last. */
  readonly commits = new Map<string, number>()
  readonly #open = new Set<Promise<void>>()

  constructor(seed: number) {
    this.random = new Random(seed)
  }

  async start(): Promise<void> {
    const log = pino({ level: 'error' }, { write: (line: string) => this.complaints.push(line) })
    this.node = await BrokerNode.start({ code: { ...OPTIONS, dataDir: this.#dir } }, log)
    if (this.node.registry.topic('topic') === undefined)
      await this.node.registry.create('topic', 2, {})
  }

  async stop(): Promise<void> {
    await this.node.close()
    await Promise.all(this.#open)
  }

  remove(): void {
    rmSync(this.#dir, { recursive: true })
  }

  text(): string {
    const { random } = this
    const piece = random.pick(['a', 'a', 'a', '€', '😀', NO_UTF8, '\0', `a${NO_UTF8}`])
    const bytes = random.pick([1, 1, 10, 100, 3_000, 32_767])
    return piece.repeat(Math.floor(bytes / Buffer.byteLength(piece)))
  }

  groupId(): string {
    const { random } = this
    return random.chance(0.8) ? random.pick(['one', 'two', 'three']) : this.text()
  }

  instanceId(): string | null {
    const { random } = this
    return random.chance(0.5)
      ? null
      : random.chance(0.7)
        ? random.pick(['i', 'j', 'k'])
        : this.text()
  }

  bytes(): Buffer {
    const { random } = this
    const known = [subscription('topic'), subscription('topic', 'x'.repeat(200)), Buffer.alloc(0)]
    if (random.chance(0.6)) return random.pick(known)
    return Buffer.alloc(random.pick([1, 100, 20_000, 60_000, 99_000, 300_000]), 1)
  }

  member(groupId: string) {
    const known = this.members.get(groupId) ?? []
    if (known.length === 0 || this.random.chance(0.1))
      return { memberId: this.text(), generation: 1 }
    return this.random.pick(known)
  }

  note(groupId: string, memberId: string, generation: number): void {
    const known = this.members.get(groupId) ?? []
    if (known.length > 20) known.shift()
    known.push({ memberId, generation })
    this.members.set(groupId, known)
  }

  /** Sends it and goes on: joins are parked until others come. */
  send<Q extends Fields, R extends Fields>(
    api: Api<Q, R>,
    version: number,
    request: EncodableFields<Q>,
    done: (answer: DecodedFields<R>) => void = () => {},
  ): Promise<void> {
    const clientId = this.random.chance(0.2) ? this.text() : 'client'
    const endpoint = this.node.endpoint('PLAINTEXT')
    const one = sendRaw(endpoint, api, version, request, clientId).then(answer => {
      if (answer !== null) done(answer)
      this.#open.delete(one)
    })
    this.#open.add(one)
    return one
  }
}

function joinSome(a: Attacked): Promise<void> | void {
  const { random } = a
  const groupId = a.groupId()
  const memberId = random.chance(0.4) ? '' : a.member(groupId).memberId
  const names = random.pick([['range'], ['range', 'roundrobin'], [a.text()], []])
  const request = {
    ...{ groupId, memberId, groupInstanceId: a.instanceId() },
    sessionTimeoutMs: random.pick([40, 200, 2_000]),
    rebalanceTimeoutMs: random.pick([20, 100]),
    protocolType: random.chance(0.9) ? 'consumer' : a.text(),
    protocols: names.map(name => ({ name, metadata: a.bytes() })),
  }
  void a.send(joinGroupApi, random.pick([5, 9]), request, answer => {
    if (answer.memberId !== '') a.note(groupId, answer.memberId, answer.generationId)
  })
}

function syncSome(a: Attacked): void {
  const groupId = a.groupId()
  const { memberId, generation: generationId } = a.member(groupId)
  const assignments = [{ memberId, assignment: a.bytes() }]
  const groupInstanceId = a.instanceId()
  void a.send(syncGroupApi, 4, { groupId, memberId, generationId, groupInstanceId, assignments })
}

function beatSome(a: Attacked): Promise<void> {
  const { random } = a
  const groupId = a.groupId()
  const isNew = random.chance(0.5)
  const { memberId, generation } = a.member(groupId)
  const names = Array.from({ length: random.pick([0, 1, 3]) }, () => a.text())
  const request = {
    ...{ groupId, instanceId: a.instanceId(), rackId: random.chance(0.8) ? null : a.text() },
    memberId: isNew && random.chance(0.5) ? `m${random.below(5)}` : memberId,
    memberEpoch: random.pick([0, 0, generation, -1, -2]),
    rebalanceTimeoutMs: 100,
    subscribedTopicNames: random.chance(0.8) ? ['topic', ...names] : null,
    subscribedTopicRegex: random.chance(0.8) ? null : a.text(),
    topicPartitions: [],
  }
  return a.send(consumerGroupHeartbeatApi, 1, request, answer => {
    if (answer.memberId !== null) a.note(groupId, answer.memberId, answer.memberEpoch)
  })
}

function commitSome(a: Attacked): Promise<void> {
  const { random } = a
  const groupId = random.chance(0.5) ? `simple-${random.below(3)}` : a.groupId()
  const offset = random.pick([0, 5, 2 ** 53 - 1, 2 ** 63, -1])
  const committedMetadata = random.chance(0.5) ? 'text' : a.text()
  const partitions = [{ partitionIndex: 0, committedOffset: offset, committedMetadata }]
  const retentionTimeMs = random.pick([-1, 2 ** 63, 2 ** 53 - 1])
  const request = { groupId, topics: [{ name: 'topic', partitions }], retentionTimeMs }
  const version = random.pick([2, 4])
  return a.send(offsetCommitApi, version, request, ({ topics }) => {
    // Nobody deletes these.
    const isKept = groupId.startsWith('simple')
    if (isKept && topics[0]!.partitions[0]!.errorCode === 0) a.commits.set(groupId, offset)
  })
}

const leaveSome = (a: Attacked): Promise<void> => {
  const groupId = a.groupId()
  const { memberId } = a.member(groupId)
  return a.send(leaveGroupApi, 4, {
    groupId,
    members: [{ memberId, groupInstanceId: a.instanceId() }],
  })
}

const heartbeatSome = (a: Attacked): Promise<void> => {
  const groupId = a.groupId()
  const { memberId, generation: generationId } = a.member(groupId)
  return a.send(heartbeatApi, 4, { groupId, memberId, generationId })
}

function askSome(a: Attacked): Promise<void> {
  const groupId = a.groupId()
  switch (a.random.below(4)) {
    case 0:
      return a.send(describeGroupsApi, 5, { groups: [groupId] })
    case 1:
      return a.send(offsetFetchApi, 8, { groups: [{ groupId, topics: null }] })
    case 2: {
      const topics = [{ name: 'topic', partitions: [{ partitionIndex: 1 }] }]
      return a.send(offsetDeleteApi, 0, { groupId, topics })
    }
    default:
      return a.send(deleteGroupsApi, 2, { groupsNames: [a.text()] })
  }
}

async function step(a: Attacked): Promise<void> {
  const what = a.random.below(20)
  if (what < 7) joinSome(a)
  else if (what < 9) syncSome(a)
  else if (what < 12) await beatSome(a)
  else if (what < 14) await commitSome(a)
  else if (what < 15) await leaveSome(a)
  else if (what < 16) await heartbeatSome(a)
  else if (what < 18) await askSome(a)
  else if (what < 19) await Promise.all(a.node.groups.shards.map(shard => shard.compaction.run()))
  else await new Promise(resolve => setImmediate(resolve))
}

const stored = (node: BrokerNode): string[] =>
  node.groups.shards
    .flatMap(shard => [...shard.entries])
    .filter(({ isStored }) => isStored)
    .map(({ id }) => id)
    .sort()

for (const seed of seeds(1, RUNS)) {
  test(`texts, bytes and sizes of all kinds through every API: the broker lives, and its groups load (SEED=${seed})`, async () => {
    const attacked = new Attacked(seed)
    try {
      await attack(attacked)
    } finally {
      await attacked.stop()
      attacked.remove()
    }
  })
}

function assertOnline({ node, complaints }: Attacked): void {
  assert.equal(complaints, [])
  for (const shard of node.groups.shards) {
    assert.is(errorName(shard.log.failure), 'NONE', shard.log.partition.name)
  }
}

async function attack(attacked: Attacked): Promise<void> {
  await attacked.start()
  for (let i = 0; i < REQUESTS; i++) await step(attacked)
  assertOnline(attacked)
  await attacked.stop()
  await attacked.start()
  assertOnline(attacked)
  assert.ok(stored(attacked.node).length > 0)
  assert.ok(attacked.commits.size > 0)
  for (const [groupId, offset] of attacked.commits) {
    const found = attacked.node.groups.entry(groupId)?.entry.offsets.get('topic', 0)
    assert.is(found?.offset, offset, groupId)
  }
}

test.run()
