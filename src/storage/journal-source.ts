import type { FileSystem } from './fs.ts'

/** What is read of a journal's file at a time: every worker reads all journals, and must not hold them. */
const WINDOW_BYTES = 1024 * 1024

/** Where groups are read from: a journal's file, or what has been salvaged of a group. */
export interface JournalSource {
  /** The path, or the bytes. */
  readonly place: string | Buffer
  readonly size: number
  /** At most WINDOW_BYTES, which stay as they are until the next are asked for. */
  bytes(at: number, length: number): Buffer
}

/** Memory for reading one journal file after the other. */
export class Window {
  readonly buffer = Buffer.alloc(WINDOW_BYTES)
  /** Whose bytes are in it. */
  owner: JournalSource | null = null
}

/** A journal's file, through a window. */
export class JournalFile implements JournalSource {
  readonly place: string
  readonly size: number
  readonly #files: FileSystem
  readonly #fd: number
  readonly #window: Window
  #from = 0
  #length = 0

  constructor(files: FileSystem, path: string, window: Window) {
    this.#files = files
    this.place = path
    this.#window = window
    this.#fd = files.open(path, 'read')
    this.size = files.size(this.#fd)
  }

  bytes(at: number, length: number): Buffer {
    const { buffer, owner } = this.#window
    const isHeld = owner === this && at >= this.#from && at + length <= this.#from + this.#length
    if (!isHeld) this.#move(at)
    return buffer.subarray(at - this.#from, at - this.#from + length)
  }

  #move(at: number): void {
    const { buffer } = this.#window
    this.#window.owner = this
    this.#from = at
    this.#length = this.#files.read(this.#fd, buffer, 0, buffer.length, at)
  }

  close(): void {
    this.#files.close(this.#fd)
  }
}

/** Runs with the journal files that exist among these open. */
export function withJournalFiles<T>(
  files: FileSystem,
  paths: readonly string[],
  window: Window,
  use: (sources: readonly JournalFile[]) => T,
): T {
  const open: JournalFile[] = []
  try {
    for (const path of paths) {
      if (files.exists(path)) open.push(new JournalFile(files, path, window))
    }
    return use(open)
  } finally {
    for (const file of open) file.close()
  }
}

/** Bytes that are in memory already. */
export class JournalBytes implements JournalSource {
  readonly place: Buffer

  constructor(bytes: Buffer) {
    this.place = bytes
  }

  get size(): number {
    return this.place.length
  }

  bytes(at: number, length: number): Buffer {
    return this.place.subarray(at, at + length)
  }
}
