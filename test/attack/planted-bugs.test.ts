import { rmSync } from 'node:fs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { buildCopy, type Edit } from '../lib/build-copy.ts'
import { attacks } from './attacks.ts'
import { measure } from './measure.ts'
import { runMutations } from './mutations.ts'

interface Bug {
  readonly edits: readonly Edit[]
  readonly attack: string
  /** How long it takes to show, if longer than others. */
  readonly ms?: number
  readonly finds: RegExp
}

/** Each mechanism taken away, an attack that must find it, and what it finds. */
const BUGS: Record<string, Bug> = {
  'a turn of the event loop is never over': {
    edits: [
      {
        file: 'src/turns.ts',
        from: 'if (isScheduled) return true',
        to: 'if (isScheduled) return false',
      },
    ],
    attack: '1,400 incremental fetches in one write',
    finds: /a ping took/,
  },
  'memory of requests is never full': {
    edits: [
      {
        file: 'src/net/request-memory.ts',
        from: 'return this.#usedBytes >= this.#bytesMax',
        to: 'return false',
      },
    ],
    attack: 'half frames of 90 MiB on 100 connections',
    finds: /it took \d+ MB/,
  },
  'batches are opened at once, whatever they hold': {
    edits: [
      {
        file: 'src/topics/keyed-records.ts',
        from: 'const AT_ONCE_BYTES = 256 * 1024',
        to: 'const AT_ONCE_BYTES = 256 * 1024 * 1024',
      },
    ],
    attack: '20 gzip bombs of 60 MiB in one Produce to a compacted topic',
    // A fast machine opens one in less time than one ping may take, and not than the p99.
    finds: /the p99 of a ping is/,
  },
  'fetch sessions remember without a bound': {
    edits: [
      {
        file: 'src/topics/fetch-sessions.ts',
        from: 'const REMEMBERED_PARTITIONS_MAX = 200_000',
        to: 'const REMEMBERED_PARTITIONS_MAX = 200_000_000',
      },
    ],
    attack: '40 fetch sessions of 100,000 partitions',
    ms: 10_000,
    finds: /it (took|kept) \d+ MB/,
  },
}
const MS = 3_000
const MUTATED = 5_000

const test = suite('attacks find what they are for')

for (const [name, { edits, attack, ms, finds }] of Object.entries(BUGS)) {
  test(name, async () => {
    assert.ok(attack in attacks, attack)
    const root = buildCopy(['build:esm'], edits)
    try {
      const { problems, ...measured } = await measure(attack, ms ?? MS, { root }, 0)
      assert.match(problems.join('\n'), finds, JSON.stringify(measured))
    } finally {
      rmSync(root, { recursive: true, force: true })
    }
  })
}

test('mutated requests find a decoder that fails in a way that nobody expects', async () => {
  const from = "return fail(field, start, 'varint over 32 bits')"
  const edit = { file: 'src/protocol/reader.ts', from, to: "throw new RangeError('varint')" }
  const root = buildCopy(['build:esm'], [edit])
  try {
    const problems = await runMutations({ requests: MUTATED, seed: 1, root })
    assert.match(problems.join('\n'), /RangeError: varint/)
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
})

test.run()
