/** Stops at a programming error: state that our own code made impossible. Never compiled out. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionFailed(message)
}

export class AssertionFailed extends Error {
  override readonly name = 'AssertionFailed'
}
