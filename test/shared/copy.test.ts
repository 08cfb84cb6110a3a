import { randomBytes } from 'node:crypto'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { copyShared } from '../../src/shared/copy.ts'

const test = suite('copies of shared memory')

test('every length and alignment is copied as it is, and nothing beside it', () => {
  const source = randomBytes(4_096)
  const shared = Buffer.from(new SharedArrayBuffer(4_096))
  for (const bytes of [0, 1, 119, 255, 256, 257, 1_024, 2_000]) {
    for (let start = 0; start < 9; start++) {
      const at = (start * 7) % 11
      const expected = Buffer.alloc(4_096, 0xaa)
      source.copy(expected, at, start, start + bytes)
      shared.fill(0xaa)
      copyShared(source, start, start + bytes, shared, at)
      assert.ok(shared.equals(expected), `${bytes} bytes of ${start} to ${at}`)
      const back = Buffer.alloc(4_096, 0xaa)
      copyShared(shared, at, at + bytes, back, at)
      assert.ok(back.equals(expected), `${bytes} bytes back`)
    }
  }
})

test.run()
