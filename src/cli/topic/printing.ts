import type { RE2JS } from 're2js'
import type { BatchRecord } from '../../protocol/records.ts'
import type { Range } from '../base/fetch.ts'
import { Writing } from '../base/output.ts'
import type { Done } from '../base/progress.ts'
import type { Sink } from './consumer.ts'
import type { Format } from './format.ts'

/** What has been read. */
export interface Count {
  records: number
  bytes: number
}

export interface Wanted {
  readonly format: Format
  readonly grep?: RE2JS
  /** The most to be printed. */
  readonly count?: number
}

/** Prints the records that are wanted. */
export function printer({ format, grep, count: countMax }: Wanted, count: Count): Sink {
  const writing = new Writing()
  let left = countMax ?? Number.POSITIVE_INFINITY
  return {
    take(range, record) {
      count.records++
      count.bytes += (record.key?.length ?? 0) + (record.value?.length ?? 0)
      if (grep !== undefined && !matches(grep, record)) return true
      format(writing, range, record)
      return --left > 0
    },
    get isFull() {
      return writing.isFull
    },
    flush: () => writing.flush(),
  }
}

function matches(regex: RE2JS, { key, value }: BatchRecord): boolean {
  return [key, value].some(bytes => bytes !== null && regex.matcher(bytes.toString()).find())
}

/** How much of these ranges is read. */
export function progressOf(ranges: readonly Range[], count: Count): () => Done {
  const starts = ranges.map(range => range.offset)
  const total = ranges.reduce((sum, range, i) => sum + range.end - starts[i]!, 0)
  return () => {
    const read = ranges.reduce((sum, range, i) => sum + range.offset - starts[i]!, 0)
    return { ...count, share: Number.isFinite(total) && total > 0 ? read / total : null }
  }
}
