import type { ErrorLog } from './errors.ts'

/** Does what nobody waits for. What nobody expected in it is told in one line, with the stack, and costs nothing else. */
export function guarded(log: ErrorLog, message: string, fields: object, action: () => void): void {
  try {
    action()
  } catch (err) {
    log.error({ err, ...fields }, `bug: ${message}`)
  }
}

/** Does something every so many ms, whatever becomes of it, until the timer is cleared; it keeps no process alive. */
export function every(
  ms: number,
  log: ErrorLog,
  message: string,
  action: () => Promise<void> | void,
): NodeJS.Timeout {
  const failed = (err: unknown): void => log.error({ err }, `bug: ${message}`)
  const timer = setInterval(() => {
    guarded(log, message, {}, () => {
      action()?.catch(failed)
    })
  }, ms)
  timer.unref()
  return timer
}
