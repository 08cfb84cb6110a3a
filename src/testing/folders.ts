import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Folders that are still there: what a process leaves that ends without closing its brokers is removed at its exit. */
const folders = new Set<string>()

function removeAll(): void {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
}

/** A new folder for the data of one test broker. */
export function makeFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'odradek-test-'))
  if (folders.size === 0) process.on('exit', removeAll)
  folders.add(folder)
  return folder
}

export function removeFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true })
  folders.delete(folder)
  if (folders.size === 0) process.off('exit', removeAll)
}
