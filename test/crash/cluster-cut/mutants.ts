import type { Edit } from '../../lib/build-copy.ts'
import { mutants as simMutants } from '../../sim/mutants.ts'
import { mutants as crashMutants } from '../mutants.ts'

/** Disks that take so long for a flush of the journal: here one is often done before a client is told anything. */
export const slowFlush = (ms: number): Edit => ({
  file: 'src/storage/journal.ts',
  from: '#flush(): void {',
  to: `#flush(): void {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ${ms})`,
})

/** Bugs to plant, to show that the power cut of a cluster finds them. */
export const clusterCutMutants: Readonly<Record<string, readonly Edit[]>> = {
  /** All brokers acknowledge what is in the journal's page cache. */
  'ack-before-flush': crashMutants['ack-before-flush']!.edits,
  /** The topic wants each record flushed, and brokers leave it to the system. */
  'flush-messages-ignored': [
    {
      file: 'src/storage/log.ts',
      from: 'return this.config.flushMessages <= 1',
      to: 'return this.config.flushMessages < 0',
    },
    {
      file: 'src/storage/group-commit.ts',
      from: 'log.unflushedRecords >= log.config.flushMessages',
      to: 'log.config.flushMessages < 0',
    },
  ],
  /** A follower reports what it has received before it is flushed: neither its machine nor the connection waits for that. */
  'received-counts': [
    ...simMutants['5 fetches from what is not flushed']!.edits!,
    {
      file: 'src/cluster/lane.ts',
      from: 'flushing.add(wish.replica.key)',
      to: 'void flushing',
    },
  ],
}
