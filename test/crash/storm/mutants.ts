import type { Edit } from '../../lib/build-copy.ts'

/** Bugs to plant, to show that the storm finds them. */
export const stormMutants: Readonly<Record<string, readonly Edit[]>> = {
  /** A partition is given to its new owner before the old one has given it up. */
  'give-too-early': [
    {
      file: 'src/groups/consumer/reconcile.ts',
      from: 'if (goal.isFree(topicId, partition)) put',
      to: 'if (partition >= 0) put',
    },
  ],
  /** Members may commit in the name of a generation that is over. */
  'any-generation': [
    {
      file: 'src/groups/classic/classic-state.ts',
      from: 'const errorCode = this.generationError(memberId, instanceId, generation)',
      to: 'const errorCode = this.memberError(memberId, instanceId)',
    },
  ],
  /** A group tells consumers to start behind the record that is next. */
  'skip-one': [
    {
      file: 'src/apis/09-offset-fetch.ts',
      from: 'return { committedOffset: offset,',
      to: 'return { committedOffset: offset + 1,',
    },
  ],
  /** Members of the consumer protocol that are not heard of any more stay. */
  immortal: [
    {
      file: 'src/groups/consumer/core.ts',
      from: 'member.sessionDeadline = this.inTime(sessionMs)',
      to: 'member.sessionDeadline = this.inTime(100 * sessionMs)',
    },
  ],
}
