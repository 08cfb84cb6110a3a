import * as fs from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { FREED_AT_ONCE_BYTES } from '../storage/fs.ts'

/** After each step it rests so many times as long as that took, so that flushes find the file system free. */
const REST = 8
/** With more files than these waiting it rests less: the disk must not fill up with what is gone. */
const BEHIND_FILES = 8
const BEHIND_REST = 1

/**
 * Frees large files that no log has any more, the end first, a bit at a time. What it has not come to when the broker ends is
 * removed by the next start.
 */
export class Freeing {
  readonly #onFailure: (error: unknown, path: string) => void
  readonly #waiting: string[] = []
  readonly #stop = new AbortController()
  #work: Promise<void> | null = null

  constructor(onFailure: (error: unknown, path: string) => void) {
    this.#onFailure = onFailure
  }

  /** A file, or a folder with all that is in it; it may be gone already. */
  add(path: string): void {
    this.#waiting.push(path)
    this.#work ??= this.#run()
  }

  /** Resolves when there is nothing to do, or it has been closed. */
  async idle(): Promise<void> {
    await this.#work
  }

  async close(): Promise<void> {
    this.#stop.abort()
    await this.#work
  }

  async #run(): Promise<void> {
    for (let path = this.#waiting.shift(); path !== undefined; path = this.#waiting.shift()) {
      if (this.#stop.signal.aborted) break
      await this.#free(path).catch(error => {
        const isGone = (error as NodeJS.ErrnoException).code === 'ENOENT'
        if (!isGone && !this.#stop.signal.aborted) this.#onFailure(error, path)
      })
    }
    this.#work = null
  }

  async #free(path: string): Promise<void> {
    const stat = await fs.stat(path)
    if (!stat.isDirectory()) return this.#freeFile(path, stat.size)
    for (const name of await fs.readdir(path)) await this.#free(join(path, name))
    await fs.rmdir(path)
  }

  async #freeFile(path: string, size: number): Promise<void> {
    const file = await fs.open(path, 'r+')
    try {
      let left = size
      while (left > FREED_AT_ONCE_BYTES) {
        left -= FREED_AT_ONCE_BYTES
        const started = performance.now()
        await file.truncate(left)
        const rest = this.#waiting.length > BEHIND_FILES ? BEHIND_REST : REST
        const ms = rest * (performance.now() - started)
        await delay(ms, undefined, { signal: this.#stop.signal })
      }
    } finally {
      await file.close()
    }
    await fs.unlink(path)
  }
}
