import { RE2JS, RE2JSSyntaxException } from 're2js'

/**
 * The topics that consumers subscribe to with a regular expression. RE2's syntax, as in Kafka (which has its Java port), and its
 * linear time: no pattern backtracks. Even so a hostile one can be slow, so this runs on a task thread, and is bounded.
 */
export const PATTERN_LIMITS = {
  /** Characters of a pattern. Kafka has no such bound, but a record must hold it. */
  charsMax: 8_192,
  /** The same for one that names characters which no topic has, by themselves, by number or by class: their ranges are slow to compile. */
  exoticCharsMax: 512,
  /**
   * Instructions of the compiled pattern: one for a letter, more for counted repetition. Each may cost a step a character, so
   * that the longest name takes some 300 ms at most.
   */
  instructionsMax: 5_000,
  /** ms that matching one pattern with all topics may take, compiled and all; only patterns that are made to be slow come near. */
  matchMsMax: 500,
} as const

/** Outside ASCII, or \x, \u and octal escapes, which can be, or \p. */
const EXOTIC = /[^\0-\x7f]|\\[xupP0-7]/

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
 * @throws Error when the time would be over before the next one, if that takes as long as the longest so far
 */
export function matchTopics(
  pattern: string,
  names: readonly string[],
  now: () => number = () => performance.now(),
): string[] {
  const { matchMsMax } = PATTERN_LIMITS
  const end = now() + matchMsMax
  const expression = RE2JS.compile(pattern)
  let last = now()
  let longest = 0
  return names.filter((name, i) => {
    if (last + longest > end) {
      const problem = `matching takes more than ${matchMsMax} ms`
      throw new Error(
        `${problem}, given up after ${i} of ${names.length} topics: ${pattern.slice(0, 200)}`,
      )
    }
    const isMatch = expression.testExact(name)
    const at = now()
    longest = Math.max(longest, at - last)
    last = at
    return isMatch
  })
}
