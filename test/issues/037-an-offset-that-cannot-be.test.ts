import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import * as batch from '../../src/protocol/record-batch.ts'
import { encodePlainBatch } from '../../src/protocol/records.ts'
import { CorruptLog } from '../../src/storage/corrupt-log.ts'
import { recover } from '../../src/storage/recovery.ts'
import { fileName } from '../../src/storage/segment.ts'
import { MemoryFs } from '../lib/memory-fs.ts'
import { LOG_CONFIG } from '../lib/store-driver.ts'

const DIR = '/data/log-0'
const TOPIC_ID = 'AAAAAAAAAAAAAAAAAAAAAQ'
const BATCHES = 6
/** Base offset, length, leader epoch and magic: no checksum covers them. */
const UNCOVERED_BYTES = 17

/** A log of one segment, all of it flushed and acknowledged, of which the file is then changed. */
function opened(change: (file: Buffer) => void, known: { flushed: number; hasGaps: boolean }) {
  const files = new MemoryFs()
  files.mkdir('/data')
  files.mkdir(DIR)
  const value = Buffer.from('v')
  const batches = Array.from({ length: BATCHES }, (_, i) => {
    const records = [1, 2].map(() => ({ timestamp: 1, key: null, value }))
    return encodePlainBatch(records, { baseOffset: 2 * i, leaderEpoch: 1 })
  })
  const file = Buffer.concat(batches)
  change(file)
  const fd = files.open(join(DIR, fileName(0, 'log')), 'create')
  files.write(fd, [file], 0)
  files.fdatasync(fd)
  files.close(fd)
  const safe = { recoveryPoint: known.flushed, scanFrom: 0, logStartOffset: 0, isStartKnown: true }
  const config = { ...LOG_CONFIG, hasGaps: known.hasGaps }
  const input = { dir: DIR, topicId: TOPIC_ID, name: 'log-0', config, clean: false, journal: [] }
  return { files, recovered: () => recover(files, { ...input, ...safe }), size: file.length }
}

const test = suite('an offset that cannot be')

/**
 * A flipped bit made the fourth batch begin at offset 4101, and the start took what was behind it, acknowledged long ago, for a torn tail:
 * it cut it off, led with that, and had a sound replica cut off more. test/jepsen, seed 13004.
 */
for (const hasGaps of [false, true]) {
  test(`nothing that was flushed is cut off for a bit that no checksum covers${hasGaps ? ', with gaps' : ''}`, () => {
    const { size } = opened(() => {}, { flushed: 0, hasGaps })
    const bytes = size / BATCHES
    const changed: string[] = []
    for (let i = 0; i < BATCHES; i++) {
      for (let bit = 0; bit < UNCOVERED_BYTES * 8; bit++) {
        const change = (file: Buffer): void => {
          file[i * bytes + (bit >> 3)]! ^= 1 << (bit & 7)
        }
        const { recovered, files } = opened(change, { flushed: 2 * BATCHES, hasGaps })
        try {
          const { log, notes } = recovered()
          if (log.size !== size || notes.length > 0) changed.push(`${i}, ${bit}: ${notes}`)
        } catch (error) {
          assert.instance(error, CorruptLog)
          const fd = files.open(join(DIR, fileName(0, 'log')), 'read')
          assert.is(files.size(fd), size)
        }
      }
    }
    assert.equal(changed, [])
  })
}

test('a whole batch at the wrong place is no torn tail, whatever is known to be flushed', () => {
  const at = (offset: number) => (file: Buffer) =>
    batch.writeInt64(file, (file.length / BATCHES) * 3, offset)
  for (const offset of [0, 5, 7, 4_102]) {
    for (const flushed of [0, 2, 2 * BATCHES]) {
      assert.throws(opened(at(offset), { flushed, hasGaps: false }).recovered, /was due/)
    }
  }
})

test.run()
