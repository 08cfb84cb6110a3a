import { type FileSystem, readFile, replaceFile } from './fs.ts'

/**
 * Kafka's small text files: a version, a count, then one line an entry (CheckpointFile.java). Replaced atomically. The
 * count tells a whole file from a torn one.
 */
export function writeCheckpoint(files: FileSystem, path: string, lines: readonly string[]): void {
  replaceFile(files, path, Buffer.from(['0', lines.length, ...lines, ''].join('\n')))
}

/** The entries' lines; null if the file is missing; throws if it is not whole. */
export function readCheckpoint(files: FileSystem, path: string): string[] | null {
  if (!files.exists(path)) return null
  const lines = readFile(files, path).toString('utf8').split('\n')
  const count = Number(lines[1])
  if (lines[0] !== '0' || !Number.isInteger(count) || lines.length < count + 3) {
    throw new Error(`${path} is damaged: expected version 0 and ${lines[1]} entries`)
  }
  return lines.slice(2, 2 + count)
}

/** `topic partition offset` lines: recovery points and log start offsets of all partitions of a worker. */
export type OffsetCheckpoint = Map<string, number>

export function writeOffsets(files: FileSystem, path: string, offsets: OffsetCheckpoint): void {
  const lines: string[] = []
  for (const [topicPartition, offset] of offsets) {
    const dash = topicPartition.lastIndexOf('-')
    lines.push(`${topicPartition.slice(0, dash)} ${topicPartition.slice(dash + 1)} ${offset}`)
  }
  writeCheckpoint(files, path, lines)
}

export function readOffsets(files: FileSystem, path: string): OffsetCheckpoint {
  const offsets: OffsetCheckpoint = new Map()
  for (const line of readCheckpoint(files, path) ?? []) {
    const [topic, partition, offset] = line.split(' ')
    offsets.set(`${topic}-${partition}`, Number(offset))
  }
  return offsets
}
