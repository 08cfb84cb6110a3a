import { apiOf, Key } from './talk.ts'
import type { Body, Pair, Step, Tree } from './two-brokers.ts'

/** A difference that there may be, and why. */
export interface Allowed {
  readonly why: string
  /** @param last what was sent last: a parked answer may come because of it */
  is(pair: Pair, difference: string, last: Step): boolean
}

const isOf = (step: Step, ...keys: readonly number[]): boolean =>
  keys.some(key => step.api === apiOf(key))

const namesTwice = ({ api, body }: Step): boolean => {
  if (api !== apiOf(Key.join)) return false
  const names = (body.protocols as Body[]).map(({ name }) => name)
  return new Set(names).size < names.length
}

const hasTwice = ({ body }: Step): boolean => {
  const groups = body.groups as Tree[]
  return new Set(groups).size < groups.length
}

const code = (answer: Tree | undefined): Tree | undefined => (answer as Body | undefined)?.errorCode

const codes = (difference: string, kafka: number, ...ours: number[]): boolean =>
  ours.some(our => difference.endsWith(`rrorCode kafka ${kafka} ours ${our}`))

const [JOIN, SYNC, BEAT, LEAVE, CONSUME] = [Key.join, Key.sync, Key.beat, Key.leave, Key.consume]

/** Of several that would do, the first one counts. Numbers are Kafka's error codes. */
export const ALLOWED: readonly Allowed[] = [
  {
    why: 'Kafka counts a protocol that a member names twice as two members that have it: it fails or never answers',
    is: ({ step }, _, last) => namesTwice(step) || namesTwice(last),
  },
  {
    why: 'who leads when the leader has left, and who gets which of equal partitions, is by the order of a hash map in Kafka',
    is: ({ kafka, ours }, difference) =>
      (/^\.(leader|members)/.test(difference) && code(kafka) === 0 && code(ours) === 0) ||
      /\.partitions(\.\d+)? kafka [\d[]/.test(difference),
  },
  {
    why: 'Kafka trims the types that ListGroups asks for',
    is: ({ step }) =>
      isOf(step, Key.list) && (step.body.typesFilter as Tree[]).includes(' Classic '),
  },
  {
    why: 'Kafka leaves a group behind that a refused join has made',
    is: ({ step, ours, kafka }, difference) =>
      (isOf(step, Key.list) &&
        difference.includes('"groupType":""') &&
        difference.endsWith('ours []')) ||
      (isOf(step, Key.commit) && codes(difference, 25, 69) && code(kafka) === code(ours)),
  },
  {
    why: 'topics without partitions, or given twice, are answered one for one here',
    is: ({ step }) =>
      isOf(step, Key.forget, Key.fetch) && (step.body.topics as Body[] | null)?.length !== 1,
  },
  {
    why: 'a group or a member that is not known here has no offsets to show: -1 would send the consumer to the beginning',
    is: ({ step, ours }) =>
      isOf(step, Key.fetch) && code(((ours as Body).groups as Body[] | undefined)?.[0]) === 25,
  },
  {
    why: 'Kafka fails with -1 where the member names an instance id that is not its own, or protocols that cannot be read',
    is: ({ step }, difference) => isOf(step, JOIN) && codes(difference, -1, 23, 25),
  },
  {
    why: 'Kafka asks for a member id, or whether the member is known, before it looks at the protocols; we the other way',
    is: ({ step, ours }, difference) =>
      isOf(step, JOIN) && (code(ours) === 23 || [25, 79, 82].some(k => codes(difference, k, 23))),
  },
  {
    why: 'a refused join says again who asked',
    is: ({ step, ours }, difference) =>
      isOf(step, JOIN) && difference.startsWith('.memberId') && code(ours) !== 0,
  },
  {
    why: 'before v7 there is no null for the protocol, from then on Kafka has null where we have what was asked for',
    is: ({ step }, difference) =>
      isOf(step, JOIN) && difference === '.protocolName kafka null ours ""',
  },
  {
    why: 'a request that is refused changes nothing: Kafka has ended parked joins by then',
    is: ({ step, kafka }, _, last) => isOf(step, JOIN) && isOf(last, CONSUME) && code(kafka) === 27,
  },
  {
    why: 'a join that the same member replaces by another one is answered; Kafka lets it wait',
    is: ({ step, kafka, ours }, _, last) =>
      isOf(step, JOIN, SYNC) && isOf(last, JOIN, SYNC) && kafka === undefined && code(ours) !== 0,
  },
  {
    why: 'a member of a mixed group is told to join again before its protocol is looked at, and as soon as there is a newer target',
    is: ({ step }, difference) =>
      isOf(step, SYNC, BEAT) && (codes(difference, 23, 27) || codes(difference, 0, 27)),
  },
  {
    why: 'a member that was there before the upgrade may sync with the protocol that its group had chosen',
    is: ({ step, kafka, ours }) => isOf(step, SYNC) && code(kafka) === 23 && code(ours) === 0,
  },
  {
    why: 'a pattern is read before it is asked whether the group may be upgraded, or who the member is',
    is: ({ step }, difference) =>
      isOf(step, CONSUME) && (codes(difference, 69, 128) || codes(difference, 25, 128)),
  },
  {
    why: 'a static member may join again under its own member id',
    is: ({ step, kafka, ours }) => isOf(step, CONSUME) && code(kafka) === 111 && code(ours) === 0,
  },
  {
    why: 'Kafka cannot upgrade a group in which a member has changed its protocols and the next generation is not there',
    is: ({ step, kafka, ours }) => isOf(step, CONSUME) && code(kafka) === -1 && code(ours) === 0,
  },
  {
    why: 'a group that DescribeGroups names twice is described once: its members may be many',
    is: ({ step }, difference) =>
      isOf(step, Key.describe) && difference.startsWith('.groups kafka [') && hasTwice(step),
  },
  {
    why: 'LeaveGroup that names a member twice: the second time it is not there any more',
    is: ({ step }, difference) =>
      isOf(step, LEAVE) && (codes(difference, 0, 25) || codes(difference, 82, 25)),
  },
  {
    why: 'Kafka paces its targets, and assigns after a downgrade what members have not been told: here what they hold',
    is: ({ step, kafka, ours }, difference) =>
      (isOf(step, CONSUME) &&
        /^\.(memberEpoch|assignment)/.test(difference) &&
        code(kafka) === code(ours)) ||
      (isOf(step, SYNC) && difference.startsWith('.assignment')) ||
      (isOf(step, Key.show, Key.describe) && /ssignment/.test(difference)),
  },
  {
    why: 'an empty group of the consumer protocol becomes a classic one with the first join, also a refused one',
    is: ({ step }, difference) =>
      isOf(step, Key.describe) && difference.endsWith('.groupState kafka "Dead" ours "Empty"'),
  },
]
