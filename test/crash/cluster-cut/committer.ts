import { Client, ClientError } from '../../../src/client/client.ts'
import { ErrorCode, errorName } from '../../../src/protocol/error-codes.ts'
import { offsetCommitApi } from '../../../src/protocol/messages/08-offset-commit.ts'
import { offsetFetchApi } from '../../../src/protocol/messages/09-offset-fetch.ts'
import { findCoordinatorApi } from '../../../src/protocol/messages/10-find-coordinator.ts'
import { rest } from '../../lib/cluster-ledger.ts'
import type { ProcessCluster } from '../../lib/process-cluster.ts'

const AGAIN_MS = 50
const WAIT_MS = 30_000
/** The coordinator is somewhere else, not ready, or could not bring it to its followers in time: nothing is known. */
const AGAIN: readonly number[] = [
  ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
  ErrorCode.COORDINATOR_NOT_AVAILABLE,
  ErrorCode.NOT_COORDINATOR,
  ErrorCode.REQUEST_TIMED_OUT,
]

/** A group without members that commits rising offsets of all partitions, over all cuts of a topic. */
export class Committer {
  readonly group: string
  /** The newest offset whose commit was acknowledged. */
  acknowledged = -1
  /** Commits that were acknowledged. */
  commits = 0
  #sent = -1
  #isOver = true
  #committing: Promise<void> = Promise.resolve()
  readonly #cluster: ProcessCluster
  readonly #topic: string
  readonly #partitions: readonly number[]

  constructor(
    cluster: ProcessCluster,
    { topic, partitions }: { readonly topic: string; readonly partitions: number },
    group: string,
  ) {
    this.group = group
    this.#cluster = cluster
    this.#topic = topic
    this.#partitions = Array.from({ length: partitions }, (_, i) => i)
  }

  go(): void {
    this.#isOver = false
    this.#committing = this.#commitAll()
  }

  async rest(): Promise<void> {
    this.#isOver = true
    await this.#committing
  }

  async #commitAll(): Promise<void> {
    while (!this.#isOver) {
      const client = await this.#connect()
      if (client !== null) await this.#commitTo(client).finally(() => client.close())
      if (!this.#isOver) await rest(AGAIN_MS)
    }
  }

  /** Until the coordinator cannot take any more. */
  async #commitTo(client: Client): Promise<void> {
    while (!this.#isOver) {
      const committedOffset = ++this.#sent
      const partitions = this.#partitions.map(partitionIndex => ({
        partitionIndex,
        committedOffset,
      }))
      const topics = [{ name: this.#topic, partitions }]
      const answer = await orGone(client.send(offsetCommitApi, 8, { groupId: this.group, topics }))
      if (answer === null) return
      const codes = answer.topics[0]!.partitions.map(({ errorCode }) => errorCode)
      if (codes.some(code => this.#isForLater(code))) return
      this.acknowledged = committedOffset
      this.commits++
    }
  }

  #isForLater(code: number): boolean {
    if (code === ErrorCode.NONE) return false
    if (AGAIN.includes(code)) return true
    throw new Error(`${this.group} is answered ${errorName(code)}`)
  }

  /** To the coordinator, as one of the living brokers tells it; null: there is none now. */
  async #connect(): Promise<Client | null> {
    const { members } = this.#cluster
    const alive = members.find(({ broker }) => broker !== null && !broker.hasEnded)
    if (alive === undefined) return null
    const any = await orGone(Client.connect({ host: '127.0.0.1', port: alive.port }))
    if (any === null) return null
    const request = { keyType: 0, coordinatorKeys: [this.group] }
    const told = await orGone(any.send(findCoordinatorApi, 4, request))
    await any.close()
    const [at] = told?.coordinators ?? []
    if (at === undefined || this.#isForLater(at.errorCode)) return null
    return orGone(Client.connect({ host: at.host, port: at.port }))
  }

  /** @returns what is not as it was acknowledged */
  async check(): Promise<string[]> {
    const deadline = Date.now() + WAIT_MS
    for (;;) {
      const client = await this.#connect()
      const found = client === null ? null : await this.#find(client).finally(() => client.close())
      if (found !== null) return this.#judge(found)
      if (Date.now() > deadline) return [`${this.group} does not tell what it has committed`]
      await rest(AGAIN_MS)
    }
  }

  async #find(client: Client): Promise<number[] | null> {
    const topics = [{ name: this.#topic, partitionIndexes: this.#partitions }]
    const answer = await orGone(client.send(offsetFetchApi, 7, { groupId: this.group, topics }))
    if (answer === null || this.#isForLater(answer.errorCode)) return null
    return answer.topics[0]!.partitions.map(({ committedOffset }) => committedOffset)
  }

  #judge(found: readonly number[]): string[] {
    return found
      .map((offset, partition) => ({ offset, partition }))
      .filter(({ offset }) => offset < this.acknowledged || offset > this.#sent)
      .map(({ offset, partition }) => {
        const said = `${this.acknowledged} is acknowledged, ${this.#sent} was sent`
        return `lost commit: ${this.group} has ${offset} of partition ${partition}; ${said}`
      })
  }
}

/** null: the connection, or the broker, is not there any more. */
async function orGone<T>(asked: Promise<T>): Promise<T | null> {
  try {
    return await asked
  } catch (error) {
    if (error instanceof ClientError) return null
    throw error
  }
}
