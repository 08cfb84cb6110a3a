import {
  closeSync,
  openSync,
  readdirSync,
  readSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import type { Random } from '../../lib/random.ts'

const FILES_MAX = 3
const FLIPS_MAX = 4

/** What is done to one file. @returns where */
type Way = (path: string, random: Random) => string

/** Damages some segments of the workload's partitions: of a broker that does not run. @returns what was done */
function damage(dataFolder: string, folders: RegExp, random: Random, ways: readonly Way[]): string {
  const segments = readdirSync(dataFolder)
    .filter(name => folders.test(name))
    .flatMap(name => readdirSync(join(dataFolder, name)).map(file => `${name}/${file}`))
    .filter(path => path.endsWith('.log') && statSync(join(dataFolder, path)).size > 0)
    .sort()
  const count = Math.min(segments.length, 1 + random.below(FILES_MAX))
  const chosen = Array.from({ length: count }, () =>
    segments.splice(random.below(segments.length), 1),
  )
  return chosen
    .flat()
    .map(path => `${path} ${random.pick(ways)(join(dataFolder, path), random)}`)
    .join('; ')
}

/** Segments that are gone, or end too early. */
export const cutFiles = (dataFolder: string, folders: RegExp, random: Random): string =>
  damage(dataFolder, folders, random, [remove, cut])

/** Bits that are not what they were, anywhere in a segment. */
export const flipBits = (dataFolder: string, folders: RegExp, random: Random): string =>
  damage(dataFolder, folders, random, [flip])

const remove: Way = path => {
  unlinkSync(path)
  return 'removed'
}

const cut: Way = (path, random) => {
  const size = random.below(statSync(path).size)
  truncateSync(path, size)
  return `cut to ${size}`
}

const flip: Way = (path, random) => {
  const file = openSync(path, 'r+')
  const flips = Array.from({ length: 1 + random.below(FLIPS_MAX) }, () => {
    const at = random.below(statSync(path).size)
    const byte = Buffer.alloc(1)
    readSync(file, byte, 0, 1, at)
    byte[0]! ^= 1 << random.below(8)
    writeSync(file, byte, 0, 1, at)
    return at
  })
  closeSync(file)
  return `flipped at ${flips.join(', ')}`
}
