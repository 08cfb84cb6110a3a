import { lstatSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type FolderLock, lockFolder } from '../topics/folder-lock.ts'
import { FolderTaken } from '../topics/lock-claims.ts'

const PREFIX = 'odradek-test-'
/** The broker's own folder in it: the outer one is locked for as long as it is there, through all restarts. */
const DATA = 'data'
/** Between its making and its lock a folder looks like a left one. */
const LEFT_MS_MIN = 60_000
/** Left folders that one process removes at most: its own tests are not to wait for them. */
const LEFT_FOLDERS_MAX = 100
/** The broker of a process that ends may still be writing there. */
const REMOVAL = { recursive: true, force: true, maxRetries: 3 } as const

/** Folders that are still there: what a process leaves that ends without closing its brokers is removed at its exit. */
const folders = new Map<string, FolderLock>()
let isSwept = false

function removeAll(): void {
  for (const folder of folders.keys()) rmSync(folder, REMOVAL)
}

/** A folder for one test broker. */
export interface TestFolder {
  /** Where its data is. */
  readonly dataDir: string
  remove(): void
}

/** A new folder for one test broker, which the next process removes if this one is killed. */
export function makeFolder(): TestFolder {
  if (!isSwept) removeLeft()
  isSwept = true
  const folder = mkdtempSync(join(tmpdir(), PREFIX))
  const lock = lockFolder(folder)
  const dataDir = join(folder, DATA)
  mkdirSync(dataDir)
  if (folders.size === 0) process.on('exit', removeAll)
  folders.set(folder, lock)
  return { dataDir, remove: () => removeFolder(folder) }
}

function removeFolder(folder: string): void {
  const lock = folders.get(folder)
  if (lock === undefined) return
  rmSync(folder, REMOVAL)
  lock.release()
  folders.delete(folder)
  if (folders.size === 0) process.off('exit', removeAll)
}

/** Folders of processes that were killed: nobody has their lock. */
function removeLeft(): void {
  const parent = tmpdir()
  const names = readdirSync(parent).filter(name => name.startsWith(PREFIX))
  let removed = 0
  for (const name of names) {
    if (removed === LEFT_FOLDERS_MAX) break
    try {
      if (removeIfLeft(join(parent, name))) removed++
    } catch (error) {
      // Another process removes it at the same moment, or it is not for this one to remove.
      if ((error as NodeJS.ErrnoException).code === undefined) throw error
    }
  }
}

/** @returns whether it was one */
function removeIfLeft(folder: string): boolean {
  const { uid, mtimeMs } = lstatSync(folder)
  const isOurs = uid === (process.getuid?.() ?? uid)
  if (!isOurs || Date.now() - mtimeMs < LEFT_MS_MIN) return false
  let lock: FolderLock
  try {
    lock = lockFolder(folder)
  } catch (error) {
    if (error instanceof FolderTaken) return false
    throw error
  }
  try {
    rmSync(folder, REMOVAL)
    return true
  } finally {
    lock.release()
  }
}
