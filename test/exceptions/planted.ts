import * as assert from 'uvu/assert'
import type { BrokerNode } from '../../src/broker.ts'

/** What nobody expects. */
export const planted = (): never => {
  throw new TypeError('planted')
}

export interface LogLine {
  readonly fields: { readonly err?: Error; readonly [name: string]: unknown }
  readonly message: string
}

/** What a broker says in its log from now on. */
export class LogLines {
  /** As errors. */
  readonly errors: LogLine[] = []
  readonly #infos: LogLine[] = []
  #waiting: { readonly isIt: (line: LogLine) => boolean; readonly resolve: () => void }[] = []

  constructor({ log }: BrokerNode) {
    log.error = this.#into(this.errors) as typeof log.error
    log.info = this.#into(this.#infos) as typeof log.info
  }

  #into(lines: LogLine[]) {
    return (fields: LogLine['fields'], message: string): void => {
      const line = { fields, message }
      lines.push(line)
      for (const { isIt, resolve } of this.#waiting) if (isIt(line)) resolve()
    }
  }

  /** Resolves when there is a line like this, of any level. */
  has(message: RegExp): Promise<void> {
    const isIt = (line: LogLine): boolean => message.test(line.message)
    if ([...this.errors, ...this.#infos].some(isIt)) return Promise.resolve()
    return new Promise(resolve => this.#waiting.push({ isIt, resolve }))
  }

  /** There is one line about what was planted, with its stack. Nothing else is said until now, and what was is forgotten. */
  expectOne(message: RegExp): LogLine {
    const said = this.errors.splice(0)
    assert.is(said.length, 1, said.map(({ message }) => message).join('\n'))
    assert.match(said[0]!.message, message)
    assert.match(said[0]!.fields.err!.stack!, /TypeError: planted\n +at /)
    this.#infos.length = 0
    return said[0]!
  }
}
