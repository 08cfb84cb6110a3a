import { crc32c } from '../src/protocol/crc32c.ts'
import {
  COMPLETION_SLEEP,
  REQUEST_SLEEP,
  type SharedMemory,
  SPACE_SLEEP,
} from '../src/shared/layout.ts'
import { Ring } from '../src/shared/ring.ts'
import { sleep, wake } from '../src/shared/signal.ts'
import { DISK_RESERVE_BYTES, FreeSpace, freeBytes } from '../src/storage/free-space.ts'
import { realFileSystem } from '../src/storage/fs.ts'
import { PartitionStore } from '../src/storage/partition-store.ts'

export interface PartitionWorkerTask {
  readonly memory: SharedMemory
  readonly worker: number
  readonly dataDir: string
  readonly clean: boolean
  readonly journalFileBytes: number
  readonly bypassBytes: number
  readonly openLogsMax: number
}

/** What gives way to small writes on a full disk; more if the checkpoint is large. */
const RESERVE_BYTES = 512 * 1024
/** Without work for this long, the store does its idle work. */
const IDLE_MS = 1_000

/** Entry of a partition worker thread: one task that ends when the store is told to close. */
export default function run(task: PartitionWorkerTask): void {
  const requests = new Ring(task.memory, 'request')
  const completions = new Ring(task.memory, 'completion')
  const { control } = requests
  const monotonic = () => performance.now()
  const wakeMain = () => wake(control, COMPLETION_SLEEP)
  const space = new FreeSpace(() => freeBytes(task.dataDir), monotonic)
  const store = new PartitionStore({
    files: realFileSystem,
    dataDir: task.dataDir,
    worker: task.worker,
    clean: task.clean,
    requests,
    completions,
    now: Date.now,
    monotonic,
    journalFileBytes: task.journalFileBytes,
    bypassBytes: task.bypassBytes,
    openLogsMax: task.openLogsMax,
    freeBytes: () => space.bytes,
    keptFreeBytes: DISK_RESERVE_BYTES,
    reserveBytes: RESERVE_BYTES,
    wakeMain,
    waitForSpace: () => {
      wakeMain()
      sleep(control, SPACE_SLEEP, () => completions.used < completions.size / 2)
    },
  })
  let isWarm = false
  while (!store.isClosed) {
    // What has been appended is told before a command goes on.
    const hasTurned = store.turn()
    const hasStepped = store.step()
    if (hasTurned || hasStepped) continue
    if (!isWarm) {
      // The library behind the checksum takes milliseconds to load: not while the first record waits.
      crc32c(new Uint8Array(1024))
      isWarm = true
      continue
    }
    const woken = sleep(control, REQUEST_SLEEP, () => !requests.isEmpty, IDLE_MS)
    if (!woken) store.tick()
  }
}
