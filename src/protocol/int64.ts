/**
 * An int64 as a number. What a number holds exactly, from -2^53 to 2^53 - 1, is read and written exactly. What is beyond is read
 * as the end of the range that it lies towards, which is exact too and no possible offset, id or time: it compares as it should, it can
 * be written, and whoever would keep it refuses it (`isExact`). Nothing is ever rounded to another number.
 */

/** Kafka's Long.MAX_VALUE, 2^63 - 1, and all that is not exact above zero. */
export const INT64_MAX = 2 ** 63
/** Long.MIN_VALUE, and all that is not exact below zero. */
export const INT64_MIN = -INT64_MAX

const LOW = 0x1_0000_0000
/** High words from -EXACT_HIGH up to, not including, EXACT_HIGH. */
const EXACT_HIGH = 0x20_0000
const EXACT_END = 2 ** 53
const BIG_END = BigInt(EXACT_END)

/** @param high signed, @param low unsigned */
export function int64Of(high: number, low: number): number {
  if (high >= -EXACT_HIGH && high < EXACT_HIGH) return high * LOW + low
  return high < 0 ? INT64_MIN : INT64_MAX
}

/** Whether it is the very number that was meant, not an end that stands for more. */
export const isExact = (value: number): boolean => value >= -EXACT_END && value < EXACT_END

/** Whether it can be written: a whole number that is exact, or an end. */
export const isInt64 = (value: number): boolean =>
  isExact(value) ? Number.isInteger(value) : value === INT64_MAX || value === INT64_MIN

/** An end if it is not exact. */
export function clampInt64(value: bigint): number {
  if (value < -BIG_END) return INT64_MIN
  return value < BIG_END ? Number(value) : INT64_MAX
}
