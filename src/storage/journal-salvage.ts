import { crc32c } from '../protocol/crc32c.ts'
import { GROUP_ALIGN, GROUP_HEADER_BYTES, GROUP_MAGIC, groupBytes, SALT_AT } from './journal.ts'
import { type Group, type JournalFlushed, readAnyGroup, readEntries } from './journal-groups.ts'
import type { JournalSource } from './journal-source.ts'
import { salvage } from './salvage.ts'

/** What can be told of a journal that a start refuses. */
export interface SalvagedJournal {
  /** Entries of the groups that are not known to be flushed, oldest first, without a gap. */
  readonly groups: readonly Buffer[]
  readonly incarnation: number
  readonly salt: bigint
  /** Groups of which it is not known whose batches they had. */
  readonly lost: number
}

/**
 * Reads past what is damaged: all whole groups of the newest incarnation, and of the others the batches whose entries leave no doubt.
 */
export function salvageJournal(
  files: readonly JournalSource[],
  flushed: JournalFlushed | null,
): SalvagedJournal {
  const rows = files.map(rowOf)
  const whole = rows.flat().filter(one => one.isWhole)
  const incarnation =
    flushed === null
      ? whole.reduce((max, { group }) => Math.max(max, group.incarnation), 0)
      : flushed.incarnation + 1
  const after = flushed?.sequence ?? 0
  const isLive = ({ group, isWhole }: Found): boolean =>
    !isWhole || (group.incarnation === incarnation && group.sequence > after)
  const live = rows.map(row => row.filter(isLive)).filter(row => row.some(one => one.isWhole))
  live.sort((a, b) => firstOf(a).sequence - firstOf(b).sequence)
  const groups: Buffer[] = []
  let last = flushed === null ? firstOf(live[0] ?? []).sequence - 1 : after
  let lost = 0
  const row = live.flat()
  // What is not whole behind the last whole group was never flushed.
  for (const { group, isWhole } of row.slice(0, row.findLastIndex(one => one.isWhole) + 1)) {
    if (isWhole) {
      // In the place of each that is lost an empty one, so that all others keep their numbers: checkpoints speak of these.
      for (; last < group.sequence - 1; last++, lost++) groups.push(Buffer.alloc(0))
      last = Math.max(last, group.sequence)
      groups.push(readEntries(group))
      continue
    }
    const rest = salvage(readEntries(group))
    if (rest === null) continue
    groups.push(rest)
    last++
  }
  return { groups, incarnation, salt: firstOf(row).salt, lost }
}

interface Found {
  readonly group: Group
  readonly isWhole: boolean
}

const NONE = { sequence: 1, salt: 0n }

/** The first group that is whole. */
const firstOf = (row: readonly Found[]): Pick<Group, 'sequence' | 'salt'> =>
  row.find(one => one.isWhole)?.group ?? NONE

/** The groups of a file in their order, up to where older ones begin that it had before. */
function rowOf(file: JournalSource): Found[] {
  const row: Found[] = []
  let last: Group | null = null
  for (let at = 0; at + GROUP_HEADER_BYTES <= file.size; ) {
    const found = readAnyGroup(file, at)
    if (found?.isWhole) {
      const { group } = found
      // The salt tells a group from what a client has put into its records.
      if (last !== null && (group.salt !== last.salt || group.sequence <= last.sequence)) {
        if (group.incarnation !== last.incarnation || group.salt === last.salt) break
        at += GROUP_ALIGN
        continue
      }
      last = group
    }
    if (found !== null) row.push(found)
    at +=
      found?.isWhole || isGroupAt(file, at + (found?.group.bytes ?? 0))
        ? found!.group.bytes
        : GROUP_ALIGN
  }
  return row
}

const isGroupAt = (file: JournalSource, at: number): boolean =>
  readAnyGroup(file, at)?.isWhole === true

/** The bytes of a journal file that has these groups, and no others. */
export function encodeJournal(
  { groups, incarnation, salt }: SalvagedJournal,
  after: number,
): Buffer {
  const encoded = groups.map((entries, i) => {
    const sequence = after + i + 1
    const group = Buffer.alloc(groupBytes(entries.length))
    group.writeUInt32LE(GROUP_MAGIC, 0)
    group.writeUInt32LE(group.length, 8)
    group.writeUInt32LE(entries.length, 12)
    group.writeDoubleLE(incarnation, 16)
    group.writeDoubleLE(sequence, 24)
    group.writeDoubleLE(sequence - 1, 32)
    group.writeBigUInt64LE(salt, SALT_AT)
    entries.copy(group, GROUP_HEADER_BYTES)
    group.writeUInt32LE(crc32c(group.subarray(8, GROUP_HEADER_BYTES + entries.length)), 4)
    return group
  })
  return Buffer.concat(encoded)
}
