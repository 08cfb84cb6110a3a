import type { CoordinatorLog, StoredRecord } from '../coordination/coordinator-log.ts'
import { ClassicGroup } from './classic/classic-group.ts'
import { ConsumerGroup } from './consumer/consumer-group.ts'
import type { GroupEntry } from './entry.ts'
import { decodeKey, decodeValue, type GroupRecord, groupOf } from './records.ts'

type Groups = Map<string, GroupEntry>

/** What a log says of its groups. */
export interface Found {
  readonly groups: Groups
  /** Groups with a record that cannot be read or applied, and why. */
  readonly broken: Map<string, unknown>
  /** Records read. */
  readonly count: number
}

/**
 * Brings groups back as the log has them: all, or some. A record that cannot be applied costs its group alone.
 * @param make a group that nothing is known of yet
 * @throws Error if the log is offline or cannot be read, MalformedFrame for a key that is none: it may be any group's
 */
export async function readGroups(
  log: CoordinatorLog,
  make: (groupId: string) => GroupEntry,
  isWanted: (groupId: string) => boolean = () => true,
): Promise<Found> {
  const groups: Groups = new Map()
  const broken = new Map<string, unknown>()
  let count = 0
  for await (const { key, value } of log.read()) {
    const known = decodeKey(key)
    if (known === null) continue
    const groupId = groupOf(known)
    if (!isWanted(groupId) || broken.has(groupId)) continue
    count++
    try {
      replay(groups, groupId, decodeValue(known, value), make)
    } catch (error) {
      broken.set(groupId, error)
      groups.delete(groupId)
    }
  }
  return { groups, broken, count }
}

/** The newest records of some groups, as they are stored. @throws Error, MalformedFrame */
export async function readStored(
  log: CoordinatorLog,
  groupIds: ReadonlySet<string>,
): Promise<Map<string, StoredRecord[]>> {
  const newest = new Map<string, Map<string, StoredRecord>>()
  for (const groupId of groupIds) newest.set(groupId, new Map())
  for await (const { key, value } of log.read()) {
    const known = decodeKey(key)
    const records = known === null ? undefined : newest.get(groupOf(known))
    if (records === undefined) continue
    const name = key.toString('latin1')
    records.delete(name)
    // Copies: what was read is valid for the moment only.
    records.set(name, { key: Buffer.from(key), value: value === null ? null : Buffer.from(value) })
  }
  return new Map([...newest].map(([groupId, records]) => [groupId, [...records.values()]]))
}

function replay(
  groups: Groups,
  groupId: string,
  record: GroupRecord,
  make: (groupId: string) => GroupEntry,
): void {
  const known = groups.get(groupId)
  if (record.value === null && known === undefined) return
  const entry = known ?? make(groupId)
  groups.set(groupId, entry)
  if (record.kind === 'offsetCommit') {
    entry.offsets.apply(record)
  } else if (record.kind === 'groupMetadata') {
    replayClassic(groups, entry, record.value)
  } else {
    replayConsumer(groups, entry, record)
  }
}

function replayClassic(
  groups: Groups,
  entry: GroupEntry,
  value: Extract<GroupRecord, { kind: 'groupMetadata' }>['value'],
): void {
  if (value === null) {
    if (entry.group.type === 'classic') replayGone(groups, entry)
    return
  }
  if (!(entry.group instanceof ClassicGroup)) entry.group = new ClassicGroup(entry.context)
  ;(entry.group as ClassicGroup).replay(value)
}

function replayConsumer(
  groups: Groups,
  entry: GroupEntry,
  record: Exclude<GroupRecord, { kind: 'offsetCommit' | 'groupMetadata' }>,
): void {
  if (record.kind === 'groupEpoch' && record.value === null) {
    if (entry.group.type === 'consumer') replayGone(groups, entry)
    return
  }
  if (!(entry.group instanceof ConsumerGroup)) {
    // What is removed of a group that is none of this protocol any more.
    if (record.value === null) return
    entry.group = new ConsumerGroup(entry.context)
  }
  ;(entry.group as ConsumerGroup).replay(record)
}

function replayGone(groups: Groups, entry: GroupEntry): void {
  entry.group = new ClassicGroup(entry.context)
  if (entry.offsets.isEmpty) groups.delete(entry.id)
}
