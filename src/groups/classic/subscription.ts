import { consumerProtocolSubscription } from '../../protocol/consumer-protocol.ts'
import { MalformedFrame, Reader } from '../../protocol/reader.ts'

/**
 * The topics that consumers subscribe to, out of the bytes with which they join. Version 0 is the beginning of every version.
 * @returns null if any of it cannot be read
 */
export function subscribedTopics(metadata: readonly Buffer[]): ReadonlySet<string> | null {
  const topics = new Set<string>()
  try {
    for (const bytes of metadata) {
      const reader = new Reader(bytes)
      reader.int16('version')
      for (const topic of consumerProtocolSubscription.decode(reader, 0).topics) topics.add(topic)
    }
    return topics
  } catch (error) {
    if (error instanceof MalformedFrame) return null
    throw error
  }
}
