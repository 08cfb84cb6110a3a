import { Bench } from 'tinybench'
import type { Row, Size } from '../harness.ts'

/** Runs synchronous tasks with tinybench. `bytes`: what one call handles, for a rate in MB/s. */
export async function measure(
  name: string,
  size: Size,
  tasks: Readonly<Record<string, { run: () => unknown; bytes?: number }>>,
): Promise<Row[]> {
  const time = size.tiny ? 1 : 300
  const bench = new Bench({
    time,
    iterations: size.tiny ? 1 : 16,
    warmup: !size.tiny,
    warmupTime: 100,
  })
  for (const [task, { run }] of Object.entries(tasks)) {
    bench.add(task, () => {
      run()
    })
  }
  await bench.run()
  return bench.tasks.map(task => {
    const { result } = task
    if (!('latency' in result)) throw new Error(`${name} ${task.name}: ${JSON.stringify(result)}`)
    const ns = result.latency.p50 * 1e6
    const bytes = tasks[task.name]?.bytes
    const rate: Record<string, number> = bytes === undefined ? {} : { 'MB/s': (bytes / ns) * 1000 }
    return { bench: name, parameters: task.name, numbers: { 'ns/op': ns, ...rate } }
  })
}
