import { checkPattern, matchTopics } from '../groups/consumer/pattern.ts'
import { realFileSystem } from '../storage/fs.ts'
import { findByTimestamp, findMaxTimestamp, type SearchInput } from '../storage/timestamp-search.ts'
import { compact } from './compaction-task.ts'
import { checkKeysInTask } from './keyed-records.ts'

/** The jobs of the task threads, by name. Their arguments and results are plain data: they are cloned. */
export const tasks = {
  findByTimestamp: (input: SearchInput & { readonly target: number }) =>
    findByTimestamp(realFileSystem, input),
  findMaxTimestamp: (input: SearchInput) => findMaxTimestamp(realFileSystem, input),
  compact,
  checkKeys: checkKeysInTask,
  checkPattern: ({ pattern }: { readonly pattern: string }) => checkPattern(pattern),
  matchTopics: (input: { readonly pattern: string; readonly names: readonly string[] }) =>
    matchTopics(input.pattern, input.names),
}

export type Tasks = typeof tasks
export type TaskName = keyof Tasks

/** One job as it goes to a thread. */
export interface Task {
  readonly name: TaskName
  readonly input: unknown
}
