import type { Edit } from '../lib/build-copy.ts'
import { mutants as simMutants } from '../sim/mutants.ts'

/** Bugs to plant, to show that a run finds them. */
export const jepsenMutants: Readonly<Record<string, readonly Edit[]>> = {
  /** A leader acknowledges what its followers do not have. */
  'leader-acknowledges-alone': simMutants['14 acknowledges what the leader has flushed']!.edits!,
  /** A batch that is sent again, for its answer was lost, is appended again. */
  'retries-are-appended': [
    {
      file: 'src/storage/producer-state.ts',
      from: 'for (const known of producer.batches) {\n      if (known.firstSequence',
      to: 'for (const known of [] as Producer["batches"]) {\n      if (known.firstSequence',
    },
    {
      file: 'src/storage/producer-state.ts',
      from: 'return batch.addSequence(newest.lastSequence, 1) === first ? APPEND : OUT_OF_ORDER',
      to: 'return APPEND',
    },
  ],
}
