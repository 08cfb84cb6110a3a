import { InvalidArgumentError } from 'commander'
import { RE2JS, RE2JSSyntaxException } from 're2js'
import type { Cluster } from './cluster.ts'
import { CliError, EXIT } from './failure.ts'

/** What the help says of arguments that `namesOf` takes. */
export const PATTERN_HELP = 'a topic that begins with ^ is a pattern (RE2)'

export function parseRegex(text: string): RE2JS {
  try {
    return RE2JS.compile(text)
  } catch (error) {
    if (!(error instanceof RE2JSSyntaxException)) throw error
    throw new InvalidArgumentError(`It is no regular expression of RE2: ${error.message}.`)
  }
}

/**
 * The topics by that name, or that match: what begins with ^ is a pattern, as no topic's name does. Patterns pass over what
 * brokers keep for themselves.
 * @throws CliError for a pattern that is none, or that nothing matches
 */
export async function namesOf(cluster: Cluster, asked: readonly string[]): Promise<string[]> {
  if (!asked.some(isPattern)) return [...new Set(asked)]
  const all = await cluster.topicNames()
  const found = asked.flatMap(text => (isPattern(text) ? matching(text, all) : [text]))
  return [...new Set(found)]
}

export const isPattern = (text: string): boolean => text.startsWith('^')

function matching(text: string, all: readonly string[]): string[] {
  const pattern = patternOf(text)
  const found = all.filter(name => pattern.matcher(name).find()).sort()
  if (found.length === 0) {
    throw new CliError(`no topic matches ${text}: odradek topic list shows those that there are`)
  }
  return found
}

function patternOf(text: string): RE2JS {
  try {
    return parseRegex(text)
  } catch (error) {
    if (!(error instanceof InvalidArgumentError)) throw error
    throw new CliError(`${text}: ${error.message}`, EXIT.usage, { cause: error })
  }
}
