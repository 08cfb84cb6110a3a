/** One question "do I still lead?", and what has been heard since. */
interface Question {
  readonly ticket: number
  /** By replica: the session on which an answer left after the question came. */
  readonly answeredOn: Map<number, number>
  readonly proven: Set<number>
}

/**
 * Reads that must not be stale, without a clock (Raft's read index). A replica has proven that it followed after the question
 * if it fetches on a session on which an answer left after the question: a fetch that was under way before proves nothing.
 */
export class Confirmations {
  #questions: Question[] = []

  get isEmpty(): boolean {
    return this.#questions.length === 0
  }

  ask(ticket: number): void {
    this.#questions.push({ ticket, answeredOn: new Map(), proven: new Set() })
  }

  answered(replica: number, session: number): void {
    for (const { answeredOn } of this.#questions) answeredOn.set(replica, session)
  }

  heard(replica: number, session: number): void {
    for (const { answeredOn, proven } of this.#questions) {
      if (answeredOn.get(replica) === session) proven.add(replica)
    }
  }

  /** Takes out the questions that all of these have proven. */
  provenBy(replicas: readonly number[]): number[] {
    const done = this.#questions.filter(({ proven }) => replicas.every(id => proven.has(id)))
    if (done.length > 0) this.#questions = this.#questions.filter(q => !done.includes(q))
    return done.map(({ ticket }) => ticket)
  }

  all(): number[] {
    return this.#questions.splice(0).map(({ ticket }) => ticket)
  }
}
