import { BrokerError } from '../errors.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import type { Change, Entry, MetadataStore } from './store.ts'

/** Each refusal means that another one got through, so only a broken store refuses so often. */
const TRIES_MAX = 100

/**
 * Changes a key by what it holds: `next` is given that, and again what it holds then if somebody was faster. If it throws,
 * nothing changes.
 * @param next may name other keys besides; what they hold is not compared
 * @throws OutcomeUnknown; the caller then does not know what the key holds
 */
export async function update(
  store: MetadataStore,
  key: string,
  next: (now: Entry | null) => readonly Change[],
): Promise<void> {
  let now = await store.get(key)
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const compare = { key, revision: now?.revision ?? 0 }
    const result = await store.transact([compare], next(now))
    if (result.outcome === 'applied') return
    now = result.now[0] ?? null
  }
  const message = `The metadata of ${key} was changed by others ${TRIES_MAX} times meanwhile: try again.`
  throw new BrokerError(ErrorCode.REQUEST_TIMED_OUT, message)
}
