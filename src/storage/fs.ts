import * as fs from 'node:fs'
import { dirname } from 'node:path'

/**
 * The few file calls that storage uses, all synchronous: storage workers own their files and have nothing else to do,
 * and libuv's thread pool is shared by the whole process. Tests pass an in-memory version that loses what was not flushed.
 * Every call throws on failure (with the system's `code`); none retries.
 */
export interface FileSystem {
  /** A file that is not larger is freed in no time (`FREED_AT_ONCE_BYTES`). */
  readonly freedAtOnceBytes: number
  /** Opens for reading (`read`), for reading and writing what exists (`write`), or makes it if missing (`create`). */
  open(path: string, mode: 'read' | 'write' | 'create'): number
  close(fd: number): void
  /** Bytes read, fewer than `length` only at the end of the file. */
  read(fd: number, target: Uint8Array, offset: number, length: number, position: number): number
  /** Writes all buffers one after the other at `position`, or throws: a short write is an error. */
  write(fd: number, buffers: readonly Uint8Array[], position: number): void
  truncate(fd: number, size: number): void
  /** Flushes the file's bytes and the metadata needed to read them back. */
  fdatasync(fd: number): void
  size(fd: number): number
  /** When the file's content last changed, in ms since the epoch. */
  modifiedMs(path: string): number
  /** Says that it was then. */
  setModifiedMs(path: string, ms: number): void
  rename(from: string, to: string): void
  unlink(path: string): void
  mkdir(path: string): void
  rmdir(path: string): void
  readdir(path: string): string[]
  exists(path: string): boolean
  /** Makes creations, renames and removals inside the directory durable. */
  fsyncDir(path: string): void
}

/**
 * The file system is busy with freeing a large file for so long (16 ms for 64 MiB on ext4) that flushes, and who waits for
 * them, are held up.
 */
export const FREED_AT_ONCE_BYTES = 2 * 1024 * 1024
/** Linux takes at most 1,024 buffers in one writev (IOV_MAX). */
const WRITE_BUFFERS_MAX = 1024

function writeOnce(fd: number, buffers: readonly Uint8Array[], position: number): number {
  return buffers.length === 1
    ? fs.writeSync(fd, buffers[0]!, 0, buffers[0]!.byteLength, position)
    : fs.writevSync(fd, buffers as Uint8Array[], position)
}

/** What is left of `buffers` after the first `bytes` bytes. */
function rest(buffers: readonly Uint8Array[], bytes: number): Uint8Array[] {
  let skip = bytes
  const left: Uint8Array[] = []
  for (const buffer of buffers) {
    if (skip >= buffer.byteLength) skip -= buffer.byteLength
    else {
      left.push(buffer.subarray(skip))
      skip = 0
    }
  }
  return left
}

function writeChunk(fd: number, buffers: readonly Uint8Array[], position: number): number {
  let total = 0
  for (const buffer of buffers) total += buffer.byteLength
  const written = writeOnce(fd, buffers, position)
  if (written !== total) {
    // On a full disk writev reports what it wrote and drops the error: writing the rest brings the error to light.
    const more = writeOnce(fd, rest(buffers, written), position + written)
    if (written + more !== total) {
      throw Object.assign(new Error(`short write: ${written + more} of ${total} bytes`), {
        code: 'ESHORTWRITE',
      })
    }
  }
  return total
}

export const realFileSystem: FileSystem = {
  freedAtOnceBytes: FREED_AT_ONCE_BYTES,
  open(path, mode) {
    if (mode === 'read') return fs.openSync(path, fs.constants.O_RDONLY)
    const create = mode === 'create' ? fs.constants.O_CREAT : 0
    return fs.openSync(path, fs.constants.O_RDWR | create, 0o644)
  },
  close: fd => fs.closeSync(fd),
  read(fd, target, offset, length, position) {
    let done = 0
    while (done < length) {
      const n = fs.readSync(fd, target, offset + done, length - done, position + done)
      if (n === 0) break
      done += n
    }
    return done
  },
  write(fd, buffers, position) {
    if (buffers.length <= WRITE_BUFFERS_MAX) {
      if (buffers.length > 0) writeChunk(fd, buffers, position)
      return
    }
    let at = position
    for (let i = 0; i < buffers.length; i += WRITE_BUFFERS_MAX) {
      at += writeChunk(fd, buffers.slice(i, i + WRITE_BUFFERS_MAX), at)
    }
  },
  truncate: (fd, size) => fs.ftruncateSync(fd, size),
  fdatasync: fd => fs.fdatasyncSync(fd),
  size: fd => fs.fstatSync(fd).size,
  modifiedMs: path => fs.statSync(path).mtimeMs,
  setModifiedMs: (path, ms) => fs.utimesSync(path, ms / 1000, ms / 1000),
  rename: (from, to) => fs.renameSync(from, to),
  unlink: path => fs.unlinkSync(path),
  mkdir: path => fs.mkdirSync(path, { recursive: true }),
  rmdir: path => fs.rmdirSync(path),
  readdir: path => fs.readdirSync(path),
  exists: path => fs.existsSync(path),
  fsyncDir(path) {
    if (process.platform === 'win32') return // directories cannot be opened there; NTFS journals names itself
    const fd = fs.openSync(path, fs.constants.O_RDONLY)
    try {
      fs.fsyncSync(fd)
    } finally {
      fs.closeSync(fd)
    }
  },
}

/** Bytes of the file at a path. */
export function fileSize(files: FileSystem, path: string): number {
  const fd = files.open(path, 'read')
  try {
    return files.size(fd)
  } finally {
    files.close(fd)
  }
}

/** Reads a whole small file. */
export function readFile(files: FileSystem, path: string): Buffer {
  const fd = files.open(path, 'read')
  try {
    const buffer = Buffer.alloc(files.size(fd))
    return buffer.subarray(0, files.read(fd, buffer, 0, buffer.length, 0))
  } finally {
    files.close(fd)
  }
}

/** Makes a small file, or writes it anew: durable when it returns, but for its name. */
export function writeFlushed(files: FileSystem, path: string, content: Uint8Array): void {
  const fd = files.open(path, 'create')
  try {
    files.truncate(fd, 0)
    files.write(fd, [content], 0)
    files.fdatasync(fd)
  } finally {
    files.close(fd)
  }
}

/** Replaces a small file so that a crash leaves the old or the new one whole: temporary file, flush, rename, flush of the folder. */
export function replaceFile(files: FileSystem, path: string, content: Uint8Array): void {
  replaceFiles(files, [path], content)
}

/** The same for several of one folder that get the same content; each is whole at every moment. */
export function replaceFiles(
  files: FileSystem,
  paths: readonly string[],
  content: Uint8Array,
): void {
  for (const path of paths) writeFlushed(files, `${path}.tmp`, content)
  for (const path of paths) files.rename(`${path}.tmp`, path)
  files.fsyncDir(dirname(paths[0]!))
}
