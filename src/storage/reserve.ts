import { type FileSystem, fileSize } from './fs.ts'

const ZEROS = Buffer.alloc(64 * 1024)

/** A write that found no room has changed nothing that counts: it may be tried again when there is some. */
export function isDiskFull(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException
  return code === 'ENOSPC' || code === 'EDQUOT'
}

/**
 * A file that is there to be given up: on a full disk its room lets through what is small and must be written, such as a
 * checkpoint or a deletion, which is what makes room again.
 */
export class Reserve {
  readonly #files: FileSystem
  readonly #path: string
  /** Bytes of it on the disk. */
  #bytes: number

  constructor(files: FileSystem, path: string) {
    this.#files = files
    this.#path = path
    this.#bytes = files.exists(path) ? fileSize(files, path) : 0
  }

  /** Makes it so large, if it is smaller. For idle moments when the disk has room. */
  ensure(bytes: number): void {
    if (this.#bytes >= bytes) return
    const fd = this.#files.open(this.#path, 'create')
    try {
      for (let at = this.#bytes; at < bytes; at += ZEROS.length) {
        this.#files.write(fd, [ZEROS.subarray(0, Math.min(ZEROS.length, bytes - at))], at)
      }
      this.#files.fdatasync(fd)
      this.#bytes = bytes
    } finally {
      this.#files.close(fd)
    }
  }

  /** Gives its room to others. @returns false if it had none */
  release(): boolean {
    if (this.#bytes === 0) return false
    this.#bytes = 0
    this.#files.unlink(this.#path)
    return true
  }
}

/** The file system, but a call that finds the disk full is made once more when the reserve has given way. */
export function withReserve(files: FileSystem, reserve: Reserve): FileSystem {
  const again =
    <A extends unknown[], R>(call: (...args: A) => R) =>
    (...args: A): R => {
      try {
        return call(...args)
      } catch (error) {
        if (!isDiskFull(error) || !reserve.release()) throw error
        return call(...args)
      }
    }
  return {
    freedAtOnceBytes: files.freedAtOnceBytes,
    open: again((path, mode) => files.open(path, mode)),
    close: fd => files.close(fd),
    read: (...args) => files.read(...args),
    write: again((fd, buffers, position) => files.write(fd, buffers, position)),
    truncate: again((fd, size) => files.truncate(fd, size)),
    fdatasync: fd => files.fdatasync(fd),
    size: fd => files.size(fd),
    modifiedMs: path => files.modifiedMs(path),
    setModifiedMs: (path, ms) => files.setModifiedMs(path, ms),
    rename: again((from, to) => files.rename(from, to)),
    unlink: path => files.unlink(path),
    mkdir: again(path => files.mkdir(path)),
    rmdir: path => files.rmdir(path),
    readdir: path => files.readdir(path),
    exists: path => files.exists(path),
    fsyncDir: path => files.fsyncDir(path),
  }
}
