import { once } from 'node:events'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { ENTRY_PAYLOAD, ENTRY_TOKEN, KIND_APPEND } from '../../src/shared/entry.ts'
import { createSharedMemory, type SharedMemory } from '../../src/shared/layout.ts'
import { Ring } from '../../src/shared/ring.ts'
import { Random } from '../lib/random.ts'

/** Entries from one thread to another, each checked: `node --import tsx test/crash/ring.ts [--slots 100000000]`. */
const PAYLOAD_MAX = 200
const PAUSE_MS_MAX = 3

const pause = (random: Random): void => {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, random.below(PAUSE_MS_MAX))
}

/** Fills the ring, yielding to the event loop when it is full; ends early when `isOver` says so. */
async function produce(memory: SharedMemory, slots: number, isOver: () => boolean): Promise<void> {
  const ring = new Ring(memory, 'request')
  const random = new Random(1)
  for (let slot = 0; slot < slots && !isOver(); ) {
    const size = random.below(PAYLOAD_MAX)
    const at = ring.reserve(KIND_APPEND, size)
    if (at === -1) {
      ring.publish()
      await new Promise(resolve => setImmediate(resolve))
      continue
    }
    ring.words[(at >> 2) + ENTRY_TOKEN] = slot | 0
    ring.bytes.fill(slot & 0xff, at + 80, at + 80 + size)
    slot++
    if (random.chance(0.2)) ring.publish()
    if (random.chance(0.000_02)) pause(random)
  }
  ring.publish()
}

/** Passes that many entries from this thread to another. @returns what the other one saw */
export async function pass(
  memory: SharedMemory,
  slots: number,
): Promise<{ received: number; wrong: string }> {
  const worker = consumer(memory, slots)
  let isOver = false
  const message = once(worker, 'message').finally(() => {
    isOver = true
  })
  await produce(memory, slots, () => isOver)
  const [result] = await message
  await worker.terminate()
  return result
}

function consume(memory: SharedMemory, slots: number): { received: number; wrong: string } {
  const ring = new Ring(memory, 'request')
  const random = new Random(2)
  let received = 0
  while (received < slots) {
    if (random.chance(0.01)) ring.release()
    const at = ring.next()
    if (at === -1) {
      ring.release()
      continue
    }
    const size = ring.words[(at >> 2) + ENTRY_PAYLOAD]!
    const token = ring.words[(at >> 2) + ENTRY_TOKEN]
    if (token !== (received | 0)) return { received, wrong: `slot ${token} at ${received}` }
    for (let i = 0; i < size; i++) {
      if (ring.bytes[at + 80 + i] !== (received & 0xff)) return { received, wrong: `byte ${i}` }
    }
    received++
    if (random.chance(0.000_02)) pause(random)
  }
  ring.release()
  return { received, wrong: '' }
}

/** A thread that runs this file as the consumer; it posts what it has seen. */
function consumer(memory: SharedMemory, slots: number): Worker {
  // Node 20 gives a worker no loader for TypeScript of its own accord.
  const code = `import('tsx/esm/api').then(({ register }) => {
    register()
    return import(${JSON.stringify(import.meta.url)})
  })`
  return new Worker(code, { eval: true, workerData: { memory, slots } })
}

if (!isMainThread && workerData?.slots !== undefined) {
  parentPort!.postMessage(consume(workerData.memory, workerData.slots))
} else if (isMainThread && process.argv[1]?.endsWith('crash/ring.ts')) {
  const at = process.argv.indexOf('--slots')
  const slots = at === -1 ? 100_000_000 : Number(process.argv[at + 1])
  const memory = createSharedMemory(1 << 20, 1024)
  const result = await pass(memory, slots)
  console.log(result)
  process.exitCode = result.wrong === '' ? 0 : 1
}
