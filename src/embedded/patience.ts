import { setTimeout as delay } from 'node:timers/promises'
import { BrokerError } from '../errors.ts'
import { ErrorCode, errorInfo } from '../protocol/error-codes.ts'

/** The longest wait for a leader, for what is committed, or for a coordinator: as request.timeout.ms of Kafka's producers. */
export const WAIT_MS_MAX = 30_000
/** Between two tries. */
export const RETRY_MS = 100

/** Whether the same may succeed a moment later: another broker leads, or will. */
export function isPassing(error: unknown): error is BrokerError {
  if (!(error instanceof BrokerError)) return false
  const { errorCode } = error
  // Of this broker, which knows what there is.
  if (errorCode === ErrorCode.UNKNOWN_TOPIC_OR_PARTITION) return false
  return errorInfo(errorCode)?.retriable === true
}

/** Tries again for so many ms what may pass, or until it is to stop. @throws what it failed with last */
export async function patiently<T>(
  attempt: () => Promise<T>,
  ms: number,
  stop?: AbortSignal,
): Promise<T> {
  const deadline = performance.now() + ms
  for (;;) {
    try {
      return await attempt()
    } catch (error) {
      const isOver = performance.now() + RETRY_MS > deadline || stop?.aborted
      if (!isPassing(error) || isOver) throw error
    }
    await pause()
  }
}

/** For a moment. Not ended by a signal: of those that many wait for, each wait would be one more listener. */
export const pause = (): Promise<void> => delay(RETRY_MS)
