import { join } from 'node:path'
import { assert } from '../assert.ts'
import * as batch from '../protocol/record-batch.ts'
import { scanBatches } from './batch-scanner.ts'
import { forgetCleaned } from './compaction/swap.ts'
import { damaged } from './corrupt-log.ts'
import type { FileSystem } from './fs.ts'
import { LEADER_EPOCHS } from './leader-epochs.ts'
import { startOfScan } from './learning.ts'
import type { Log } from './log.ts'
import { openLog } from './recovery.ts'
import { parseFileName, Segment } from './segment.ts'

/** Where a log is cut: its new end, and the place of that in the segment that will be the last. */
export interface Cut {
  readonly end: number
  readonly segment: Segment
  readonly position: number
}

/**
 * Where to cut so that nothing at or above `offset` is left: between two batches, so that one that holds the offset goes as a
 * whole. Not below the log's start. Null if the log ends there already.
 */
export function findCut(files: FileSystem, log: Log, offset: number): Cut | null {
  const target = Math.max(offset, log.logStartOffset)
  if (target >= log.nextOffset) return null
  const segment = log.segments.findLast(({ baseOffset }) => baseOffset <= target)!
  const { baseOffset } = segment
  const { position: from } = startOfScan(files, log.dir, baseOffset, segment.size, target)
  let cut: Cut | null = null
  let end = baseOffset
  const visit = (buffer: Buffer, at: number, position: number): void => {
    const lastOffset = batch.lastOffset(buffer, at)
    if (lastOffset >= target) cut ??= { end, segment, position }
    end = lastOffset + 1
  }
  const fd = files.open(segment.path, 'read')
  try {
    const isGapless = !log.config.hasGaps
    const scan = scanBatches(files, fd, from, baseOffset, () => false, visit, isGapless)
    if (scan.damage !== null) throw damaged(log.name, baseOffset, scan.end, scan.damage)
  } finally {
    files.close(fd)
  }
  // Behind the last batch of a segment offsets may be lacking, where the log has gaps.
  return cut ?? { end, segment, position: segment.size }
}

/**
 * Cuts a log off, durably, and opens it anew as a start does. Before this the log is flushed, and the checkpoint says that no more
 * than up to the cut is known to be there (a lower recoveryPoint and scanFrom) and that its journal entries count no more: then
 * whatever a crash leaves is a log that ends at the cut or, with whole batches, somewhere behind it.
 */
export function truncate(files: FileSystem, log: Log, { end, segment, position }: Cut): Log {
  assert(log.recoveryPoint <= end, 'the checkpoint knows of a truncation before the files do')
  // The log starts amid the first batch that goes: nothing is left, and its start does not go back.
  if (end < log.logStartOffset) return startAnew(files, log, log.logStartOffset)
  for (const one of log.segments) one.close()
  // First of all: producers that have sent what is not there would have their next batches called duplicates.
  removeSnapshots(files, log.dir, end)
  const kept = log.segments.slice(0, log.segments.indexOf(segment) + 1)
  // From the end on, each durably: of what is left none in between may be missing.
  for (const one of log.segments.slice(kept.length).reverse()) {
    one.remove()
    files.fsyncDir(log.dir)
  }
  cutFile(files, segment.path, position)
  const bases = kept.map(({ baseOffset }) => baseOffset)
  return reopen(files, log, bases, end)
}

/**
 * Drops all records: the log goes on, empty, at `offset`, which is not below its end. Before this the checkpoint says that it starts
 * there, so that a start removes what is left of the old segments.
 */
export function startAnew(files: FileSystem, log: Log, offset: number): Log {
  for (const one of log.segments) one.close()
  removeSnapshots(files, log.dir, -1)
  const epochs = join(log.dir, LEADER_EPOCHS)
  if (files.exists(epochs)) files.unlink(epochs)
  Segment.create(files, log.dir, offset).close()
  files.fsyncDir(log.dir)
  log.removeFiles(log.segments.filter(({ baseOffset }) => baseOffset !== offset))
  return reopen(files, log, [offset], offset)
}

function removeSnapshots(files: FileSystem, dir: string, above: number): void {
  for (const name of files.readdir(dir)) {
    const offset = parseFileName(name, 'snapshot')
    if (offset !== null && offset > above) files.unlink(join(dir, name))
  }
  files.fsyncDir(dir)
}

function cutFile(files: FileSystem, path: string, position: number): void {
  const fd = files.open(path, 'write')
  try {
    files.truncate(fd, position)
    files.fdatasync(fd)
  } finally {
    files.close(fd)
  }
}

/** A log whose files have been changed, with the segments that are left, the last of which may be appended to. */
function reopen(files: FileSystem, log: Log, bases: readonly number[], end: number): Log {
  const { dir, name, config, logStartOffset, scanFrom } = log
  const { cleanedOffset, cleaned } = forgetCleaned(files, dir, bases.at(-1)!)
  const input = { dir, name, config, bases, cleaned, cleanedOffset, clean: true }
  const places = { logStartOffset, recoveryPoint: end, scanFrom: Math.min(scanFrom, end) }
  const durable = { flushedOffset: end, endOffset: end }
  const anew = openLog(files, { ...input, ...places }, durable, [])
  assert(anew.nextOffset === end, `${name} ends at ${anew.nextOffset} where it was cut at ${end}`)
  anew.epochs.write()
  anew.role = log.role
  anew.highWatermark = log.highWatermark
  for (const segment of anew.segments) {
    const old = log.segments.find(({ baseOffset }) => baseOffset === segment.baseOffset)
    segment.version = old?.version ?? 0
  }
  // Readers know other bytes under its name, or take it for closed.
  anew.active.version++
  return anew
}
