// What the client programs in JavaScript have in common: calls come in as lines of JSON, see member.ts.
import { createInterface } from 'node:readline'

/** Writes one line to whoever started this program. */
export function say(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`)
}

/** Answers each call with what the function of its name resolves to. */
export function serve(calls) {
  const lines = createInterface({ input: process.stdin })
  lines.on('line', async text => {
    const { id, call, ...args } = JSON.parse(text)
    try {
      say({ id, result: (await calls[call](args)) ?? null })
    } catch (error) {
      say({ id, error: `${error.type ?? ''} ${error.message} ${causes(error)}` })
    }
  })
  lines.on('close', () => process.exit(0))
}

/** The names and messages of what an error wraps: the libraries have three ways for that. */
function causes(error) {
  const groups = (error.groups ?? []).map(group => group.error)
  const inner = [error.cause, ...(error.errors ?? []), ...groups].filter(Boolean)
  return inner.map(e => `${e.apiId ?? e.type ?? ''} ${e.message ?? ''} ${causes(e)}`).join(' ')
}
