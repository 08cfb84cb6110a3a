import { join } from 'node:path'
import { ABORTED_BYTES, abortedAt } from './aborted-transactions.ts'
import { type FileSystem, fileSize } from './fs.ts'
import { IndexFile } from './index-file.ts'
import { fileName } from './segment.ts'
import { type Copies, mendCopies, readCopies, writeCopies } from './two-copies.ts'

const pathOf = (dir: string, base: number): string => join(dir, fileName(base, 'txnindex'))

/** Bytes of the entries of a segment whose markers are below the offset; what is behind them is learnt from the batches again. */
export function abortedBytesBelow(
  files: FileSystem,
  dir: string,
  base: number,
  offset: number,
): number {
  const index = IndexFile.read(files, pathOf(dir, base))
  if (index === null) return 0
  let end = 0
  let before = base - 1
  while (end + ABORTED_BYTES <= index.length) {
    const { firstOffset, lastOffset } = abortedAt(index, end)
    // A crash may leave zeros, or nothing, of what was not flushed.
    const isEntry = lastOffset > before && lastOffset > firstOffset
    if (!isEntry || lastOffset >= offset) break
    before = lastOffset
    end += ABORTED_BYTES
  }
  return end
}

/**
 * In a partition's folder, twice: how many bytes the `.txnindex` of each segment has at least. A file that is lost would have
 * consumers see what was aborted.
 */
export const ABORTED_CHECKPOINT = 'aborted-checkpoint'

type Sizes = Readonly<Record<number, number>>

/** Null if it is damaged in both copies. */
function sizesOf({ isMissing, value }: Copies): Sizes | null {
  if (isMissing) return {}
  return (value as { sizes?: Sizes } | null)?.sizes ?? null
}

/** After the files themselves are flushed, and before anything rests on them. */
export function noteAborted(
  files: FileSystem,
  dir: string,
  segments: readonly { readonly baseOffset: number; readonly aborted: IndexFile }[],
): void {
  const sizes = Object.fromEntries(
    segments
      .filter(({ aborted }) => aborted.bytes > 0)
      .map(({ baseOffset, aborted }) => [baseOffset, aborted.bytes]),
  )
  const path = join(dir, ABORTED_CHECKPOINT)
  const known = readCopies(files, path)
  if (JSON.stringify(sizesOf(known)) === JSON.stringify(sizes)) return
  writeCopies(files, path, known.revision + 1, { sizes })
}

/** Whether an index of these segments lacks what it had: all of them have to be learnt from the batches then. */
export function lackAborted(files: FileSystem, dir: string, bases: readonly number[]): boolean {
  const path = join(dir, ABORTED_CHECKPOINT)
  const copies = readCopies(files, path)
  mendCopies(files, path, copies)
  const sizes = sizesOf(copies)
  if (sizes === null) return true
  return bases.some(base => {
    const bytes = sizes[base]
    if (bytes === undefined) return false
    const index = pathOf(dir, base)
    return !files.exists(index) || fileSize(files, index) < bytes
  })
}
