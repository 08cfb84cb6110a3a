import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Random } from '../lib/random.ts'
import { takeBackNames } from './names-taken-back.ts'
import type { ContentRecord, NameRecord, UndoRecord } from './recording-fs.ts'

/** Disks write this much at once or not at all. */
const SECTOR_BYTES = 512

/** A write that was not flushed, and the bytes it replaced. */
interface Unflushed {
  readonly position: number
  readonly oldSize: number
  readonly old: Buffer
}

/** How much of what was not flushed the cut takes: all of it, or sectors and names at random. */
export type Loss = 'all' | 'some'

/**
 * Makes the data folder what a power cut would have left: of every file, what was not flushed since is taken back, and so
 * are names that were made, changed or removed. Empties the undo folder.
 * @returns the number of files and names that lost something
 */
export function cutPower(undoDir: string, loss: Loss, random: Random): number {
  const undone = readdirSync(undoDir)
    .filter(name => name.endsWith('.undo'))
    .map(name => readUndo(readFileSync(join(undoDir, name))))
  const names = undone.flatMap(undo => undo.names)
  let lost = takeBackNames(names, loss, random)
  for (const { contents } of undone) {
    for (const [file, writes] of contents) {
      if (!existsSync(file)) continue
      const now = readFileSync(file)
      const before = takeBack(now, writes)
      writeFileSync(file, loss === 'all' ? before : mix(before, now, random))
      lost++
    }
  }
  for (const name of readdirSync(undoDir)) rmSync(join(undoDir, name))
  return lost
}

/** What one thread did: by file what was not flushed, oldest write first, and all that it did to names. */
interface Undo {
  readonly contents: Map<string, Unflushed[]>
  readonly names: NameRecord[]
}

/** A last record that is not whole stands for something that was not begun. */
function readUndo(undo: Buffer): Undo {
  const contents = new Map<string, Unflushed[]>()
  const names: NameRecord[] = []
  let at = 0
  while (at + 4 <= undo.length) {
    const start = at + 4 + undo.readUInt32LE(at)
    if (start > undo.length) break
    const record = JSON.parse(undo.toString('utf8', at + 4, start)) as UndoRecord
    at = start
    if (record.kind === 'write') {
      at += record.oldBytes
      if (at > undo.length) break
      add(contents, record, undo.subarray(start, at))
    } else if (record.kind === 'sync') contents.delete(record.path)
    else names.push(record)
  }
  return { contents, names }
}

function add(
  contents: Map<string, Unflushed[]>,
  { path, position, oldSize }: ContentRecord & { kind: 'write' },
  old: Buffer,
): void {
  const writes = contents.get(path) ?? []
  writes.push({ position, oldSize, old })
  contents.set(path, writes)
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
