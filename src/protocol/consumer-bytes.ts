/** The bytes that consumers of the classic protocol put into JoinGroup and find in SyncGroup: a version, and the fields that it has. */
import { consumerProtocolAssignment, consumerProtocolSubscription } from './consumer-protocol.ts'
import type { EncodableFields, Fields } from './fields.ts'
import { MalformedFrame, Reader } from './reader.ts'
import type { Decoded, Message } from './schema.ts'
import { Writer } from './writer.ts'

export type Subscription = Decoded<typeof consumerProtocolSubscription>
export type Assignment = Decoded<typeof consumerProtocolAssignment>

/** @returns null if it cannot be read */
export function parseSubscription(bytes: Buffer): Subscription | null {
  return parse(bytes, (reader, version) => consumerProtocolSubscription.decode(reader, version))
}

/** @returns null if it cannot be read; no bytes are an assignment of nothing */
export function parseAssignment(bytes: Buffer): Assignment | null {
  if (bytes.length === 0) return { assignedPartitions: [], userData: null }
  return parse(bytes, (reader, version) => consumerProtocolAssignment.decode(reader, version))
}

/** A newer version is read as the newest one known; its extra bytes are left. */
function parse<T>(bytes: Buffer, decode: (reader: Reader, version: number) => T): T | null {
  try {
    const reader = new Reader(bytes)
    const version = reader.int16('version')
    const newest = consumerProtocolAssignment.versions.max
    return version < 0 ? null : decode(reader, Math.min(version, newest))
  } catch (error) {
    if (error instanceof MalformedFrame) return null
    throw error
  }
}

export function encodeVersioned<F extends Fields>(
  message: Message<F>,
  version: number,
  value: EncodableFields<F>,
): Buffer {
  const writer = new Writer()
  writer.int16(version)
  message.encode(writer, version, value)
  return Buffer.concat(writer.chunks())
}
