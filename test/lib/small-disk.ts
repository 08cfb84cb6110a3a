import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as assert from 'uvu/assert'

/** A file system of its own in memory, so small that a test can fill it. Needs root. */
export class SmallDisk implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), 'odradek-disk-'))
  readonly #filler = join(this.path, 'filler')

  constructor(megabytes: number) {
    const flags = ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', this.path]
    const mounted = spawnSync('mount', flags, { encoding: 'utf8' })
    assert.is(mounted.status, 0, `mounting a small file system needs root: ${mounted.stderr}`)
  }

  /** Takes all that is free. */
  fill(): void {
    const flags = ['if=/dev/zero', `of=${this.#filler}`, 'bs=64k']
    assert.match(spawnSync('dd', flags, { encoding: 'utf8' }).stderr, /No space left/)
  }

  /** Gives back what `fill` took. */
  free(): void {
    rmSync(this.#filler)
  }

  [Symbol.dispose](): void {
    assert.is(spawnSync('umount', ['-l', this.path]).status, 0)
    rmSync(this.path, { recursive: true })
  }
}
