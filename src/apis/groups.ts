import { BrokerError, toKafkaError } from '../errors.ts'
import type { GroupEntry } from '../groups/entry.ts'
import type { ClientInfo, Reply } from '../groups/group.ts'
import type { Shard } from '../groups/shard.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import { isUtf8Text } from '../protocol/reader.ts'
import type { RequestContext } from './handler.ts'

/** What is shared by the APIs of groups. */

export function clientOf({ clientId, peer, version }: RequestContext): ClientInfo {
  return { clientId, clientHost: `/${peer.slice(0, peer.lastIndexOf(':'))}`, version }
}

/** @throws BrokerError INVALID_GROUP_ID */
export function checkGroupId(groupId: string): void {
  if (groupId === '') {
    throw new BrokerError(ErrorCode.INVALID_GROUP_ID, 'A group id may not be empty.')
  }
  checkKeptGroupId(groupId)
}

/** Where it may be empty, as for commits of those who are in no group. @throws BrokerError INVALID_GROUP_ID */
export function checkKeptGroupId(groupId: string): void {
  if (isUtf8Text(groupId)) return
  throw new BrokerError(ErrorCode.INVALID_GROUP_ID, 'A group id must be UTF-8.')
}

export function unknownGroup(groupId: string): BrokerError {
  return new BrokerError(ErrorCode.GROUP_ID_NOT_FOUND, `Group ${groupId} not found.`)
}

/**
 * Runs a request on a group and answers when all that it rests on is flushed. What it throws becomes an answer by `failed`.
 */
export async function onGroup<R>(
  shard: Shard,
  entry: GroupEntry,
  context: RequestContext,
  action: () => R,
  failed: (errorCode: ErrorCode, message: string) => R,
): Promise<R> {
  try {
    const answer = shard.run(entry, action)
    await shard.settled(entry)
    return answer
  } catch (error) {
    const { errorCode, errorMessage } = toKafkaError(error, context.broker.log)
    return failed(errorCode, errorMessage)
  }
}

/**
 * Starts what a group answers later, when others have done their part. Nothing of what waits knows the request, whose
 * memory is free meanwhile: what the group keeps of it is counted there. If the client goes, or
 * sends nothing more, the group is told: it is answered still, if that is soon.
 */
export function parked<R>(
  shard: Shard,
  entry: GroupEntry,
  context: RequestContext,
  failed: (errorCode: ErrorCode) => R,
  start: (reply: Reply<R>) => void,
): Promise<R> {
  const { gone } = context
  const answer = new Parked(shard, entry, gone, failed)
  try {
    shard.run(entry, () => start(answer.reply))
    if (gone.aborted) answer.abandon()
  } catch (error) {
    answer.stop()
    throw error
  }
  context.park()
  return answer.given
}

/** A class, so that no closure shares its memory with one that knows the request. */
class Parked<R> {
  readonly given: Promise<R>
  readonly #shard: Shard
  readonly #entry: GroupEntry
  readonly #gone: AbortSignal
  readonly #failed: (errorCode: ErrorCode) => R
  #give: (answer: R | Promise<R>) => void = () => {}

  constructor(
    shard: Shard,
    entry: GroupEntry,
    gone: AbortSignal,
    failed: (errorCode: ErrorCode) => R,
  ) {
    this.#shard = shard
    this.#entry = entry
    this.#gone = gone
    this.#failed = failed
    this.given = new Promise(resolve => {
      this.#give = resolve
    })
    gone.addEventListener('abort', this.#onGone)
    entry.parked.add(this.#onClosed)
  }

  readonly reply: Reply<R> = response => {
    this.stop()
    const send = (failure: ErrorCode): R =>
      failure === ErrorCode.NONE ? response : this.#failed(failure)
    this.#give(this.#shard.answer(this.#entry, send))
  }

  readonly #onGone = (): void => this.abandon()

  /** The group has failed, and will not answer. */
  readonly #onClosed = (errorCode: ErrorCode): void => {
    this.stop()
    this.#give(this.#failed(errorCode))
  }

  abandon(): void {
    const entry = this.#entry
    if (this.#shard.find(entry.id) !== entry) return
    this.#shard.run(entry, () => entry.group.abandon(this.reply as Reply<never>))
  }

  stop(): void {
    this.#gone.removeEventListener('abort', this.#onGone)
    this.#entry.parked.delete(this.#onClosed)
  }
}
