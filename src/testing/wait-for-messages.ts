import type { BrokerContext } from '../broker-context.ts'
import type { Access } from '../embedded/access.ts'
import { type ReadRecord, read } from '../embedded/read.ts'
import { Deadline, type WaitOptions } from './deadline.ts'

/** Of the last record, a time-out message shows so many characters of key and value. */
const SHOWN_CHARACTERS = 60

export interface MessageWaitOptions extends WaitOptions {
  /** How many records; 1 by default. */
  readonly count?: number
  /** Counts only the records for which it returns true. */
  readonly where?: (record: ReadRecord) => boolean
  /** Only this partition; by default all of them. */
  readonly partition?: number
}

/**
 * Resolves with the first records of the topic as soon as there are so many. The topic may come into being meanwhile.
 * @throws WaitTimeout, or BrokerError if the topic is deleted
 * @internal
 */
export async function waitForMessages(
  access: Access,
  topic: string,
  options: MessageWaitOptions,
  closed: AbortSignal,
): Promise<ReadRecord[]> {
  const node = access.broker
  const { count = 1, where = () => true, partition } = options
  const deadline = new Deadline(options, closed)
  const found: ReadRecord[] = []
  let others = 0
  let last: ReadRecord | undefined
  const seen = (): string => {
    const start = `Topic '${topic}' had ${found.length} of ${count} records after ${deadline.timeout} ms`
    if (node.registry.topic(topic) === undefined) return `${start}: ${missing(node)}`
    const passed = others === 0 ? '' : `, and ${others} that \`where\` did not take`
    return `${start}${passed}${last === undefined ? '.' : `. The last: ${shown(last)}.`}`
  }
  try {
    await deadline.poll(() => node.registry.topic(topic), seen)
    const which = partition === undefined ? {} : { partition }
    for await (const record of read(access, topic, { ...which, signal: deadline.signal }, closed)) {
      last = record
      if (where(record)) found.push(record)
      else others++
      if (found.length === count) return found
    }
    deadline.check(seen)
    throw new Error(`Reading '${topic}' ended before its time.`)
  } finally {
    deadline.clear()
  }
}

function missing(node: BrokerContext): string {
  const names = [...node.registry.topics].map(({ name }) => `'${name}'`)
  return `it does not exist; ${names.length === 0 ? 'there are no topics' : `there is ${names.join(', ')}`}.`
}

function shown({ partition, offset, key, value }: ReadRecord): string {
  const text = (bytes: Buffer | null): string => {
    if (bytes === null) return 'null'
    const all = bytes.toString()
    return JSON.stringify(
      all.length > SHOWN_CHARACTERS ? `${all.slice(0, SHOWN_CHARACTERS)}...` : all,
    )
  }
  return `partition ${partition}, offset ${offset}, key ${text(key)}, value ${text(value)}`
}
