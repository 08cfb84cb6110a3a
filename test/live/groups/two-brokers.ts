import { Client, ClientError } from '../../../src/client/client.ts'
import { type Fields, includes } from '../../../src/protocol/fields.ts'
import { metadataApi } from '../../../src/protocol/messages/03-metadata.ts'
import { findCoordinatorApi } from '../../../src/protocol/messages/10-find-coordinator.ts'
import { createTopicsApi } from '../../../src/protocol/messages/19-create-topics.ts'
import type { Api } from '../../../src/protocol/schema.ts'
import { SchemaError } from '../../../src/protocol/writer.ts'

/** A request or an answer, or a part of one. */
export type Tree = null | boolean | number | string | Buffer | Tree[] | Body
export interface Body {
  [name: string]: Tree
}

export interface Step {
  /** Whose request it is: `@by` stands for the member id that this one is given, `+by` for what it is assigned. */
  readonly by: string
  readonly api: Api
  readonly version: number
  readonly body: Body
}

/** A request under way at one broker. */
interface Flight {
  readonly step: Step
  answer: Tree | undefined
}

/** After so long without an answer, a request that may be parked is taken to be. */
const QUIET_MS = 40
/** One broker has this long to answer what the other one has answered. */
const LATE_MS = 1_500

/** What two brokers cannot have in common. */
const IGNORED = new Set(['throttleTimeMs', 'errorMessage', 'host', 'port', 'clientHost'])

/** A member id that the broker made and nobody was told: they differ in form. */
const MADE_ID = /^(differ|i)-[\w-]{22,36}$/

/** One of the two brokers, with its own names for what the script names by symbols. */
export class Side {
  readonly name: string
  readonly #address: { host: string; port: number }
  readonly #free: Client[] = []
  readonly #real = new Map<string, string>()
  readonly #symbols = new Map<string, string>()
  readonly #assigned = new Map<string, Tree>()
  /** Only groups whose ids begin with this are looked at in ListGroups. */
  prefix = ''

  constructor(name: string, address: string) {
    this.name = name
    const [host, port] = address.split(':')
    this.#address = { host: host!, port: Number(port) }
  }

  async #connect(): Promise<Client> {
    const options = { ...this.#address, clientId: 'differ', requestTimeoutMs: 120_000 }
    return this.#free.pop() ?? (await Client.connect(options))
  }

  async versions() {
    const client = await this.#connect()
    const versions = await client.apiVersions()
    this.#free.push(client)
    return versions
  }

  /** Makes topics, unless they are there, whose ids are `#name`, and waits until groups can be coordinated. */
  async prepare(topics: readonly { name: string; numPartitions: number }[]): Promise<void> {
    const client = await this.#connect()
    const asked = topics.map(topic => ({ ...topic, replicationFactor: 1 }))
    await client.send(createTopicsApi, 7, { topics: asked, timeoutMs: 10_000 })
    const coordinatorKeys = ['any']
    for (let errorCode = -1; errorCode !== 0; await new Promise(done => setTimeout(done, 200))) {
      const answer = await client.send(findCoordinatorApi, 4, { coordinatorKeys })
      errorCode = answer.coordinators[0]!.errorCode
    }
    const known = await client.send(metadataApi, 12, {
      topics: asked.map(({ name }) => ({ name })),
    })
    for (const { name, topicId } of known.topics) this.#learn(`#${name}`, topicId)
    this.#free.push(client)
  }

  #learn(symbol: string, real: string): void {
    this.#real.set(symbol, real)
    this.#symbols.set(real, symbol)
  }

  /** A connection for each request under way: a parked one holds up those behind it. */
  send(step: Step): Flight {
    const flight: Flight = { step, answer: undefined }
    this.#exchange(step).then(answer => {
      flight.answer = answer
    })
    return flight
  }

  async #exchange(step: Step): Promise<Tree> {
    const { api, version, by, body } = step
    const client = await this.#connect()
    try {
      const request = fitting(this.#toReal(body), api.request.fields, version)
      const answer = (await client.send(api, version, request as never)) as Body
      this.#free.push(client)
      return this.#toSymbols(this.#noted(by, api, answer))
    } catch (error) {
      // This version cannot say it.
      if (error instanceof SchemaError) return this.#released(client)
      if (!(error instanceof ClientError)) throw error
      await client.close()
      return error.code
    }
  }

  #released(client: Client): null {
    this.#free.push(client)
    return null
  }

  #noted(by: string, { request }: Api, answer: Body): Body {
    const { memberId, errorCode, assignment } = answer
    const isGiven = errorCode === 0 || errorCode === 79
    if (typeof memberId === 'string' && memberId !== '' && isGiven && !this.#symbols.has(memberId))
      this.#learn(`@${by}`, memberId)
    if (request.apiKey === 68 && errorCode === 0 && assignment != null)
      this.#assigned.set(`+${by}`, (assignment as Body).topicPartitions!)
    return answer
  }

  #toReal(tree: Tree): Tree {
    if (typeof tree === 'string')
      return this.#real.get(tree) ?? (tree[0] === '+' ? (this.#assigned.get(tree) ?? []) : tree)
    return mapped(tree, child => this.#toReal(child))
  }

  #toSymbols(tree: Tree, name = ''): Tree {
    if (typeof tree === 'string') return this.#symbols.get(tree) ?? tree.replace(MADE_ID, '$1-?')
    if (Buffer.isBuffer(tree)) return tree.toString('latin1')
    if (name === 'nodeId') return Math.sign(tree as number)
    if (Array.isArray(tree)) {
      const isOther = (one: Tree) =>
        name === 'groups' && !String((one as Body).groupId).startsWith(this.prefix)
      const kept = tree.filter(one => !isOther(one)).map(one => this.#toSymbols(one))
      return kept.sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1))
    }
    return mapped(tree, (child, key) => this.#toSymbols(child, key))
  }

  async close(): Promise<void> {
    for (const client of this.#free.splice(0)) await client.close()
  }
}

function mapped(tree: Tree, change: (child: Tree, key: string) => Tree): Tree {
  if (tree === null || typeof tree !== 'object' || Buffer.isBuffer(tree)) return tree
  if (Array.isArray(tree)) return tree.map(child => change(child, ''))
  const kept = Object.entries(tree).filter(([key]) => !IGNORED.has(key))
  return Object.fromEntries(kept.map(([key, child]) => [key, change(child, key)]))
}

/** Without the fields that this version does not have. */
function fitting(tree: Tree, fields: Fields | undefined, version: number): Tree {
  if (fields === undefined || tree === null || typeof tree !== 'object') return tree
  if (Buffer.isBuffer(tree)) return tree
  if (Array.isArray(tree)) return tree.map(one => fitting(one, fields, version))
  const kept = Object.entries(tree).filter(([key]) => {
    const field = fields[key]
    return field !== undefined && includes(field.versions, version)
  })
  return Object.fromEntries(
    kept.map(([key, child]) => {
      const { element, fields: inner } = fields[key]!
      return [key, fitting(child, inner ?? element?.fields, version)]
    }),
  )
}

/** The answer to a request that both have answered, or that only one has. */
export interface Pair {
  readonly step: Step
  readonly kafka: Tree | undefined
  readonly ours: Tree | undefined
}

/** Sends every step to both and tells what has been answered since the one before. */
export class TwoBrokers {
  readonly sides: readonly [Side, Side]
  #parked: { readonly kafka: Flight; readonly ours: Flight }[] = []

  constructor(kafka: Side, ours: Side) {
    this.sides = [kafka, ours]
  }

  get parked(): number {
    return this.#parked.length
  }

  set prefix(prefix: string) {
    for (const side of this.sides) side.prefix = prefix
  }

  /** @param mayPark whether the request may be left without an answer */
  async send(step: Step, mayPark: boolean): Promise<Pair[]> {
    const [kafka, ours] = this.sides
    const sent = { kafka: kafka.send(step), ours: ours.send(step) }
    this.#parked.push(sent)
    const isSettled = (): boolean =>
      this.#parked.every(f => (f.kafka.answer === undefined) === (f.ours.answer === undefined)) &&
      (mayPark || sent.kafka.answer !== undefined)
    const started = performance.now()
    let settledAt = 0
    for (let now = started; now - started < LATE_MS; now = performance.now()) {
      if (!isSettled()) settledAt = 0
      else if (settledAt === 0) settledAt = now
      const isQuiet = this.#parked.every(f => f.kafka.answer !== undefined)
      if (settledAt > 0 && (isQuiet || now - settledAt > QUIET_MS)) break
      await new Promise(resolve => setImmediate(resolve))
    }
    const isOver = (f: { kafka: Flight; ours: Flight }) =>
      f.kafka.answer !== undefined || f.ours.answer !== undefined
    const over = this.#parked.filter(isOver)
    this.#parked = this.#parked.filter(f => !isOver(f))
    return over.map(f => ({ step: f.kafka.step, kafka: f.kafka.answer, ours: f.ours.answer }))
  }

  /** What is parked is of no interest any more. */
  abandon(): void {
    this.#parked = []
  }

  async close(): Promise<void> {
    await Promise.all(this.sides.map(side => side.close()))
  }
}
