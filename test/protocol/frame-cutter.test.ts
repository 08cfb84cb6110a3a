import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { FrameCutter } from '../../src/protocol/frame-cutter.ts'
import { Random, seeds } from '../lib/random.ts'

const test = suite('cutting a stream into frames')

/** A frame whose bytes say which one it is. */
function frameOf(index: number, bytes: number): Buffer {
  const frame = Buffer.alloc(4 + bytes, index)
  frame.writeInt32BE(bytes)
  return frame
}

for (const seed of seeds(1, 6)) {
  test(`frames come whole and in order, whatever they are cut into and whatever its memory is used for next (SEED=${seed})`, () => {
    const random = new Random(seed)
    const sizes = Array.from({ length: 40 }, () =>
      random.below(random.below(4) === 0 ? 6_000_000 : random.below(4) === 0 ? 200_000 : 300),
    )
    const stream = Buffer.concat(sizes.map((bytes, i) => frameOf(i + 1, bytes)))
    const atOnceBytesMax = random.below(2) * 1_000_000
    let seen = 0
    let held = 0
    const cutter: FrameCutter = new FrameCutter({
      frameBytesMax: 10_000_000,
      memoryFor: bytes =>
        bytes <= atOnceBytesMax ? Buffer.allocUnsafeSlow(bytes + random.below(9)) : null,
      reusesBuffer: true,
      isWanted: () => random.below(8) !== 0,
      onPartial: bytes => {
        held = bytes
        // As a connection does when memory is short: what is in use stays.
        if (random.below(2) === 0) cutter.dropBuffer()
      },
      onFrame: (buffer, start, end) => {
        assert.is(end - start, sizes[seen], `frame ${seen}`)
        seen++
        assert.ok(buffer.subarray(start, end).every(byte => byte === seen))
        return random.below(8) !== 0
      },
      onProblem: problem => assert.unreachable(problem),
    })
    const memory = Buffer.alloc(65_536)
    for (let at = 0; at < stream.length; ) {
      const length = Math.min(stream.length - at, 1 + random.below(memory.length))
      const chunk = memory.subarray(0, length)
      stream.copy(chunk, 0, at, at + length)
      at += length
      cutter.push(chunk)
      while (cutter.isStopped) cutter.resume()
      memory.fill(0xff)
      assert.ok(held <= 24_000_000)
    }
    assert.is(seen, sizes.length)
  })
}

test('a frame that is never whole takes little more than what came of it', () => {
  let held = 0
  const cutter = new FrameCutter({
    frameBytesMax: 100_000_000,
    reusesBuffer: true,
    onPartial: bytes => {
      held = bytes
    },
    onFrame: () => false,
    onProblem: problem => assert.unreachable(problem),
  })
  const head = Buffer.alloc(4)
  head.writeInt32BE(90_000_000)
  cutter.push(head)
  let sent = 4
  for (; sent < 50_000_000; sent += 60_000) {
    cutter.push(Buffer.alloc(60_000))
    assert.ok(held <= Math.max(64 * 1024, 4 * (sent + 60_000)), `${held} bytes for ${sent}`)
  }
  assert.ok(held <= 90_000_004)
})

test.run()
