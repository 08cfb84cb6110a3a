import { spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import { createRequire } from 'node:module'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { META } from './inventory.ts'
import { claimFolder, FolderTaken } from './lock-claims.ts'

const LOCK = '.lock'
/** What the system says of a file that somebody else has locked; Windows calls it busy. */
const TAKEN = new Set(['EAGAIN', 'EWOULDBLOCK', 'EACCES', 'EBUSY'])
/** There is no such lock on this file system. What else may go wrong could be over soon: then the start is refused. */
const UNSUPPORTED = new Set(['ENOSYS', 'ENOTSUP', 'EOPNOTSUPP', 'EINVAL'])
/** What the program `flock` ends with if somebody else has the lock. */
const FLOCK_TAKEN = 1

export interface FolderLock {
  /** Why two brokers could own the folder in spite of it; null: the kernel sees to it that they cannot. */
  readonly doubt: string | null
  /**
   * Locks another file of the folder as well: whoever removes `.lock` for being in the way still finds that taken.
   * @throws FolderTaken
   */
  hold(path: string): void
  release(): void
}

/** `unable`: there is no such lock on this machine or this file system. */
type Outcome = 'held' | 'taken' | 'unable'

/** Has the kernel lock an open file until it is closed, by whatever ends the process too. */
export type LockWay = (fd: number) => Outcome

/** Folders of brokers in this process: only a better message comes from it. */
const heldHere = new Set<string>()

interface Binding {
  tryLock(fd: number, offset: number, length: number, exclusive: boolean): void
}

/**
 * An open file description's lock on Linux, flock on macOS, LockFileEx on Windows. The library's prebuilt file is loaded
 * without its loader, which takes 12 ms to find it: that would be a tenth of a cold start.
 */
const byLibrary: LockWay = fd => {
  const binding = loadBinding()
  if (binding === null) return 'unable'
  try {
    binding.tryLock(fd, 0, 0, true)
    return 'held'
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? ''
    if (TAKEN.has(code)) return 'taken'
    if (UNSUPPORTED.has(code)) return 'unable'
    throw error
  }
}

function loadBinding(): Binding | null {
  const path = `fs-native-extensions/prebuilds/${process.platform}-${process.arch}/fs-native-extensions.node`
  try {
    return createRequire(import.meta.url)(path) as Binding
  } catch {
    return null
  }
}

/** The program of util-linux and busybox locks the open file that it is given, and leaves it so: it is ours, too. */
const byProgram: LockWay = fd => {
  const { status, stderr } = spawnSync('flock', ['-x', '-n', '3'], {
    stdio: ['ignore', 'ignore', 'pipe', fd],
    encoding: 'utf8',
  })
  if (status === 0) return 'held'
  return status === FLOCK_TAKEN && stderr === '' ? 'taken' : 'unable'
}

/** In this order. On one machine it is always the same one that works, so that all brokers see each other's lock. */
export const LOCK_WAYS: readonly LockWay[] = [byLibrary, byProgram]

/**
 * Takes a folder for this broker alone: a lock of the kernel on its file `.lock`, which a death releases, and which
 * other processes see whatever container or mount they look from. The file itself is never removed: a lock on a
 * removed file would keep nobody out. Where the kernel cannot, claims take its place, and `doubt` says what they miss.
 * @param isQuiet for who only looks at the folder: nothing in it changes. Then a file is locked that is there, and names nobody.
 * @throws FolderTaken, and what the file system throws
 */
export function lockFolder(
  dir: string,
  ways: readonly LockWay[] = LOCK_WAYS,
  isQuiet = false,
): FolderLock {
  const path = isQuiet ? (heldFile(dir) ?? join(dir, LOCK)) : join(dir, LOCK)
  const create = isQuiet ? 0 : fs.constants.O_CREAT
  const fd = fs.openSync(path, fs.constants.O_RDWR | create, 0o644)
  try {
    const outcome = tryAll(ways, fd)
    if (outcome === 'taken') throw new FolderTaken(holderOf(dir, path))
    const giveUp = outcome === 'unable' ? claimFolder(dir) : () => {}
    if (!isQuiet) {
      fs.ftruncateSync(fd)
      fs.writeSync(fd, `${process.pid} ${hostname()}\n`, 0)
    }
    heldHere.add(dir)
    const doubt = outcome === 'unable' ? doubtOf(dir) : null
    return new HeldLock(dir, ways, fd, doubt, giveUp, isQuiet)
  } catch (error) {
    fs.closeSync(fd)
    throw error
  }
}

/** A file of the folder that a live broker has locked; null if there is none. */
export function heldFile(dir: string): string | null {
  const paths = [LOCK, META].map(name => join(dir, name))
  return paths.find(path => fs.existsSync(path)) ?? null
}

class HeldLock implements FolderLock {
  readonly doubt: string | null
  readonly #dir: string
  readonly #ways: readonly LockWay[]
  readonly #fd: number
  readonly #others: number[] = []
  readonly #giveUp: () => void
  readonly #isQuiet: boolean
  #isHeld = true

  constructor(
    dir: string,
    ways: readonly LockWay[],
    fd: number,
    doubt: string | null,
    giveUp: () => void,
    isQuiet: boolean,
  ) {
    this.#dir = dir
    this.#isQuiet = isQuiet
    this.#ways = ways
    this.#fd = fd
    this.doubt = doubt
    this.#giveUp = giveUp
  }

  hold(path: string): void {
    // What is locked there, nobody can read or replace.
    if (process.platform === 'win32') return
    const fd = fs.openSync(path, fs.constants.O_RDWR)
    this.#others.push(fd)
    if (tryAll(this.#ways, fd) === 'taken') throw new FolderTaken('another process')
  }

  release(): void {
    if (!this.#isHeld) return
    this.#isHeld = false
    heldHere.delete(this.#dir)
    this.#giveUp()
    for (const fd of this.#others) fs.closeSync(fd)
    // Nobody is to be named who has it no more; a failure to say so is no reason to keep it.
    try {
      if (!this.#isQuiet) fs.ftruncateSync(this.#fd)
    } finally {
      fs.closeSync(this.#fd)
    }
  }
}

function tryAll(ways: readonly LockWay[], fd: number): Outcome {
  for (const way of ways) {
    const outcome = way(fd)
    if (outcome !== 'unable') return outcome
  }
  return 'unable'
}

/** Who has the lock, as far as its file tells. */
function holderOf(dir: string, path: string): string {
  if (heldHere.has(dir)) return 'another broker in this process'
  let text = ''
  try {
    text = fs.readFileSync(path, 'utf8')
  } catch {
    // Windows lets nobody read what is locked.
  }
  const [, pid, host] = /^(\d+) (\S+)\n$/.exec(text) ?? []
  if (pid === undefined) return 'another process'
  return host === hostname() ? `the process ${pid}` : `the process ${pid} on ${host}`
}

const doubtOf = (dir: string): string =>
  `The kernel cannot lock ${dir} here (no prebuilt fs-native-extensions for ${process.platform}-${process.arch}, no program flock, or a file system without locks): brokers of this machine's processes still keep off each other, but one in another container or on another machine is not noticed. See to it that there is none.`
