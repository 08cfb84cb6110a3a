import { type Task, tasks } from '../src/topics/tasks.ts'

/** Entry of a task thread: one short job a call. */
export default function run({ name, input }: Task): Promise<unknown> {
  const job = tasks[name] as (input: unknown) => Promise<unknown>
  return job(input)
}
