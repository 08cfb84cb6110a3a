import * as fs from 'node:fs'
import { join } from 'node:path'
import { threadId } from 'node:worker_threads'
import type { FileSystem } from '../../src/storage/fs.ts'

/**
 * Wraps the broker's file system so that a power cut can be played after a kill -9: before bytes are overwritten, what was
 * there goes to an undo file (one a thread, in the folder ODRADEK_UNDO_DIR), and a flush of the file is noted; so are names
 * that are made, changed or removed, and flushes of their folder. What loses its name has another one in the undo folder.
 * Built into a copy of the broker by kill.ts; power-cut.ts takes back what was not flushed.
 *
 * An undo file is a sequence of: u32 length of the JSON | JSON of an UndoRecord | its `oldBytes` bytes.
 */
export type UndoRecord = ContentRecord | NameRecord

/** What was done to the bytes of a file. */
export type ContentRecord =
  | { kind: 'write'; path: string; position: number; oldBytes: number; oldSize: number }
  | { kind: 'sync'; path: string }

/**
 * What was done to names; `at` orders them over all threads (ns of the system's monotonic clock). `kept`: the other name of
 * what was at `path`.
 */
export type NameRecord =
  | { kind: 'create' | 'mkdir' | 'rmdir' | 'syncDir'; at: string; path: string }
  | { kind: 'unlink'; at: string; path: string; kept: string }
  | { kind: 'rename'; at: string; from: string; path: string; kept: string | null }

export function recording(files: FileSystem): FileSystem {
  const folder = process.env.ODRADEK_UNDO_DIR
  if (folder === undefined) return files
  const out = fs.openSync(join(folder, `${process.pid}-${threadId}.undo`), 'a')
  const paths = new Map<number, string>()
  const note = (record: UndoRecord, old: Uint8Array = Buffer.alloc(0)): void => {
    const json = Buffer.from(JSON.stringify(record))
    const length = Buffer.alloc(4)
    length.writeUInt32LE(json.length)
    fs.writeSync(out, Buffer.concat([length, json, old]))
  }
  let names = 0
  const now = (): string => String(process.hrtime.bigint())
  const keepName = (path: string): string => {
    const kept = join(folder, `${process.pid}-${threadId}-${names++}.kept`)
    fs.linkSync(path, kept)
    return kept
  }
  const keep = (fd: number, position: number, length: number): void => {
    const path = paths.get(fd)!
    const oldSize = fs.fstatSync(fd).size
    const old = Buffer.alloc(Math.max(0, Math.min(length, oldSize - position)))
    files.read(fd, old, 0, old.length, position)
    note({ kind: 'write', path, position, oldBytes: old.length, oldSize }, old)
  }
  return {
    ...files,
    open(path, mode) {
      const isNew = mode === 'create' && !files.exists(path)
      const fd = files.open(path, mode)
      if (isNew) note({ kind: 'create', at: now(), path })
      paths.set(fd, path)
      return fd
    },
    rename(from, path) {
      const kept = files.exists(path) && fs.statSync(path).isFile() ? keepName(path) : null
      note({ kind: 'rename', at: now(), from, path, kept })
      files.rename(from, path)
    },
    unlink(path) {
      note({ kind: 'unlink', at: now(), path, kept: keepName(path) })
      files.unlink(path)
    },
    mkdir(path) {
      const isNew = !files.exists(path)
      files.mkdir(path)
      if (isNew) note({ kind: 'mkdir', at: now(), path })
    },
    rmdir(path) {
      files.rmdir(path)
      note({ kind: 'rmdir', at: now(), path })
    },
    fsyncDir(path) {
      // What came in between may be flushed or not: it is taken for not flushed.
      const at = now()
      files.fsyncDir(path)
      note({ kind: 'syncDir', at, path })
    },
    write(fd, buffers, position) {
      let length = 0
      for (const buffer of buffers) length += buffer.byteLength
      keep(fd, position, length)
      files.write(fd, buffers, position)
    },
    truncate(fd, size) {
      keep(fd, size, Number.MAX_SAFE_INTEGER)
      files.truncate(fd, size)
    },
    fdatasync(fd) {
      files.fdatasync(fd)
      note({ kind: 'sync', path: paths.get(fd)! })
    },
  }
}
