import {
  consumerProtocolAssignment,
  consumerProtocolSubscription,
} from '../../src/protocol/consumer-protocol.ts'
import { Reader } from '../../src/protocol/reader.ts'
import { Writer } from '../../src/protocol/writer.ts'

/** The bytes that a consumer joins with. */
export function encodeSubscription(
  topics: readonly string[],
  ownedPartitions: readonly { topic: string; partitions: number[] }[] = [],
  version = 3,
): Buffer {
  const writer = new Writer()
  writer.int16(version)
  const value = version === 0 ? { topics } : { topics, ownedPartitions }
  consumerProtocolSubscription.encode(writer, version, value)
  return Buffer.concat(writer.chunks())
}

export function encodeAssignment(
  assignedPartitions: readonly { topic: string; partitions: number[] }[],
  userData: Buffer | null = null,
): Buffer {
  const writer = new Writer()
  writer.int16(0)
  consumerProtocolAssignment.encode(writer, 0, { assignedPartitions, userData })
  return Buffer.concat(writer.chunks())
}

export function parsedAssignment(bytes: Buffer): { topic: string; partitions: number[] }[] {
  const reader = new Reader(bytes)
  const version = reader.int16('version')
  return consumerProtocolAssignment.decode(reader, version).assignedPartitions
}
