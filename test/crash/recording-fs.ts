import * as fs from 'node:fs'
import { join } from 'node:path'
import { threadId } from 'node:worker_threads'
import type { FileSystem } from '../../src/storage/fs.ts'

/**
 * Wraps the broker's file system so that a power cut can be played after a kill -9: before bytes are overwritten, what was
 * there goes to an undo file (one a thread, in the folder ODRADEK_UNDO_DIR), and a flush of the file is noted. Built into a
 * copy of the broker by kill.ts; power-cut.ts takes back what was not flushed.
 *
 * An undo file is a sequence of: u32 length of the JSON | JSON of an UndoRecord | its `oldBytes` bytes.
 */
export type UndoRecord =
  | { kind: 'write'; path: string; position: number; oldBytes: number; oldSize: number }
  | { kind: 'sync'; path: string }

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
      const fd = files.open(path, mode)
      paths.set(fd, path)
      return fd
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
