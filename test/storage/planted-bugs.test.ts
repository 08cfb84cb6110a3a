import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { crc32c } from '../../src/protocol/crc32c.ts'
import * as batch from '../../src/protocol/record-batch.ts'
import type { CommandName, Commands } from '../../src/storage/commands.ts'
import { CrashRun, type Mutation } from '../lib/crash-run.ts'
import type { MemoryFs } from '../lib/memory-fs.ts'

/** Runs that a planted bug may take to be found; the engine as it is breaks none of 100,000 images. */
const RUNS_MAX = 400

const test = suite('planted bugs')

function skipFlush(files: MemoryFs, isSkipped: (path: string) => boolean): void {
  const { fdatasync } = files
  files.fdatasync = fd => {
    if (!isSkipped(files.pathOf(fd))) fdatasync.call(files, fd)
  }
}

const BUGS: Record<string, (files: MemoryFs) => void> = {
  'acknowledged before the flush': files => skipFlush(files, () => true),
  'journal not flushed': files => skipFlush(files, path => path.endsWith('.journal')),
  'segment not flushed before the journal is overwritten': files =>
    skipFlush(files, path => path.endsWith('.log')),
  'checkpoint renamed before it is flushed': files =>
    skipFlush(files, path => /checkpoint(\.2)?\.tmp$/.test(path)),
  'only one copy of the checkpoint': files => {
    const { rename } = files
    files.rename = (from, to) => {
      if (!to.endsWith('checkpoint.2')) rename.call(files, from, to)
    }
  },
  'the first copy of the checkpoint is not looked at': files => {
    const { exists } = files
    files.exists = path => !/journal\/\d\/checkpoint$/.test(path) && exists.call(files, path)
  },
  'the older copy of the checkpoint is believed': files => {
    const { write } = files
    files.write = (fd, buffers, position) => {
      const isCopy = files.pathOf(fd).endsWith('checkpoint.2.tmp')
      write.call(files, fd, isCopy ? [older(Buffer.concat(buffers))] : buffers, position)
    }
  },
  'topic id not flushed': files => skipFlush(files, path => path.endsWith('partition.metadata')),
  'names not flushed': files => {
    files.fsyncDir = () => {}
  },
  'names of segments not flushed': files => {
    const { fsyncDir } = files
    files.fsyncDir = path => {
      if (!path.includes('topic')) fsyncDir.call(files, path)
    }
  },
  'journal not replayed': files => {
    const { exists } = files
    files.exists = path => !path.endsWith('.journal') && exists.call(files, path)
  },
  'one of the two journal files not replayed': files => {
    const { exists } = files
    files.exists = path => !path.endsWith('1.journal') && exists.call(files, path)
  },
  'tail cut too early': files => {
    const { truncate } = files
    files.truncate = (fd, size) => {
      const isLog = files.pathOf(fd).endsWith('.log') && size > 0
      truncate.call(files, fd, isLog ? Math.max(0, size - 100) : size)
    }
  },
  'torn tail not cut': files => {
    const { truncate } = files
    files.truncate = (fd, size) => {
      if (!files.pathOf(fd).endsWith('.log') || size === 0) truncate.call(files, fd, size)
    }
  },
  'no CRC check in recovery': files => {
    const { read } = files
    files.read = (fd, target, offset, length, position) => {
      const done = read.call(files, fd, target, offset, length, position)
      if (files.pathOf(fd).endsWith('.log')) mendCrcs(target as Buffer, done)
      return done
    }
  },
  'checkpoint ahead of the flush': files => {
    const { write } = files
    files.write = (fd, buffers, position) => {
      const isCheckpoint = /journal\/0\/checkpoint(\.2)?\.tmp$/.test(files.pathOf(fd))
      write.call(files, fd, isCheckpoint ? [ahead(Buffer.concat(buffers))] : buffers, position)
    }
  },
  'log start not in the checkpoint': files => {
    const { write } = files
    files.write = (fd, buffers, position) => {
      const isCheckpoint = /checkpoint(\.2)?\.tmp$/.test(files.pathOf(fd))
      const content = Buffer.concat(buffers)
      write.call(files, fd, isCheckpoint ? [withoutStart(content)] : buffers, position)
    }
  },
  'journal entries from before a truncation count': files =>
    changeCheckpoints(files, json => json.replace(/("start":\d+),"flushedSequence":\d+/g, '$1')),
  'of what several checkpoints say the most is believed': files =>
    changeCheckpoints(files, json => json.replace(/"start":\d+/g, '"start":0')),
  'snapshots from before a truncation stay': files => {
    const { unlink } = files
    files.unlink = path => {
      if (!path.endsWith('.snapshot')) unlink.call(files, path)
    }
  },
  'segments above a cut go in any order': files => {
    const { unlink, rename, fsyncDir } = files
    let isCutting = false
    files.unlink = path => {
      isCutting = path.endsWith('.log')
      unlink.call(files, path)
    }
    files.rename = (from, to) => {
      isCutting = to.endsWith('.log.deleted')
      rename.call(files, from, to)
    }
    files.fsyncDir = path => {
      if (!isCutting) fsyncDir.call(files, path)
      isCutting = false
    }
  },
}

function changeCheckpoints(files: MemoryFs, change: (json: string) => string): void {
  const { write } = files
  files.write = (fd, buffers, position) => {
    const isCheckpoint = /journal\/\d\/checkpoint(\.2)?\.tmp$/.test(files.pathOf(fd))
    const content = isCheckpoint ? [changed(Buffer.concat(buffers), change)] : buffers
    write.call(files, fd, content, position)
  }
}

/** Makes every whole batch at the front of the buffer match its CRC. */
function mendCrcs(bytes: Buffer, length: number): void {
  for (let at = 0; at + batch.BATCH_HEADER_BYTES <= length; ) {
    const size = batch.batchBytes(bytes, at)
    if (size < batch.BATCH_HEADER_BYTES || at + size > length) return
    const one = bytes.subarray(at, at + size)
    if (batch.magic(one) === batch.MAGIC_V2) one.writeUInt32BE(batch.computeCrc(one), 17)
    at += size
  }
}

function changed(content: Buffer, change: (json: string) => string): Buffer {
  const text = content.toString()
  if (!text.includes('\n{')) return content
  const json = change(text.slice(text.indexOf('\n') + 1))
  return Buffer.from(`${crc32c(Buffer.from(json)).toString(16)}\n${json}`)
}

const ahead = (content: Buffer): Buffer =>
  changed(content, json =>
    json.replace(/"recoveryPoint":(\d+)/g, (_, n) => `"recoveryPoint":${+n + 9}`),
  )

/** A copy that says it is the newest, and knows nothing of any partition. */
const older = (content: Buffer): Buffer =>
  changed(content, json =>
    JSON.stringify({ ...JSON.parse(json), revision: 1e9, flushedSequence: 0, partitions: {} }),
  )

const withoutStart = (content: Buffer): Buffer =>
  changed(content, json => json.replace(/"logStartOffset":\d+/g, '"logStartOffset":0'))

/** What a command is told instead of what it should be. */
function instead<N extends CommandName>(
  name: N,
  change: (request: Commands[N]['request']) => Commands[N]['request'],
): Mutation {
  return {
    driver: driver => {
      const { command } = driver
      driver.command = (called, request) =>
        called === (name as CommandName)
          ? command.call(driver, name, change(request as Commands[N]['request']))
          : command.call(driver, called, request)
    },
  }
}

const MUTATIONS: Record<string, Mutation> = {
  ...Object.fromEntries(Object.entries(BUGS).map(([name, files]) => [name, { files }])),
  'a changed config not heard of': instead('configure', r => ({ ...r, handles: [] })),
  'folders of deleted topics not looked for': instead('sweep', r => ({ ...r, folders: [] })),
  'deleted topics not known': instead('sweep', r => ({ ...r, deleted: [] })),
  'deleted topics not known where one of their name is': instead('open', r => ({
    ...r,
    deleted: [],
  })),
  'the epoch of an entry is not looked at': {
    driver: driver => {
      const { submit, replicate } = driver
      driver.submit = (to, bytes) => submit.call(driver, to, bytes, to.leaderEpoch)
      driver.replicate = (to, bytes) => replicate.call(driver, to, bytes, to.leaderEpoch)
    },
  },
}

for (const [name, mutation] of Object.entries(MUTATIONS)) {
  test(`found: ${name}`, () => {
    let found = ''
    for (let seed = 1; seed <= RUNS_MAX && found === ''; seed++) {
      try {
        const run = new CrashRun(seed, mutation)
        for (let round = 0; round < 3; round++) run.round(3)
      } catch (error) {
        found = String(error)
      }
    }
    assert.is.not(found, '')
  })
}

test.run()
