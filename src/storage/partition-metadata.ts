import { join } from 'node:path'
import { CorruptLog } from './corrupt-log.ts'
import { type FileSystem, readFile, writeFlushed } from './fs.ts'

/** The file that says whose folder a partition's is. */
export const PARTITION_METADATA = 'partition.metadata'
const metadataPath = (dir: string): string => join(dir, PARTITION_METADATA)

/** The topic id that the folder says it belongs to, if it says one. */
export function topicIdOf(files: FileSystem, dir: string): string | undefined {
  const path = metadataPath(dir)
  const content = files.exists(path) ? readFile(files, path).toString('utf8') : ''
  return /^topic_id: ([\w-]{22})$/m.exec(content)?.[1]
}

/** Whether the folder is that of a deleted topic of the same name, which a crash left behind. */
export function isOfOtherTopic(files: FileSystem, dir: string, topicId: string): boolean {
  const found = topicIdOf(files, dir)
  return found !== undefined && found !== topicId
}

/**
 * `partition.metadata` says in Kafka's format whose folder this is (PartitionMetadataFile.java). It is
 * flushed: without it a topic of the same name would take over the records of a deleted one.
 */
export function checkTopicId(
  files: FileSystem,
  input: { readonly dir: string; readonly name: string; readonly topicId: string },
): void {
  const found = topicIdOf(files, input.dir)
  if (found === undefined) writeTopicId(files, input.dir, input.topicId)
  else if (found !== input.topicId) {
    const path = metadataPath(input.dir)
    throw new CorruptLog(`${input.name}: ${path} names topic id ${found}, not ${input.topicId}`)
  }
}

export function writeTopicId(files: FileSystem, dir: string, topicId: string): void {
  writeFlushed(files, metadataPath(dir), Buffer.from(`version: 0\ntopic_id: ${topicId}`))
}
