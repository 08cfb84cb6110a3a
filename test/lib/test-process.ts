/** Runs the test files that it is sent, one after the other: the other end of test/run.ts. */
import { run } from 'uvu/run'

export interface FileDone {
  readonly total: number
  readonly passed: number
  /** All that was printed. */
  readonly output: string
}

const queues = globalThis as { UVU_QUEUE?: unknown[] }
let printed = ''
for (const stream of [process.stdout, process.stderr]) {
  const write = stream.write.bind(stream)
  stream.write = ((chunk: string | Uint8Array, ...rest: never[]) => {
    printed += chunk.toString()
    return write(chunk, ...rest)
  }) as typeof stream.write
}

/** What uvu has printed at the end of a file. */
function countOf(name: string): number {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: its colours
  const plain = printed.replace(/\x1b\[[0-9;]*m/g, '')
  return Number(new RegExp(`^ *${name}: +(\\d+)`, 'm').exec(plain)?.[1] ?? 0)
}

process.on('message', async (suite: { name: string; file: string }) => {
  queues.UVU_QUEUE = []
  printed = ''
  let isWhole = true
  try {
    await run([suite])
  } catch (error) {
    isWhole = false
    process.stderr.write(`${error instanceof Error ? error.stack : error}\n`)
  }
  const passed = countOf('Passed')
  process.send!({ total: isWhole ? countOf('Total') : passed + 1, passed, output: printed })
})
