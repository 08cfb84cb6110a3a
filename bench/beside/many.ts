import type { Client } from '../../src/client/client.ts'
import { ErrorCode } from '../../src/protocol/error-codes.ts'
import { joinGroupApi } from '../../src/protocol/messages/11-join-group.ts'
import { heartbeatApi } from '../../src/protocol/messages/12-heartbeat.ts'
import { leaveGroupApi } from '../../src/protocol/messages/13-leave-group.ts'
import { syncGroupApi } from '../../src/protocol/messages/14-sync-group.ts'
import { percentiles } from '../harness.ts'
import { connect, cpuSeconds, residentMb, type Target } from './target.ts'

const CONNECTIONS = 20
/** Groups that one connection works on at a time. */
const AT_ONCE = 8
const SESSION_TIMEOUT_MS = 60_000

export interface ManySize {
  readonly groups: number
  /** Every group sends so many heartbeats, as fast as they are answered. */
  readonly heartbeats: number
}

interface Joined {
  readonly client: Client
  readonly groupId: string
  readonly memberId: string
  readonly generationId: number
}

/** Many groups of one member: all join, all send heartbeats, all leave. */
export async function measureMany(
  target: Target,
  size: ManySize,
  run: string,
): Promise<Record<string, number>> {
  const clients = await Promise.all(
    Array.from({ length: CONNECTIONS }, () => connect(target, AT_ONCE)),
  )
  const ids = Array.from({ length: size.groups }, (_, i) => `many-${run}-${i}`)
  const started = performance.now()
  const joined = await spread(clients, ids, join)
  const stableMs = performance.now() - started
  const memory = residentMb(target)
  const latencies: number[] = []
  const cpu = cpuSeconds(target)
  for (let i = 0; i < size.heartbeats; i++) {
    await spread(clients, joined, async (client, member) => {
      const at = performance.now()
      await beat(client, member)
      latencies.push(performance.now() - at)
    })
  }
  const used = cpuSeconds(target) - cpu
  await spread(clients, joined, (client, { groupId, memberId }) =>
    client.send(leaveGroupApi, 1, { groupId, memberId }),
  )
  for (const client of clients) await client.close()
  return {
    stable_ms: stableMs,
    'heartbeat_cpu_s/100k': (used / latencies.length) * 100_000,
    resident_mb: memory,
    ...percentiles(latencies),
  }
}

/** Every connection takes the next item whenever it has room. */
async function spread<T, R>(
  clients: readonly Client[],
  items: readonly T[],
  work: (client: Client, item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = []
  let next = 0
  const lane = async (client: Client): Promise<void> => {
    while (next < items.length) {
      const i = next++
      results[i] = await work(client, items[i]!)
    }
  }
  await Promise.all(clients.flatMap(client => Array.from({ length: AT_ONCE }, () => lane(client))))
  return results
}

async function join(client: Client, groupId: string): Promise<Joined> {
  let memberId = ''
  for (;;) {
    const answer = await client.send(joinGroupApi, 5, {
      groupId,
      memberId,
      sessionTimeoutMs: SESSION_TIMEOUT_MS,
      rebalanceTimeoutMs: SESSION_TIMEOUT_MS,
      protocolType: 'consumer',
      protocols: [{ name: 'range', metadata: SUBSCRIPTION }],
    })
    memberId = answer.memberId
    if (answer.errorCode === ErrorCode.MEMBER_ID_REQUIRED) continue
    // A broker that has just made its offsets topic asks for patience.
    if (RETRIED.has(answer.errorCode)) {
      await new Promise(resolve => setTimeout(resolve, 100))
      continue
    }
    if (answer.errorCode !== 0) throw new Error(`JoinGroup answered ${answer.errorCode}`)
    const { generationId } = answer
    const assignments = [{ memberId, assignment: ASSIGNMENT }]
    const sync = { groupId, memberId, generationId, assignments }
    const { errorCode } = await client.send(syncGroupApi, 3, sync)
    if (errorCode !== 0) throw new Error(`SyncGroup answered ${errorCode}`)
    return { client, groupId, memberId, generationId }
  }
}

async function beat(client: Client, member: Joined): Promise<void> {
  const { groupId, memberId, generationId } = member
  const { errorCode } = await client.send(heartbeatApi, 3, { groupId, memberId, generationId })
  if (errorCode !== 0) throw new Error(`Heartbeat answered ${errorCode}`)
}

const RETRIED: ReadonlySet<number> = new Set([
  ErrorCode.COORDINATOR_NOT_AVAILABLE,
  ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
  ErrorCode.NOT_COORDINATOR,
])

/** Subscribes to "topic", version 0. */
const SUBSCRIPTION = Buffer.from('00000000000100057461 706963ffffffff'.replaceAll(' ', ''), 'hex')
const ASSIGNMENT = Buffer.from(
  '0000 00000001 0005 746f706963 00000001 00000000 ffffffff'.replaceAll(' ', ''),
  'hex',
)
