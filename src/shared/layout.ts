/**
 * The shared memory between the main thread and one partition worker: a single SharedArrayBuffer.
 *
 *   byte 0          1024              1024 + R                 1024 + R + C
 *   | control words | request ring R  | completion ring C      |
 *
 * Control words are Int32, one to a cache line (16 words apart), and are read and written only with Atomics:
 *
 *   word                      written by   published with                 read by
 *   REQUEST_HEAD              main         Atomics.store, then wake       worker
 *   REQUEST_TAIL              worker       Atomics.store after the flush  main
 *   REQUEST_SLEEP             both         worker stores 1 before Atomics.wait on it; main exchanges 0 and notifies
 *   COMPLETION_HEAD           worker       Atomics.store, then wake       main
 *   COMPLETION_TAIL           main         Atomics.store                  worker
 *   COMPLETION_SLEEP          both         main stores 1 before Atomics.waitAsync; worker exchanges 0 and notifies
 *   SPACE_SLEEP               both         worker stores 1 while it waits for completion space; main exchanges 0
 *
 * Heads and tails count bytes since the start and wrap at 2^32; a ring's size is a power of two, so the place in the
 * ring is `count & (size - 1)` and the fill is `(head - tail) >>> 0`. Everything between tail and head belongs to the
 * consumer, everything else to the producer, which reads there what it has appended (topics/tail.ts). Entries are
 * described in entry.ts.
 */
export const CACHE_LINE_WORDS = 16
export const CONTROL_BYTES = 1024

export const REQUEST_HEAD = 0 * CACHE_LINE_WORDS
export const REQUEST_TAIL = 1 * CACHE_LINE_WORDS
export const REQUEST_SLEEP = 2 * CACHE_LINE_WORDS
export const COMPLETION_HEAD = 3 * CACHE_LINE_WORDS
export const COMPLETION_TAIL = 4 * CACHE_LINE_WORDS
export const COMPLETION_SLEEP = 5 * CACHE_LINE_WORDS
export const SPACE_SLEEP = 6 * CACHE_LINE_WORDS

/** What one worker shares with the main thread; sent as the worker's task data. */
export interface SharedMemory {
  readonly buffer: SharedArrayBuffer
  readonly requestBytes: number
  readonly completionBytes: number
}

export function createSharedMemory(requestBytes: number, completionBytes: number): SharedMemory {
  const buffer = new SharedArrayBuffer(CONTROL_BYTES + requestBytes + completionBytes)
  return { buffer, requestBytes, completionBytes }
}
