import { join } from 'node:path'
import { assert } from '../assert.ts'
import type { LogFolder } from './closed-segment.ts'
import type { FileSystem } from './fs.ts'
import { fileName } from './segment.ts'

const COPY_BYTES = 1024 * 1024

/**
 * What was found above the durable point may be in the page cache only, even marked clean if its flush failed before
 * the restart. It is served from now on and must not vanish: it is written again, and flushed.
 */
export function flushFound(files: FileSystem, fd: number, from: number, to: number): void {
  copyBytes(files, { fd, position: from }, { fd, position: from }, to - from)
  files.fdatasync(fd)
}

interface Place {
  readonly fd: number
  readonly position: number
}

function copyBytes(files: FileSystem, source: Place, target: Place, bytes: number): void {
  const buffer = Buffer.allocUnsafe(Math.min(bytes, COPY_BYTES))
  for (let done = 0; done < bytes; ) {
    const count = Math.min(buffer.length, bytes - done)
    const read = files.read(source.fd, buffer, 0, count, source.position + done)
    assert(read === count, 'a segment is not cut while it is recovered')
    files.write(target.fd, [buffer.subarray(0, count)], target.position + done)
    done += count
  }
}

/** Copies what is behind `position` to a `.torn` file, then cuts it off, durably. */
export function cutTail(
  files: FileSystem,
  input: LogFolder,
  tail: { fd: number; base: number; size: number; position: number },
  damage: string,
  notes: string[],
): void {
  const bytes = tail.size - tail.position
  const copy = join(input.dir, `${fileName(tail.base, 'log')}.${tail.position}.torn`)
  const fd = files.open(copy, 'create')
  try {
    files.truncate(fd, 0)
    copyBytes(files, tail, { fd, position: 0 }, bytes)
    files.fdatasync(fd)
  } finally {
    files.close(fd)
  }
  files.truncate(tail.fd, tail.position)
  files.fdatasync(tail.fd)
  files.fsyncDir(input.dir)
  notes.push(
    `${input.name}: cut ${bytes} bytes of a torn tail off segment ${tail.base} at byte ${tail.position} (${damage}); a copy is in ${copy}`,
  )
}
