import { CommanderError } from 'commander'
import { ClientError, type ClientErrorCode } from '../../client/client.ts'
import { errorInfo, errorName } from '../../protocol/error-codes.ts'

/** What the program ends with. */
export const EXIT = { ok: 0, failed: 1, usage: 2, noConnection: 3 } as const

export const EXIT_HELP = `
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 cannot connect.`

/** What a person can act on: one line that says what, where and what is allowed. */
export class CliError extends Error {
  override readonly name = 'CliError'
  readonly exitCode: number
  /** Whether it may be over in a while, as when a leader moves: whoever has time tries again. */
  readonly isPassing: boolean

  constructor(
    message: string,
    exitCode: number = EXIT.failed,
    { isPassing = false, ...options }: ErrorOptions & { readonly isPassing?: boolean } = {},
  ) {
    super(message, options)
    this.exitCode = exitCode
    this.isPassing = isPassing
  }
}

/** CLOSED: by this side, to connect anew. */
const PASSING: readonly ClientErrorCode[] = ['DISCONNECTED', 'TIMED_OUT', 'CLOSED']

/** Whether it may be over in a while: a broker that restarts, a leader that moves. */
export function isPassing(error: unknown): error is CliError | ClientError {
  if (error instanceof CliError) return error.isPassing
  return error instanceof ClientError && PASSING.includes(error.code)
}

export function usage(message: string): CliError {
  return new CliError(message, EXIT.usage)
}

/** @throws CliError if a broker answered with an error */
export function expectNone(errorCode: number, what: string, message?: string | null): void {
  if (errorCode === 0) return
  const name = errorName(errorCode)
  throw new CliError(`${what}: ${message ? `${message} (${name})` : name}`, EXIT.failed, {
    isPassing: errorInfo(errorCode)?.retriable ?? false,
  })
}

/** Says on stderr what went wrong, and gives the code to end with. */
export function explain(error: unknown): number {
  // Commander has printed its own.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage
  if (error instanceof CliError || error instanceof ClientError) {
    process.stderr.write(`odradek: ${error.message}\n`)
    return error instanceof CliError ? error.exitCode : EXIT.failed
  }
  const detail = error instanceof Error ? error.stack : String(error)
  process.stderr.write(`odradek: failed in an unexpected way, please report it: ${detail}\n`)
  return EXIT.failed
}
