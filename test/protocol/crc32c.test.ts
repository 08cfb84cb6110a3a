import { crc32c as native } from '@node-rs/crc32'
import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { crc32c, portable } from '../../src/protocol/crc32c.ts'

const test = suite('crc32c')

test('matches the check value of the polynomial', () => {
  const digits = Buffer.from('123456789')
  assert.is(portable(digits), 0xe3069283)
  assert.is(crc32c(digits), 0xe3069283)
})

test('the portable version equals the native one, whole and continued, for every length and alignment', () => {
  const sizes = fc.uint8Array({ minLength: 0, maxLength: 700 })
  fc.assert(
    fc.property(sizes, sizes, fc.nat(7), (a, b, shift) => {
      const shifted = Buffer.concat([Buffer.alloc(shift), a]).subarray(shift)
      assert.is(portable(shifted), native(Buffer.from(a)))
      const both = native(Buffer.concat([a, b]))
      assert.is(portable(b, portable(a)), both)
      assert.is(crc32c(b, crc32c(shifted)), both)
    }),
  )
})

test.run()
