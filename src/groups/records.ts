/**
 * The records of __consumer_offsets as the groups see them: typed, with the codec between them and the bytes of keys and
 * values. Versions are those that Kafka 4.3 writes.
 */
import type { StoredRecord } from '../coordination/coordinator-log.ts'
import * as schema from '../protocol/group-records.ts'
import { MalformedFrame, Reader } from '../protocol/reader.ts'
import type { Decoded, Message } from '../protocol/schema.ts'
import { Writer } from '../protocol/writer.ts'

/** Key and value of each kind of record, by a name, and the version in which values are written. */
const kinds = {
  offsetCommit: { key: schema.offsetCommitKey, value: schema.offsetCommitValue, version: 4 },
  groupMetadata: { key: schema.groupMetadataKey, value: schema.groupMetadataValue, version: 3 },
  groupEpoch: {
    key: schema.consumerGroupMetadataKey,
    value: schema.consumerGroupMetadataValue,
    version: 0,
  },
  member: {
    key: schema.consumerGroupMemberMetadataKey,
    value: schema.consumerGroupMemberMetadataValue,
    version: 0,
  },
  targetEpoch: {
    key: schema.consumerGroupTargetAssignmentMetadataKey,
    value: schema.consumerGroupTargetAssignmentMetadataValue,
    version: 0,
  },
  targetMember: {
    key: schema.consumerGroupTargetAssignmentMemberKey,
    value: schema.consumerGroupTargetAssignmentMemberValue,
    version: 0,
  },
  currentMember: {
    key: schema.consumerGroupCurrentMemberAssignmentKey,
    value: schema.consumerGroupCurrentMemberAssignmentValue,
    version: 0,
  },
  regularExpression: {
    key: schema.consumerGroupRegularExpressionKey,
    value: schema.consumerGroupRegularExpressionValue,
    version: 0,
  },
} as const

type Kinds = typeof kinds
export type RecordKind = keyof Kinds

export interface RecordOf<K extends RecordKind> {
  readonly kind: K
  readonly key: Decoded<Kinds[K]['key']>
  /** Null: the key is gone. */
  readonly value: Decoded<Kinds[K]['value']> | null
}

export type GroupRecord = { [K in RecordKind]: RecordOf<K> }[RecordKind]

const kindByType = new Map<number, RecordKind>(
  (Object.keys(kinds) as RecordKind[]).map(kind => [kinds[kind].key.apiKey, kind]),
)

/** Kafka wrote offset commits under this type too, before it counted key versions as types. */
const OLD_OFFSET_COMMIT = 0

const writer = new Writer()

function encode(message: Message, prefix: number, version: number, value: unknown): Buffer {
  writer.clear()
  writer.int16(prefix)
  message.encode(writer, version, value as never)
  const bytes = Buffer.concat(writer.chunks())
  writer.clear()
  return bytes
}

/** Only the first version of an offset commit has room for a time of its own (OffsetCommit v2-4 of old clients). */
function versionOf(record: GroupRecord): number {
  const hasExpiry =
    record.kind === 'offsetCommit' && record.value !== null && record.value.expireTimestamp !== -1
  return hasExpiry ? 1 : kinds[record.kind].version
}

export function encodeRecord(record: GroupRecord): StoredRecord {
  const { key, value } = kinds[record.kind]
  const version = versionOf(record)
  return {
    key: encode(key as unknown as Message, key.apiKey, 0, record.key),
    value:
      record.value === null
        ? null
        : encode(value as unknown as Message, version, version, record.value),
  }
}

/** What a record is about. */
export type RecordKey = { [K in RecordKind]: Pick<RecordOf<K>, 'kind' | 'key'> }[RecordKind]

export const groupOf = ({ key }: RecordKey): string => ('groupId' in key ? key.groupId : key.group)

/**
 * @returns null for a kind of record that is not known here: Kafka skips them too, so that a newer broker's log can be read
 * @throws MalformedFrame
 */
export function decodeKey(key: Buffer): RecordKey | null {
  const reader = new Reader(key)
  const type = reader.int16('record type')
  const kind = kindByType.get(type === OLD_OFFSET_COMMIT ? kinds.offsetCommit.key.apiKey : type)
  if (kind === undefined) return null
  const message = kinds[kind].key as unknown as Message
  return { kind, key: message.decode(reader, 0) } as unknown as RecordKey
}

/** @throws MalformedFrame */
export function decodeValue({ kind, key }: RecordKey, value: Buffer | null): GroupRecord {
  if (value === null) return { kind, key, value } as unknown as GroupRecord
  const message = kinds[kind].value as unknown as Message
  const reader = new Reader(value)
  const { min, max } = message.versions
  const version = Math.min(reader.int16('value version'), max)
  if (version < min) throw new MalformedFrame('value version', 0, `${version} is none`)
  return { kind, key, value: message.decode(reader, version) } as unknown as GroupRecord
}

/** Both. @throws MalformedFrame */
export function decodeRecord(key: Buffer, value: Buffer | null): GroupRecord | null {
  const known = decodeKey(key)
  return known === null ? null : decodeValue(known, value)
}
