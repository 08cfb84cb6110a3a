import { Client, ClientError } from '../../src/client/client.ts'
import { ErrorCode, errorName } from '../../src/protocol/error-codes.ts'
import { produceApi } from '../../src/protocol/messages/00-produce.ts'
import { initProducerIdApi } from '../../src/protocol/messages/22-init-producer-id.ts'
import * as batch from '../../src/protocol/record-batch.ts'
import { encodeBatch } from '../../src/protocol/records.ts'
import type { Random } from '../lib/random.ts'
import type { Ledger, Sent } from './ledger.ts'

/** What an idempotent producer may have in flight on a partition (KIP-98). */
const IN_FLIGHT_MAX = 5
const SEQUENCE_MOD = 2 ** 31
/** A share of a group from 256 KiB on is flushed in its segment instead of the journal: some batches are that big. */
const BIG_BYTES = 300 * 1024
const BIG_SHARE = 0.01
const PRODUCE_VERSION = 9

const NOISE = Buffer.alloc(BIG_BYTES)
for (let i = 0; i < NOISE.length; i++) NOISE[i] = (i * 2_654_435_761) >>> 24

export interface Target {
  readonly topic: string
  readonly index: number
  readonly ledger: Ledger
}

interface Pending {
  readonly sent: Sent
  readonly bytes: Buffer
}

interface Lane extends Target {
  /** Batches sent so far. */
  place: number
  sequence: number
  /** Sent and not acknowledged, oldest first: sent again after a crash, with the sequence they had. */
  pending: Pending[]
  inFlight: number
}

/** What one request holds for one partition. */
interface Part {
  readonly lane: Lane
  readonly pending: Pending
}

/** One producer over all crashes: sends to several partitions through one connection at a time, and tells the ledgers. */
export class Producer {
  readonly #name: string
  readonly #isIdempotent: boolean
  readonly #lanes: Lane[]
  readonly #random: Random
  #producerId = -1
  #answered: () => void = () => {}
  #isBroken = false

  constructor(name: string, idempotent: boolean, targets: readonly Target[], random: Random) {
    this.#name = name
    this.#isIdempotent = idempotent
    this.#random = random
    this.#lanes = targets.map(target => ({
      ...target,
      place: 0,
      sequence: 0,
      pending: [],
      inFlight: 0,
    }))
  }

  /** Sends until the connection breaks; first again whatever was not acknowledged before. */
  async run(port: number): Promise<void> {
    const client = await Client.connect({ host: '127.0.0.1', port, maxInFlight: 64 })
    try {
      await this.#begin(client)
      while (!this.#isBroken) await this.#sendSome(client)
    } catch (error) {
      if (!(error instanceof ClientError)) throw error
    } finally {
      await client.close()
    }
  }

  async #begin(client: Client): Promise<void> {
    this.#isBroken = false
    for (const lane of this.#lanes) {
      lane.inFlight = 0
      // Without a sequence nobody could tell a retry from the first try: what became of those stays open.
      if (!this.#isIdempotent) lane.pending = []
    }
    if (this.#isIdempotent && this.#producerId === -1) {
      const request = { transactionalId: null, transactionTimeoutMs: 0 }
      const answer = await client.send(initProducerIdApi, 4, request)
      this.#producerId = answer.producerId
    }
    for (const lane of this.#lanes) {
      for (const pending of lane.pending) this.#send(client, [{ lane, pending }])
    }
  }

  /** One request with a batch for each of some partitions that have room in flight. */
  async #sendSome(client: Client): Promise<void> {
    const free = this.#lanes.filter(lane => lane.inFlight < IN_FLIGHT_MAX)
    if (free.length === 0) {
      await new Promise<void>(resolve => {
        this.#answered = resolve
      })
      return
    }
    const chosen = free.filter((_, i) => i === 0 || this.#random.chance(0.5))
    const parts: Part[] = []
    for (const lane of chosen) {
      const pending = await this.#newBatch(lane)
      lane.pending.push(pending)
      parts.push({ lane, pending })
    }
    this.#send(client, parts)
    // Lets the socket and the other producers have their turn.
    await new Promise(resolve => setImmediate(resolve))
  }

  async #newBatch(lane: Lane): Promise<Pending> {
    const random = this.#random
    const count = 1 + random.below(20)
    const isBig = random.chance(BIG_SHARE)
    const label = `${this.#name} ${lane.place}`
    for (let attempt = 0; ; attempt++) {
      const records = Array.from({ length: count }, (_, i) => ({
        timestamp: Date.now(),
        value: Buffer.concat([
          Buffer.from(`${label} ${i} ${attempt} `),
          NOISE.subarray(0, isBig && i === 0 ? BIG_BYTES : random.below(400)),
        ]),
      }))
      const identity = this.#isIdempotent
        ? { producerId: this.#producerId, producerEpoch: 0, baseSequence: lane.sequence }
        : {}
      const bytes = await encodeBatch(records, identity)
      const sent: Sent = {
        crc: batch.storedCrc(bytes),
        records: count,
        lane: this.#name,
        place: this.#isIdempotent ? lane.place : -1,
        ackedAt: -1,
      }
      if (!lane.ledger.send(sent)) continue
      lane.place++
      lane.sequence = (lane.sequence + count) % SEQUENCE_MOD
      return { sent, bytes }
    }
  }

  #send(client: Client, parts: readonly Part[]): void {
    for (const { lane } of parts) lane.inFlight++
    const topicData = parts.map(({ lane, pending }) => ({
      name: lane.topic,
      partitionData: [{ index: lane.index, records: pending.bytes }],
    }))
    client.send(produceApi, PRODUCE_VERSION, { acks: -1, timeoutMs: 10_000, topicData }).then(
      ({ responses }) => {
        responses.forEach((response, i) => {
          const { errorCode, baseOffset } = response.partitionResponses[0]!
          this.#settle(parts[i]!, errorCode, baseOffset)
        })
        this.#answered()
      },
      () => {
        this.#isBroken = true
        this.#answered()
      },
    )
  }

  #settle({ lane, pending }: Part, errorCode: number, offset: number): void {
    const { sent } = pending
    lane.inFlight--
    if (errorCode !== ErrorCode.NONE) {
      const what = `batch ${sent.place} of ${sent.lane} was answered ${errorName(errorCode)}`
      lane.ledger.violations.push(`${lane.ledger.name}: ${what}`)
      return
    }
    lane.pending.splice(lane.pending.indexOf(pending), 1)
    lane.ledger.acknowledge(sent, offset)
  }
}
