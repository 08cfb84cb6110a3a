import { setTimeout as sleep } from 'node:timers/promises'
import type { Client } from '../../src/client/client.ts'
import { ErrorCode } from '../../src/protocol/error-codes.ts'
import { joinGroupApi } from '../../src/protocol/messages/11-join-group.ts'
import { heartbeatApi } from '../../src/protocol/messages/12-heartbeat.ts'
import { syncGroupApi } from '../../src/protocol/messages/14-sync-group.ts'
import { consumerGroupHeartbeatApi } from '../../src/protocol/messages/68-consumer-group-heartbeat.ts'
import { connect, cpuSeconds, makeTopic, residentMb, type Target } from './target.ts'

/** ms between two heartbeats of a member while nothing happens. */
const BEAT_MS = 1_000
const TIMEOUT_MS = 60_000
const STABLE_MS_MAX = 180_000
/** What is measured once the group is stable. */
const STEADY_MS = 5_000

export interface LargeSize {
  readonly members: number
  readonly partitions: number
}

interface Member {
  /** How many partitions it has, once that will not change unless others come or go. */
  settled(): number | null
  stop(): void
}

/** One group with many members over many partitions, all of whom come at once. */
export async function measureLarge(
  target: Target,
  size: LargeSize,
  protocol: 'classic' | 'consumer',
  run: string,
): Promise<Record<string, number>> {
  const topic = `large-${protocol}-${run}`
  await makeTopic(target, topic, size.partitions)
  const clients = await Promise.all(Array.from({ length: size.members }, () => connect(target, 1)))
  const cpu = cpuSeconds(target)
  const started = performance.now()
  const members = clients.map(client => {
    const member =
      protocol === 'classic'
        ? new ClassicMember(client, topic, size)
        : new ConsumerMember(client, topic)
    member.run().catch(error => {
      if (!member.isStopped) throw error
    })
    return member
  })
  while (!isStable(members, size.partitions)) {
    if (performance.now() - started > STABLE_MS_MAX) throw new Error(`${topic} is not stable`)
    await sleep(5)
  }
  const stableMs = performance.now() - started
  const joinCpu = cpuSeconds(target) - cpu
  const steady = cpuSeconds(target)
  await sleep(STEADY_MS)
  const steadyCpu = (cpuSeconds(target) - steady) / (STEADY_MS / 1000)
  for (const member of members) member.stop()
  for (const client of clients) await client.close()
  return {
    stable_ms: stableMs,
    join_cpu_s: joinCpu,
    'steady_cpu_%': steadyCpu * 100,
    resident_mb: residentMb(target),
  }
}

function isStable(members: readonly Member[], partitions: number): boolean {
  let owned = 0
  for (const member of members) {
    const settled = member.settled()
    if (settled === null) return false
    owned += settled
  }
  return owned === partitions
}

/** Of the consumer protocol: acknowledges every change at once, as clients do. */
class ConsumerMember implements Member {
  isStopped = false
  readonly #client: Client
  readonly #topic: string
  readonly #memberId = crypto.randomUUID()
  #owned: { topicId: string; partitions: number[] }[] = []
  #isAcknowledged = false

  constructor(client: Client, topic: string) {
    this.#client = client
    this.#topic = topic
  }

  settled(): number | null {
    if (!this.#isAcknowledged) return null
    return this.#owned.reduce((sum, { partitions }) => sum + partitions.length, 0)
  }

  stop(): void {
    this.isStopped = true
  }

  async run(): Promise<void> {
    let memberEpoch = 0
    while (!this.isStopped) {
      const joining = memberEpoch === 0
      const answer = await this.#client.send(consumerGroupHeartbeatApi, 1, {
        groupId: this.#topic,
        memberId: this.#memberId,
        memberEpoch,
        rebalanceTimeoutMs: joining ? TIMEOUT_MS : -1,
        subscribedTopicNames: joining ? [this.#topic] : null,
        topicPartitions: joining ? [] : this.#owned,
      })
      const { errorCode } = answer
      if (errorCode !== 0) {
        if (
          errorCode !== ErrorCode.COORDINATOR_NOT_AVAILABLE &&
          errorCode !== ErrorCode.NOT_COORDINATOR &&
          errorCode !== ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
        )
          throw new Error(`heartbeat answered ${errorCode}`)
        await sleep(100)
        continue
      }
      memberEpoch = answer.memberEpoch
      this.#isAcknowledged = answer.assignment === null
      if (answer.assignment !== null) {
        this.#owned = answer.assignment.topicPartitions
        continue
      }
      await sleep(BEAT_MS)
    }
  }
}

/** Of the classic protocol; the leader shares the partitions out in turn. */
class ClassicMember implements Member {
  isStopped = false
  readonly #client: Client
  readonly #topic: string
  readonly #size: LargeSize
  #owned: number | null = null
  #memberId = ''

  constructor(client: Client, topic: string, size: LargeSize) {
    this.#client = client
    this.#topic = topic
    this.#size = size
  }

  settled(): number | null {
    return this.#owned
  }

  stop(): void {
    this.isStopped = true
  }

  async run(): Promise<void> {
    while (!this.isStopped) {
      const generationId = await this.#join()
      if (generationId !== null) await this.#stay(generationId)
      this.#owned = null
    }
  }

  async #join(): Promise<number | null> {
    const joined = await this.#client.send(joinGroupApi, 5, {
      groupId: this.#topic,
      memberId: this.#memberId,
      sessionTimeoutMs: TIMEOUT_MS,
      rebalanceTimeoutMs: TIMEOUT_MS,
      protocolType: 'bench',
      protocols: [{ name: 'turn', metadata: Buffer.alloc(64) }],
    })
    this.#memberId = joined.memberId
    if (joined.errorCode !== 0) {
      if (joined.errorCode !== ErrorCode.MEMBER_ID_REQUIRED) await sleep(50)
      return null
    }
    const { generationId, members } = joined
    const share = (i: number): Buffer => {
      const { partitions } = this.#size
      const count =
        Math.floor(partitions / members.length) + (i < partitions % members.length ? 1 : 0)
      return Buffer.alloc(4 + 4 * count)
    }
    const synced = await this.#client.send(syncGroupApi, 3, {
      groupId: this.#topic,
      memberId: this.#memberId,
      generationId,
      assignments: members.map(({ memberId }, i) => ({ memberId, assignment: share(i) })),
    })
    if (synced.errorCode !== 0) return null
    this.#owned = Math.max(0, synced.assignment.length - 4) / 4
    return generationId
  }

  async #stay(generationId: number): Promise<void> {
    for (;;) {
      await sleep(BEAT_MS)
      if (this.isStopped) return
      const { errorCode } = await this.#client.send(heartbeatApi, 3, {
        groupId: this.#topic,
        memberId: this.#memberId,
        generationId,
      })
      if (errorCode !== 0) return
    }
  }
}
