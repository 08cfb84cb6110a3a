import { CommanderError } from 'commander'
import { ClientError } from '../../client/client.ts'
import { errorName } from '../../protocol/error-codes.ts'

/** What the program ends with. */
export const EXIT = { ok: 0, failed: 1, usage: 2, noConnection: 3 } as const

export const EXIT_HELP = `
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 cannot connect.`

/** What a person can act on: one line that says what, where and what is allowed. */
export class CliError extends Error {
  override readonly name = 'CliError'
  readonly exitCode: number

  constructor(message: string, exitCode: number = EXIT.failed, options?: ErrorOptions) {
    super(message, options)
    this.exitCode = exitCode
  }
}

export function usage(message: string): CliError {
  return new CliError(message, EXIT.usage)
}

/** @throws CliError if a broker answered with an error */
export function expectNone(errorCode: number, what: string, message?: string | null): void {
  if (errorCode === 0) return
  const name = errorName(errorCode)
  throw new CliError(`${what}: ${message ? `${message} (${name})` : name}`)
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
