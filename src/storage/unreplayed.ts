import { join } from 'node:path'
import { crc32c } from '../protocol/crc32c.ts'
import { type FileSystem, readFile, replaceFile } from './fs.ts'
import type { OwnedLog } from './group-commit.ts'
import { entriesIn, groupsOfRunning } from './journal-groups.ts'
import { Window, withJournalFiles } from './journal-source.ts'
import { EntryReader, Journalled, JournalledEntry } from './journalled.ts'

/**
 * Journal entries of one partition that could not go to its segments, in its folder: the partition could not be opened,
 * or failed before its segment was flushed. The journal itself is used again; the next start that opens the partition
 * replays them from here. Four bytes of CRC-32C (little-endian), then the entries.
 */
export const UNREPLAYED = 'unreplayed'
const unreplayedPath = (dir: string): string => join(dir, UNREPLAYED)

/** Adds entries, oldest first; durable on return. */
export function addUnreplayed(
  files: FileSystem,
  dir: string,
  entries: readonly JournalledEntry[],
): void {
  if (entries.length === 0) return
  const kept = readUnreplayed(files, dir)
  const pieces = [...kept, ...entries]
  const all = Buffer.allocUnsafe(pieces.reduce((bytes, piece) => bytes + piece.bytes, 0))
  let at = 0
  for (const piece of pieces) at += piece.whole().copy(all, at)
  const crc = Buffer.alloc(4)
  crc.writeUInt32LE(crc32c(all))
  replaceFile(files, unreplayedPath(dir), Buffer.concat([crc, all]))
}

/** Puts aside what a running journal's file holds of partitions that have failed, before it is overwritten. */
export function keepEntriesOf(
  files: FileSystem,
  journal: string,
  incarnation: number,
  failed: readonly OwnedLog[],
): void {
  const journalled = new Journalled(files)
  const flushed = new Map(failed.map(({ key, flushedSequence }) => [key, flushedSequence]))
  const isFlushed = (key: string, sequence: number) => sequence <= (flushed.get(key) ?? 0)
  withJournalFiles(files, [journal], new Window(), sources => {
    for (const source of sources) {
      for (const group of groupsOfRunning(source, incarnation)) journalled.add(group, isFlushed)
    }
  })
  for (const { key, log } of failed) {
    journalled.with(key, entries => addUnreplayed(files, log.dir, entries))
  }
}

/** The entries kept, oldest first; throws if the file is damaged. */
export function readUnreplayed(files: FileSystem, dir: string): JournalledEntry[] {
  const path = unreplayedPath(dir)
  if (!files.exists(path)) return []
  const content = readFile(files, path)
  const all = content.subarray(4)
  if (content.length < 4 || crc32c(all) !== content.readUInt32LE(0)) {
    throw new Error(`${path} is damaged: it holds acknowledged records`)
  }
  const reader = new EntryReader(files)
  return entriesIn(all).map(entry => new JournalledEntry(reader, entry, 0, entry.length))
}

/** The entries are in the segments, flushed. */
export function removeUnreplayed(files: FileSystem, dir: string): void {
  if (files.exists(unreplayedPath(dir))) files.unlink(unreplayedPath(dir))
}
