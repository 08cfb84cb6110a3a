import { RE2JS, RE2JSSyntaxException } from 're2js'

/**
 * The topics that consumers subscribe to with a regular expression. RE2's syntax, as in Kafka (which has its Java port), and its
 * linear time: no pattern backtracks. Even so a hostile one can be slow, so this runs on a task thread, and is bounded.
 */
export const PATTERN_LIMITS = {
  /** Characters of a pattern. Kafka has no such bound, but a record must hold it. */
  charsMax: 8_192,
  /** The same for one that names characters which no topic has, by themselves or by number: their ranges are slow to compile. */
  exoticCharsMax: 512,
  /** Instructions of the compiled pattern: one for a letter, more for counted repetition. Each may cost a step a character. */
  instructionsMax: 5_000,
  /** ms that matching one pattern with all topics may take; only patterns that are made to be slow come near. */
  matchMsMax: 500,
} as const

/** Outside ASCII, or \x, \u and octal escapes, which can be. */
const EXOTIC = /[^\0-\x7f]|\\[xu0-7]/

/** @returns what is wrong with a pattern, as a sentence; null if nothing is */
export function checkPattern(pattern: string): string | null {
  const { instructionsMax } = PATTERN_LIMITS
  const charsMax = EXOTIC.test(pattern) ? PATTERN_LIMITS.exoticCharsMax : PATTERN_LIMITS.charsMax
  if (pattern.length > charsMax) {
    return `The regular expression has ${pattern.length} characters, at most ${charsMax} are allowed.`
  }
  try {
    const size = RE2JS.compile(pattern).programSize()
    if (size <= instructionsMax) return null
    return `The regular expression takes ${size} instructions, at most ${instructionsMax} are allowed.`
  } catch (error) {
    if (!(error instanceof RE2JSSyntaxException)) throw error
    return `The regular expression ${pattern.slice(0, 200)} is not valid: ${error.message.slice(0, 200)}`
  }
}

/**
 * Those of the names that the pattern matches as a whole.
 * @param now ms
 */
export function matchTopics(
  pattern: string,
  names: readonly string[],
  now: () => number = () => performance.now(),
): string[] {
  const expression = RE2JS.compile(pattern)
  const deadline = now() + PATTERN_LIMITS.matchMsMax
  return names.filter((name, i) => {
    if (now() > deadline) {
      const problem = `matching took more than ${PATTERN_LIMITS.matchMsMax} ms`
      throw new Error(`${problem} for ${i} of ${names.length} topics: ${pattern.slice(0, 200)}`)
    }
    return expression.testExact(name)
  })
}
