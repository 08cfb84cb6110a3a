/*
 * A process that takes folders when it is told to: `node --import tsx lock-taker.ts`, forked. It takes orders and answers
 * them by messages.
 */
import * as fs from 'node:fs'
import { join } from 'node:path'
import { LOCK_WAYS, lockFolder } from '../../src/topics/folder-lock.ts'
import { type Answer, type Order, PID_FILE } from './lock-takers.ts'

let release = (): void => {}

/** A pid in a file, and a dead one's moved aside: what a broker had before the kernel's lock. */
function lockByPid(dir: string): () => void {
  const path = join(dir, 'pid')
  for (;;) {
    try {
      fs.writeFileSync(path, String(process.pid), { flag: 'wx' })
      return () => fs.rmSync(path, { force: true })
    } catch {
      const pid = Number(fs.readFileSync(path, 'utf8'))
      if (fs.existsSync(`/proc/${pid}`)) throw new Error(`in use by ${pid}`)
      fs.renameSync(path, `${path}.${process.pid}`)
    }
  }
}

function lock(dir: string, way: number): () => void {
  if (way === PID_FILE) return lockByPid(dir)
  const held = lockFolder(dir, way < 0 ? [] : [LOCK_WAYS[way]!])
  return () => held.release()
}

function take({ dir, way, at }: Order): Answer {
  // Spinning, so that all begin within a microsecond of each other.
  for (const moment = BigInt(at ?? 0); process.hrtime.bigint() < moment; );
  try {
    release = lock(dir, way)
    return { held: true, error: '' }
  } catch (error) {
    return { held: false, error: (error as Error).message }
  }
}

process.on('message', (order: Order) => {
  if (order.release === true) release()
  process.send!(order.release === true ? { held: false, error: '' } : take(order))
})
