import { type FileSystem, readFile, replaceFile } from './fs.ts'

/**
 * Kafka's small text files: a version, a count, then one line an entry (CheckpointFile.java). Replaced atomically. The
 * count tells a whole file from a torn one.
 */
export function writeCheckpoint(files: FileSystem, path: string, lines: readonly string[]): void {
  replaceFile(files, path, Buffer.from(['0', lines.length, ...lines, ''].join('\n')))
}

/** The entries' lines, unless the file is missing or not whole. */
export function readCheckpoint(files: FileSystem, path: string): string[] | 'missing' | 'damaged' {
  if (!files.exists(path)) return 'missing'
  const lines = readFile(files, path).toString('utf8').split('\n')
  const count = Number(lines[1])
  if (lines[0] !== '0' || !Number.isInteger(count) || lines.length < count + 3) return 'damaged'
  return lines.slice(2, 2 + count)
}
