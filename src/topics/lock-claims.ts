import { randomBytes } from 'node:crypto'
import * as fs from 'node:fs'
import { join } from 'node:path'

/** Somebody else has the folder. */
export class FolderTaken extends Error {
  override readonly name = 'FolderTaken'
  /** For "in use by". */
  readonly holder: string

  constructor(holder: string) {
    super(`in use by ${holder}`)
    this.holder = holder
  }
}

/** `.lock-<pid>-<start time>-<at random>`. */
const CLAIM = /^\.lock-(\d+)-(\d+|x)-[0-9a-f]{16}$/

/**
 * Takes a folder without a lock: everybody who wants it first makes a file of their own that says so, then looks for
 * others'. Of two, whoever made theirs second sees the first one, so that never both have it; both may step back. What
 * a dead process has left is removed by its name, which is never made again. Only processes of one pid namespace can
 * tell whether the other lives.
 * @returns gives the folder back
 * @throws FolderTaken
 */
export function claimFolder(dir: string): () => void {
  const random = randomBytes(8).toString('hex')
  const own = `.lock-${process.pid}-${startTimeOf(process.pid)}-${random}`
  const release = (): void => fs.rmSync(join(dir, own), { force: true })
  fs.closeSync(fs.openSync(join(dir, own), 'wx'))
  try {
    for (const name of fs.readdirSync(dir)) {
      const [, pid, started] = CLAIM.exec(name) ?? []
      if (pid === undefined || name === own) continue
      if (isAlive(Number(pid), started!)) throw new FolderTaken(`the process ${pid}`)
      fs.rmSync(join(dir, name), { force: true })
    }
  } catch (error) {
    release()
    throw error
  }
  return release
}

function isAlive(pid: number, started: string): boolean {
  try {
    process.kill(pid, 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false
  }
  return startTimeOf(pid) === started && !isZombie(pid)
}

/** Ended, and its parent has not noticed yet. As long as it has other threads one of them may be amid a write. */
function isZombie(pid: number): boolean {
  return 'ZX'.includes(statOf(pid)[0] ?? '-') && fs.readdirSync(`/proc/${pid}/task`).length === 1
}

/** When a process started, so that a number used again is not taken for its earlier owner; 'x' where /proc is missing. */
function startTimeOf(pid: number): string {
  return statOf(pid)[19] ?? 'x'
}

/** What /proc says of a process behind its name, beginning with its state; nothing where /proc is missing. */
function statOf(pid: number): string[] {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  } catch {
    return []
  }
}
