import { readFileSync, writeFileSync } from 'node:fs'

/** Flips the last bit of these bytes of a file. */
export function flip(path: string, ...places: readonly number[]): void {
  const bytes = readFileSync(path)
  for (const at of places) bytes[at]! ^= 1
  writeFileSync(path, bytes)
}
