import type {
  ClassicMemberState,
  ClientInfo,
  JoinRequest,
  JoinResponse,
  ProtocolMetadata,
  Reply,
  SyncResponse,
} from '../group.ts'
import { MEMBER_BYTES, PROTOCOL_BYTES } from '../memory.ts'
import type { RecordOf } from '../records.ts'

/** A member id starts with at most so much of the client id. */
export const CLIENT_ID_CHARS_MAX = 255

export const NO_ASSIGNMENT: Buffer = Buffer.alloc(0)

const bytesOf = (text: string): number => Buffer.byteLength(text)
/** What is behind the name in a member id, at most. */
const UUID_BYTES = 37
/** Of a member in a record, besides texts and bytes: six lengths and two time-outs. */
const NUMBERS_BYTES = 4 * 2 + 2 * 4 + 2 * 4

type StoredMember = NonNullable<RecordOf<'groupMetadata'>['value']>['members'][number]

/** What the protocols that a member offers take in memory. */
function protocolBytes(protocols: readonly ProtocolMetadata[]): number {
  let bytes = protocols.length * PROTOCOL_BYTES
  for (const { name, metadata } of protocols) bytes += name.length + metadata.length
  return bytes
}

/** One member of a classic group. */
export class ClassicMember {
  readonly memberId: string
  readonly instanceId: string | null
  readonly clientId: string
  readonly clientHost: string
  rebalanceTimeoutMs: number
  sessionTimeoutMs: number
  protocols: readonly ProtocolMetadata[]
  assignment: Buffer = NO_ASSIGNMENT
  /** The parked answers, if it waits for them. */
  awaitingJoin: Reply<JoinResponse> | null = null
  awaitingSync: Reply<SyncResponse> | null = null
  /** Has not been answered since it was added: it cannot send heartbeats yet, so its join itself expires. */
  isNew = false
  /** Whoever waits for its parked answer is gone: it expires as if it did not wait. */
  isAbandoned = false
  /** Broker time in ms by which it must be heard of. It does not count while an answer to a known member is parked. */
  deadline = Number.POSITIVE_INFINITY

  /** The id under which it may be next counts as well as the one that it has: the one is made of what the other was. */
  readonly idBytes: number
  readonly #textBytes: number
  #protocolBytes: number

  constructor(state: Omit<ClassicMemberState, 'assignment'>) {
    this.memberId = state.memberId
    this.instanceId = state.instanceId
    this.clientId = state.clientId
    this.clientHost = state.clientHost
    this.rebalanceTimeoutMs = state.rebalanceTimeoutMs
    this.sessionTimeoutMs = state.sessionTimeoutMs
    this.protocols = state.protocols
    this.#protocolBytes = protocolBytes(state.protocols)
    const [instance, client] = [bytesOf(this.instanceId ?? ''), bytesOf(this.clientId)]
    this.idBytes = Math.max(bytesOf(this.memberId), Math.max(instance, client) + UUID_BYTES)
    this.#textBytes = this.idBytes + instance + client + bytesOf(this.clientHost)
  }

  static joining(memberId: string, request: JoinRequest, client: ClientInfo): ClassicMember {
    const { groupInstanceId: instanceId, protocols } = request
    const { rebalanceTimeoutMs, sessionTimeoutMs } = request
    const { clientId, clientHost } = client
    return new ClassicMember({
      ...{ memberId, instanceId, clientId, clientHost },
      ...{ rebalanceTimeoutMs, sessionTimeoutMs, protocols },
    })
  }

  /** As the log has it: only the metadata of the protocol in use is kept there. */
  static stored(stored: StoredMember, protocol: string | null): ClassicMember {
    const { memberId, groupInstanceId: instanceId, clientId, clientHost } = stored
    const { sessionTimeout, rebalanceTimeout, subscription } = stored
    const member = new ClassicMember({
      ...{ memberId, instanceId, clientId, clientHost },
      sessionTimeoutMs: sessionTimeout,
      rebalanceTimeoutMs: rebalanceTimeout === -1 ? sessionTimeout : rebalanceTimeout,
      protocols: protocol === null ? [] : [{ name: protocol, metadata: subscription }],
    })
    member.assignment = stored.assignment
    return member
  }

  /** Of its part of the group's record at most, whichever protocol is chosen; without its assignment. */
  get recordBytes(): number {
    let metadata = 0
    for (const protocol of this.protocols) metadata = Math.max(metadata, protocol.metadata.length)
    return this.#textBytes + NUMBERS_BYTES + metadata
  }

  /** What it takes in memory, all together, and what of that is its protocols. */
  get heldBytes(): number {
    return MEMBER_BYTES + this.#textBytes + this.#protocolBytes + this.assignment.length
  }

  get protocolBytes(): number {
    return this.#protocolBytes
  }

  update(request: JoinRequest): void {
    this.protocols = request.protocols
    this.#protocolBytes = protocolBytes(request.protocols)
    this.rebalanceTimeoutMs = request.rebalanceTimeoutMs
    this.sessionTimeoutMs = request.sessionTimeoutMs
  }

  supports(protocol: string): boolean {
    return this.protocols.some(({ name }) => name === protocol)
  }

  /** What it says under this protocol; empty if it does not have it. */
  metadata(protocol: string | null): Buffer {
    return this.protocols.find(({ name }) => name === protocol)?.metadata ?? NO_ASSIGNMENT
  }

  /** Whether it joins with the protocols and metadata that it had. */
  hasSameProtocols(protocols: readonly ProtocolMetadata[]): boolean {
    return (
      protocols.length === this.protocols.length &&
      protocols.every((protocol, i) => {
        const own = this.protocols[i]!
        return own.name === protocol.name && own.metadata.equals(protocol.metadata)
      })
    )
  }

  /** The first of its protocols that everybody has. */
  vote(candidates: ReadonlySet<string>): string {
    return this.protocols.find(({ name }) => candidates.has(name))!.name
  }

  answerJoin(response: JoinResponse): void {
    const reply = this.awaitingJoin
    this.awaitingJoin = null
    reply?.(response)
  }

  /** @returns whether it waited */
  answerSync(response: SyncResponse): boolean {
    const reply = this.awaitingSync
    this.awaitingSync = null
    reply?.(response)
    return reply !== null
  }

  /** It waits again, on another connection. @returns whether it is new as well, so that its join expires later again */
  isBack(): boolean {
    const wasAbandoned = this.isAbandoned
    this.isAbandoned = false
    return wasAbandoned && this.isNew
  }

  isAwaiting(reply: Reply<never>): boolean {
    return this.awaitingJoin === reply || this.awaitingSync === reply
  }

  /** Whatever it waits for ends with this error. */
  dismiss(errorCode: number): void {
    this.answerJoin({ errorCode, memberId: this.memberId })
    this.answerSync({ errorCode })
  }

  /** Whether its session is over at this broker time. */
  isExpired(now: number): boolean {
    const isWaiting = this.awaitingJoin !== null || this.awaitingSync !== null
    return this.deadline <= now && (this.isNew || this.isAbandoned || !isWaiting)
  }

  toRecord(protocol: string | null): StoredMember {
    return {
      memberId: this.memberId,
      groupInstanceId: this.instanceId,
      clientId: this.clientId,
      clientHost: this.clientHost,
      rebalanceTimeout: this.rebalanceTimeoutMs,
      sessionTimeout: this.sessionTimeoutMs,
      subscription: this.metadata(protocol),
      assignment: this.assignment,
    }
  }
}
