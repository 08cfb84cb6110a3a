import * as fs from 'node:fs'
import { join } from 'node:path'
import { isDataFolder } from '../../doctor/examine.ts'
import { realFileSystem } from '../../storage/fs.ts'
import { type FolderLock, heldFile, LOCK_WAYS, lockFolder } from '../../topics/folder-lock.ts'
import { META } from '../../topics/inventory.ts'
import { FolderTaken } from '../../topics/lock-claims.ts'
import { CliError } from './failure.ts'

/** A data folder that is there. */
export function folderAt(path: string): string {
  let dir: string
  try {
    dir = fs.realpathSync(path)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    throw new CliError(`there is no folder ${path}${code === 'ENOENT' ? '' : `: ${message}`}`)
  }
  if (!isDataFolder(realFileSystem, dir)) {
    throw new CliError(`${dir} is not a data folder: nothing in it is of a broker`)
  }
  return dir
}

/**
 * Nobody else may have it meanwhile.
 * @param isChanged whether anything in it will be
 * @returns null if there is nothing to lock: no broker has started on it
 */
export function takeFolder(dir: string, isChanged: boolean): FolderLock | null {
  try {
    if (!isChanged && heldFile(dir) === null) return null
    const lock = lockFolder(dir, LOCK_WAYS, !isChanged)
    // Whoever has removed `.lock` and started another broker is found by this.
    if (fs.existsSync(join(dir, META))) lock.hold(join(dir, META))
    return lock
  } catch (error) {
    if (error instanceof FolderTaken) {
      throw new CliError(`the data folder ${dir} is in use by ${error.holder}: stop it first`)
    }
    // Nobody writes to what cannot be written, and what is looked at is left as it is.
    if (!isChanged && (error as NodeJS.ErrnoException).code === 'EROFS') return null
    throw new CliError(`the data folder ${dir} cannot be locked: ${(error as Error).message}`)
  }
}
