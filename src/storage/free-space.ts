import { statfsSync } from 'node:fs'

/** Appends are refused while less than this is free: a write that hits a full disk would take its partition offline. */
export const DISK_RESERVE_BYTES = 64 * 1024 * 1024

/** Free bytes for this user; no bound where the system does not say. Takes some microseconds. */
export function freeBytes(path: string): number {
  try {
    const { bavail, bsize } = statfsSync(path)
    return bavail * bsize
  } catch {
    return Number.POSITIVE_INFINITY
  }
}
