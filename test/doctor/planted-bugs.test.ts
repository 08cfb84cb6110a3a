import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import * as batch from '../../src/protocol/record-batch.ts'
import { KEEP, killRepair, lookAtDamage, type Plant, repairDamage } from '../lib/doctor-run.ts'
import type { MemoryFs } from '../lib/memory-fs.ts'

/** Folders that a planted bug may take to be found. */
const RUNS_MAX = 150

const test = suite('planted bugs of the doctor')

/** All whole-looking batches of a segment match their CRC, as if nobody looked at it. */
function withoutCrc(files: MemoryFs, isBlind: (path: string) => boolean): void {
  const { open } = files
  files.open = (path, mode) => {
    const file = files.peek(path)
    if (file !== null && path.endsWith('.log') && isBlind(path)) {
      const copy = Buffer.from(file.data.subarray(0, file.size))
      mendCrcs(copy)
      blind.set(path, copy)
    }
    return open.call(files, path, mode)
  }
  const blind = new Map<string, Buffer>()
  const { read } = files
  files.read = (fd, target, offset, length, position) => {
    const done = read.call(files, fd, target, offset, length, position)
    const copy = blind.get(files.pathOf(fd))
    copy?.copy(target as Buffer, offset, position, position + done)
    return done
  }
}

function mendCrcs(bytes: Buffer): void {
  for (let at = 0; at + batch.BATCH_HEADER_BYTES <= bytes.length; ) {
    const length = batch.batchBytes(bytes, at)
    if (length < batch.BATCH_HEADER_BYTES || at + length > bytes.length) return
    const one = bytes.subarray(at, at + length)
    one.writeUInt32BE(batch.computeCrc(one), 17)
    at += length
  }
}

const isClosed = (files: MemoryFs) => (path: string) => {
  const folder = path.slice(0, path.lastIndexOf('/'))
  const logs = files.list().filter(one => one.startsWith(folder) && /\d{20}\.log$/.test(one))
  return logs.sort().at(-1) !== path
}

function skipFlush(files: MemoryFs, isSkipped: (path: string) => boolean): void {
  const { fdatasync } = files
  files.fdatasync = fd => {
    if (!isSkipped(files.pathOf(fd))) fdatasync.call(files, fd)
  }
}

function skipRename(files: MemoryFs, isSkipped: (to: string) => boolean): void {
  const { rename, unlink } = files
  files.rename = (from, to) => {
    if (isSkipped(to)) unlink.call(files, from)
    else rename.call(files, from, to)
  }
}

const looks = (seed: number, plant: Plant) => lookAtDamage(seed, 'kill', plant)
const repairs = (seed: number, plant: Plant) => repairDamage(seed, 'kill', plant)

const BUGS: Record<string, [(seed: number, plant: Plant) => Promise<unknown>, Plant]> = {
  'closed segments are not read': [looks, files => withoutCrc(files, isClosed(files))],
  'no checksum is looked at': [looks, files => withoutCrc(files, () => true)],
  'looking writes': [
    looks,
    files => {
      const { open } = files
      files.open = (path, mode) => {
        const fd = open.call(files, path, mode)
        if (path.endsWith('.2.log')) files.peek(path)!.write(Buffer.from('x'), 0)
        return fd
      }
    },
  ],
  'no copies are kept': [
    repairs,
    files => {
      const { write } = files
      files.write = (fd, buffers, position) => {
        if (!files.pathOf(fd).includes(KEEP)) write.call(files, fd, buffers, position)
      }
    },
  ],
  'the log does not go on in a new segment': [
    repairs,
    files => skipRename(files, to => /\d{20}\.log$/.test(to) && !files.exists(to)),
  ],
  'gaps are not written down': [repairs, files => skipRename(files, to => /compaction/.test(to))],
  'copies are not flushed': [killRepair, files => skipFlush(files, path => path.includes(KEEP))],
  'new files are not flushed': [killRepair, files => skipFlush(files, path => /\.tmp$/.test(path))],
  'names of copies are not flushed': [
    killRepair,
    files => {
      const { fsyncDir } = files
      files.fsyncDir = path => {
        if (!path.includes(KEEP)) fsyncDir.call(files, path)
      }
    },
  ],
  'files are removed before their copies are there': [
    killRepair,
    files => {
      const { mkdir } = files
      files.mkdir = path => {
        mkdir.call(files, path)
        const log = files.list().find(one => /data\/orders-0\/\d{20}\.log$/.test(one))
        if (log !== undefined) files.unlink(log)
      }
    },
  ],
}

for (const [name, [run, plant]] of Object.entries(BUGS)) {
  test(`${name}: found`, async () => {
    for (let seed = 1; seed <= RUNS_MAX; seed++) {
      try {
        await run(seed, plant)
      } catch (error) {
        assert.match(String(error), /SEED=\d+/)
        return
      }
    }
    assert.unreachable(`not found in ${RUNS_MAX} folders`)
  })
}

test.run()
