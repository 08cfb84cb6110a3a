import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Random } from '../lib/random.ts'
import type { UndoRecord } from './recording-fs.ts'

/** Disks write this much at once or not at all. */
const SECTOR_BYTES = 512

/** A write that was not flushed, and the bytes it replaced. */
interface Unflushed {
  readonly position: number
  readonly oldSize: number
  readonly old: Buffer
}

/** How much of what was not flushed the cut takes: all of it, or sectors at random. */
export type Loss = 'all' | 'some'

/**
 * Makes the data folder what a power cut would have left: of every file, what was not flushed since is taken back. Creating,
 * renaming and removing files is not. Empties the undo folder.
 * @returns the number of files that lost something
 */
export function cutPower(undoDir: string, loss: Loss, random: Random): number {
  let files = 0
  for (const name of readdirSync(undoDir)) {
    const path = join(undoDir, name)
    for (const [file, writes] of unflushed(readFileSync(path))) {
      if (!existsSync(file)) continue
      const now = readFileSync(file)
      const before = takeBack(now, writes)
      writeFileSync(file, loss === 'all' ? before : mix(before, now, random))
      files++
    }
    rmSync(path)
  }
  return files
}

/** By file, oldest write first. A last record that is not whole stands for a write that was not begun. */
function unflushed(undo: Buffer): Map<string, Unflushed[]> {
  const found = new Map<string, Unflushed[]>()
  let at = 0
  while (at + 4 <= undo.length) {
    const start = at + 4 + undo.readUInt32LE(at)
    if (start > undo.length) break
    const record = JSON.parse(undo.toString('utf8', at + 4, start)) as UndoRecord
    at = start
    if (record.kind === 'sync') {
      found.delete(record.path)
      continue
    }
    at += record.oldBytes
    if (at > undo.length) break
    const { path, position, oldSize } = record
    const writes = found.get(path) ?? []
    writes.push({ position, oldSize, old: undo.subarray(start, at) })
    found.set(path, writes)
  }
  return found
}

function takeBack(now: Buffer, writes: readonly Unflushed[]): Buffer {
  const size = Math.max(
    now.length,
    ...writes.map(w => Math.max(w.oldSize, w.position + w.old.length)),
  )
  const file = Buffer.alloc(size)
  now.copy(file)
  for (const { position, old } of writes.toReversed()) old.copy(file, position)
  return file.subarray(0, writes[0]!.oldSize)
}

function mix(before: Buffer, now: Buffer, random: Random): Buffer {
  const size = random.chance(0.5) ? before.length : now.length
  const file = Buffer.alloc(size)
  const keptShare = random.next()
  for (let at = 0; at < size; at += SECTOR_BYTES) {
    const from = random.chance(keptShare) ? now : before
    if (at < from.length) from.copy(file, at, at, Math.min(at + SECTOR_BYTES, size))
  }
  return file
}
