import { existsSync, linkSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Random } from '../lib/random.ts'
import type { NameRecord } from './recording-fs.ts'

type Change = Exclude<NameRecord, { kind: 'syncDir' }>

const byTime = (a: NameRecord, b: NameRecord): number => (BigInt(a.at) < BigInt(b.at) ? -1 : 1)

/**
 * Takes back what was done to names and is not on the disk, newest first: all of it, or what came after some moment, as file
 * systems keep what is done to names in order. @returns how many
 */
export function takeBackNames(
  records: readonly NameRecord[],
  loss: 'all' | 'some',
  random: Random,
): number {
  const inOrder = [...records].sort(byTime)
  const unflushed = inOrder.filter(
    (record): record is Change => record.kind !== 'syncDir' && !isFlushed(record, inOrder),
  )
  const from = loss === 'all' ? 0 : random.below(unflushed.length + 1)
  for (const change of unflushed.slice(from).reverse()) takeBack(change)
  return unflushed.length - from
}

function isFlushed(change: Change, inOrder: readonly NameRecord[]): boolean {
  const folder = dirname(change.path)
  const at = BigInt(change.at)
  return inOrder.some(r => r.kind === 'syncDir' && r.path === folder && BigInt(r.at) > at)
}

/** What it was about may have gone with its folder, on the disk already: then there is nothing to be taken back. */
function takeBack(change: Change): void {
  const { path } = change
  if (!existsSync(dirname(path))) return
  switch (change.kind) {
    case 'create':
    case 'mkdir':
      rmSync(path, { recursive: true, force: true })
      break
    case 'rmdir':
      mkdirSync(path, { recursive: true })
      break
    case 'unlink':
      if (!existsSync(path)) linkSync(change.kept, path)
      break
    case 'rename':
      if (!existsSync(path) || !existsSync(dirname(change.from))) return
      renameSync(path, change.from)
      if (change.kept !== null) linkSync(change.kept, path)
  }
}
