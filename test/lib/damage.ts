import * as batch from '../../src/protocol/record-batch.ts'
import type { MemoryFs } from './memory-fs.ts'
import type { Random } from './random.ts'

/** Files whose content decides nothing: who has the lock, and room that is kept. */
const HARMLESS = /\/(\.lock|reserve|metadata\.reserve)$/

/** Damages a folder somewhere as a bad disk, or a person, would. @returns what was done */
export function damageSomething(files: MemoryFs, random: Random, except?: RegExp): string {
  const paths = files
    .list()
    .filter(path => !HARMLESS.test(path) && except?.test(path) !== true)
    .sort()
  // Half of it where the records are: most files are small ones.
  const logs = paths.filter(path => path.endsWith('.log') && files.peek(path)!.size > 0)
  const path = random.chance(0.5) ? random.pick(logs) : random.pick(paths)
  const way = random.pick(['flip', 'flip', 'flip', 'cut', 'zero', 'remove', 'batch'] as const)
  return `${way} ${path} ${WAYS[way](files, path, random)}`
}

const WAYS = {
  flip: (files: MemoryFs, path: string, random: Random): string => {
    const file = files.peek(path)!
    if (file.size === 0) return ''
    const at = random.below(file.size)
    const bit = random.below(8)
    file.damage(bytes => {
      bytes[at]! ^= 1 << bit
    })
    return `byte ${at} bit ${bit}`
  },
  cut: (files: MemoryFs, path: string, random: Random): string => {
    const file = files.peek(path)!
    const size = random.below(file.size + 1)
    file.damage(() => {}, size)
    return `to ${size}`
  },
  zero: (files: MemoryFs, path: string, random: Random): string => {
    const file = files.peek(path)!
    const from = random.below(file.size + 1)
    const to = Math.min(file.size, from + 1 + random.below(600))
    file.damage(bytes => bytes.fill(0, from, to))
    return `${from} to ${to}`
  },
  remove: (files: MemoryFs, path: string): string => {
    files.unlink(path)
    return ''
  },
  /** Takes out a whole batch, so that no checksum shows it. */
  batch: (files: MemoryFs, path: string, random: Random): string => {
    const file = files.peek(path)!
    if (!/\d{20}\.log$/.test(path) || file.size === 0) return WAYS.flip(files, path, random)
    const content = Buffer.from(file.data.subarray(0, file.size))
    const starts: number[] = []
    // After a power cut the end may be anything.
    const isBatch = (at: number): boolean =>
      at + batch.BATCH_HEADER_BYTES <= content.length && batch.batchBytes(content, at) > 0
    for (let at = 0; isBatch(at); at += batch.batchBytes(content, at)) starts.push(at)
    if (starts.length === 0) return WAYS.flip(files, path, random)
    const at = random.pick(starts)
    const rest = content.subarray(at + batch.batchBytes(content, at))
    file.damage(bytes => rest.copy(bytes, at), at + rest.length)
    return `at ${at}`
  },
}
