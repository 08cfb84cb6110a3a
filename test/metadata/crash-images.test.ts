import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { MemoryFs } from '../lib/memory-fs.ts'
import { type MetadataMutation, MetadataRun } from '../lib/metadata-run.ts'
import { seeds } from '../lib/random.ts'

const RUNS = Number(process.env.RUNS ?? 250)
const ROUNDS = 5
const IMAGES_A_ROUND = 3
/** Runs that a planted bug may take to be found. */
const RUNS_MAX = 400

const test = suite('crash images of the metadata')

test('after any power cut, kill or failed flush, and with one copy lost or damaged, all that was acknowledged is there', async () => {
  for (const seed of seeds(1, RUNS)) {
    const run = new MetadataRun(seed)
    try {
      for (let round = 0; round < ROUNDS; round++) await run.round(IMAGES_A_ROUND)
    } catch (error) {
      throw new Error(`SEED=${seed}: ${error instanceof Error ? error.stack : error}`)
    }
  }
})

const skipFlush =
  (isSkipped: (path: string) => boolean) =>
  (files: MemoryFs): void => {
    const { fdatasync } = files
    files.fdatasync = fd => {
      if (!isSkipped(files.pathOf(fd))) fdatasync.call(files, fd)
    }
  }

const BUGS: Record<string, MetadataMutation> = {
  'acknowledged before the flush': { files: skipFlush(() => true) },
  'the first copy not flushed': { files: skipFlush(path => path.endsWith('/metadata.log')) },
  'the second copy not flushed': { files: skipFlush(path => path.endsWith('/metadata.2.log')) },
  'renamed before it is flushed': { files: skipFlush(path => path.endsWith('.tmp')) },
  'names not flushed': {
    files: files => {
      files.fsyncDir = () => {}
    },
  },
  'only the first copy written to': {
    files: files => {
      const { write } = files
      files.write = (fd, buffers, position) => {
        if (!files.pathOf(fd).endsWith('/metadata.2.log')) write.call(files, fd, buffers, position)
      }
    },
  },
  'only the first copy looked at': {
    files: files => {
      const { exists } = files
      files.exists = path => !path.endsWith('metadata.2.log') && exists.call(files, path)
    },
  },
  'not written anew after a failed flush': { wasClean: () => true },
}

for (const [name, mutation] of Object.entries(BUGS)) {
  test(`found: ${name}`, async () => {
    let found = ''
    for (let seed = 1; seed <= RUNS_MAX && found === ''; seed++) {
      try {
        const run = new MetadataRun(seed, mutation)
        for (let round = 0; round < ROUNDS; round++) await run.round(IMAGES_A_ROUND)
      } catch (error) {
        found = String(error)
      }
    }
    assert.match(found, /^Broken/)
  })
}

test.run()
