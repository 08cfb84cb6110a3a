import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { finishSwap, readCompactionCheckpoint } from '../../src/storage/compaction/swap.ts'
import { MemoryFs } from '../lib/memory-fs.ts'
import { Random } from '../lib/random.ts'

const DIR = '/log-0'
const nameOf = (base: number, ending: string): string =>
  join(DIR, `${String(base).padStart(20, '0')}.${ending}`)

const test = suite('a log that an earlier release compacted')

function folder(checkpoint: object, sizes: Record<string, number>): MemoryFs {
  const files = new MemoryFs(new Random(1))
  files.mkdir(DIR)
  const write = (path: string, bytes: Buffer): void => {
    const fd = files.open(path, 'create')
    files.write(fd, [bytes], 0)
    files.close(fd)
  }
  for (const [path, size] of Object.entries(sizes)) write(path, Buffer.alloc(size))
  write(join(DIR, 'compaction-checkpoint'), Buffer.from(`${JSON.stringify(checkpoint)}\n`))
  return files
}

test('is taken over: its compacted segments are what they are', () => {
  const files = folder(
    { version: 1, cleanedOffset: 100, swap: null },
    { [nameOf(0, 'log')]: 70, [nameOf(40, 'log')]: 80, [nameOf(100, 'log')]: 90 },
  )
  const expected = { cleanedOffset: 100, cleaned: { 0: 70, 40: 80 }, swap: null }
  assert.equal(finishSwap(files, DIR), expected)
  assert.equal(readCompactionCheckpoint(files, DIR), expected, 'and kept in the new way, twice')
  assert.ok(files.exists(join(DIR, 'compaction-checkpoint.2')))
})

test('a swap that it had decided is finished', () => {
  const files = folder(
    { version: 1, cleanedOffset: 50, swap: { base: 0, replaces: [0, 20] } },
    {
      ...{ [nameOf(0, 'log')]: 70, [nameOf(20, 'log')]: 80, [nameOf(50, 'log')]: 90 },
      ...{ [nameOf(0, 'log.cleaned')]: 30, [nameOf(0, 'index.cleaned')]: 8 },
    },
  )
  assert.equal(finishSwap(files, DIR), { cleanedOffset: 50, cleaned: { 0: 30 }, swap: null })
  assert.not.ok(files.exists(nameOf(20, 'log')))
  assert.not.ok(files.exists(nameOf(0, 'log.cleaned')))
})

test.run()
