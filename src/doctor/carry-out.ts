import { dirname, join } from 'node:path'
import { type FileSystem, writeFlushed } from '../storage/fs.ts'
import type { Plan, PlannedChange } from './repair.ts'
import { readAround } from './unreadable.ts'

const COPY_BYTES = 1024 * 1024
/** Behind the name of a file that is not in its place yet; it counts for nothing. */
const ASIDE = '.doctor.tmp'

/** Where a repair keeps what was there before; a name that no partition has. */
export function keepName(now: Date): string {
  return `doctor-${now.toISOString().replaceAll(/[:.]/g, '-')}`
}

/**
 * Writes a plan down. First of all a copy of every file that changes, then all new files beside their places, everything flushed;
 * only then they take their places, one rename after the other. An interruption leaves a folder that can be repaired again.
 * @param keep the folder for the copies and the report, in the data folder
 */
export function carryOut(files: FileSystem, dir: string, plan: Plan, keep: string): void {
  const copies = join(dir, keep)
  const { findings, changes, left, mended } = plan
  const report = JSON.stringify({ findings, changes, left }, null, 2)
  files.mkdir(copies)
  writeFlushed(files, join(copies, 'report.json'), Buffer.from(`${report}\n`))
  for (const { file } of changes.filter(({ kind }) => kind !== 'make')) {
    const to = join(copies, file)
    files.mkdir(dirname(to))
    copy(files, join(dir, file), files, to)
    for (let at = dirname(to); at !== dir; at = dirname(at)) files.fsyncDir(at)
  }
  files.fsyncDir(copies)
  files.fsyncDir(dir)
  const written = changes.filter(({ kind }) => kind !== 'remove')
  for (const { file } of written) {
    const path = join(dir, file)
    files.mkdir(dirname(path))
    copy(mended, path, files, path + ASIDE)
  }
  for (const change of changes) place(files, dir, change)
}

function place(files: FileSystem, dir: string, { file, kind }: PlannedChange): void {
  const path = join(dir, file)
  if (kind === 'remove') files.unlink(path)
  else files.rename(path + ASIDE, path)
  files.fsyncDir(dirname(path))
  // A folder may be new as well.
  if (kind === 'make') files.fsyncDir(dirname(dirname(path)))
}

/** Durable when it returns, but for its name. */
function copy(source: FileSystem, from: string, target: FileSystem, to: string): void {
  const read = source.open(from, 'read')
  try {
    const size = source.size(read)
    const write = target.open(to, 'create')
    try {
      target.truncate(write, 0)
      const buffer = Buffer.allocUnsafe(Math.min(size, COPY_BYTES))
      for (let done = 0; done < size; ) {
        const count = readAround(source, read, buffer, Math.min(buffer.length, size - done), done)
        if (count === 0) throw new Error(`${from} ends at byte ${done}: it has changed`)
        target.write(write, [buffer.subarray(0, count)], done)
        done += count
      }
      target.fdatasync(write)
    } finally {
      target.close(write)
    }
  } finally {
    source.close(read)
  }
}
