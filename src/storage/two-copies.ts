import { crc32c } from '../protocol/crc32c.ts'
import { type FileSystem, readFile, replaceFiles } from './fs.ts'
import { isDiskFull } from './reserve.ts'

/**
 * A small file that decides what counts, kept twice: `<path>` and `<path>.2`. Line 1 is the CRC-32C (hex) of line 2, which is
 * JSON with a `revision`; the newest copy that is whole is believed.
 *
 * Both are written and flushed before anybody acts on what they say. So one may be older only after a crash amid that
 * write, when nothing had yet been done that needs the newer: whichever is left, all that it says may be believed.
 */
export interface Copies {
  /** Null if neither is whole. */
  readonly value: object | null
  /** 0 if neither is whole. */
  readonly revision: number
  /** Neither file is there. */
  readonly isMissing: boolean
  /** They are not the same, or one is not there. */
  readonly isUneven: boolean
  /** What no crash explains, for the operator. */
  readonly faults: readonly string[]
}

export const copiesOf = (path: string): [string, string] => [path, `${path}.2`]

export function readCopies(files: FileSystem, path: string): Copies {
  const found = copiesOf(path).map(copy => ({ copy, ...readCopy(files, copy) }))
  const isMissing = found.every(({ fault }) => fault === 'missing')
  let newest: { value: object | null; revision: number } = { value: null, revision: 0 }
  for (const one of found) {
    if (one.value !== null && one.revision >= newest.revision) newest = one
  }
  const { value, revision } = newest
  const isUneven = found.some(one => one.revision !== revision || one.fault !== null)
  const faults = found.flatMap(({ copy, fault }) => (fault === null ? [] : [`${copy} is ${fault}`]))
  return { value, revision, isMissing, isUneven, faults: isMissing ? [] : faults }
}

function readCopy(files: FileSystem, path: string) {
  if (!files.exists(path)) return { value: null, revision: 0, fault: 'missing' }
  const content = readFile(files, path)
  const line = content.indexOf(10)
  const json = content.subarray(line + 1)
  if (line < 1 || content.toString('latin1', 0, line) !== crc32c(json).toString(16)) {
    return { value: null, revision: 0, fault: 'damaged' }
  }
  const { revision = 0, ...value } = JSON.parse(json.toString('utf8')) as { revision?: number }
  return { value, revision, fault: null }
}

/** @returns the bytes of both */
export function writeCopies(
  files: FileSystem,
  path: string,
  revision: number,
  value: object,
): number {
  const json = Buffer.from(`${JSON.stringify({ revision, ...value })}\n`)
  const content = Buffer.concat([Buffer.from(`${crc32c(json).toString(16)}\n`), json])
  const paths = copiesOf(path)
  replaceFiles(files, paths, content)
  return content.length * paths.length
}

/** Writes both again if one was not as it should be; on a full disk that can wait for the next time they are written. */
export function mendCopies(files: FileSystem, path: string, copies: Copies): void {
  if (!copies.isUneven || copies.value === null) return
  try {
    writeCopies(files, path, copies.revision + 1, copies.value)
  } catch (error) {
    if (!isDiskFull(error)) throw error
  }
}
