import { spawnSync } from 'node:child_process'
import { cpSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { buildCopy, type Edit } from '../lib/build-copy.ts'

/** Each rule about what a batch may say is taken out of a copy of the sources: the tests of odd batches must fail there. */
const test = suite('planted bugs: what a batch may say')

const TEST_FOLDER = fileURLToPath(new URL('..', import.meta.url))
const RUN_MS_MAX = 60_000

const BUGS: Readonly<Record<string, Edit>> = {
  'an int64 is rounded': {
    file: 'src/protocol/int64.ts',
    from: 'if (high >= -EXACT_HIGH && high < EXACT_HIGH) return',
    to: 'return',
  },
  'records lie about their offsets': {
    file: 'src/protocol/raw-records.ts',
    from: 'if (this.offsetDelta <= before || this.offsetDelta > this.#lastOffsetDelta) {',
    to: 'if (this.offsetDelta === before) {',
  },
  'what cannot be read to its end supersedes': {
    file: 'src/storage/compaction/compactor.ts',
    from: 'this.#opener.open(bytes).verified()',
    to: 'this.#opener.open(bytes)',
  },
  'timestamps are moved as numbers': {
    file: 'src/storage/compaction/filter-batch.ts',
    from: 'const isExact = kept.isNear && isSmall(shift)',
    to: 'const isExact = true',
  },
  'a segment without timestamps stays open': {
    file: 'src/storage/log.ts',
    from: 'if (firstTimestamp < 0) return now - openedMs > within',
    to: 'if (firstTimestamp < 0) return false',
  },
  'batches without timestamps keep a segment open': {
    file: 'src/storage/log.ts',
    from: '(reached < 0 ? now : reached)',
    to: 'reached',
  },
}

for (const [bug, edit] of Object.entries(BUGS)) {
  test(bug, () => {
    const dir = buildCopy([], [edit])
    try {
      cpSync(TEST_FOLDER, join(dir, 'test'), { recursive: true })
      const args = ['--import', 'tsx', 'test/storage/odd-batches.test.ts']
      const env = { ...process.env, CASES: '20' }
      const { status } = spawnSync(process.execPath, args, { cwd: dir, env, timeout: RUN_MS_MAX })
      assert.is(status, 1, 'it is found')
    } finally {
      rmSync(dir, { recursive: true })
    }
  })
}

test.run()
