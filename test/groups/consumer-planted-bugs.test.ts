import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { assignors } from '../../src/groups/consumer/assignors/index.ts'
import { ClassicMembers } from '../../src/groups/consumer/classic-members.ts'
import { Core } from '../../src/groups/consumer/core.ts'
import { type ConsumerRecord, Store } from '../../src/groups/consumer/store.ts'
import { GroupRun } from '../lib/group-run.ts'

/** Runs that a planted bug may take to be found; the group as it is breaks none of thousands. */
const RUNS_MAX = 60
const STEPS = 250

const test = suite('planted bugs in consumer groups')

type Undo = () => void

/** Replaces a method for as long as a bug is planted. */
function patch<T extends object, K extends keyof T>(
  target: T,
  key: K,
  make: (old: T[K]) => T[K],
): Undo {
  const old = target[key]
  target[key] = make(old)
  return () => {
    target[key] = old
  }
}

const unwritten = (isLost: (record: ConsumerRecord) => boolean): Undo =>
  patch(
    Core.prototype,
    'take',
    take =>
      function (this: Core) {
        return take.call(this).filter(record => !isLost(record))
      },
  )

const BUGS: Record<string, () => Undo> = {
  'a partition is given before its owner has given it up': () =>
    patch(Store.prototype, 'ownerOf', () => () => undefined),
  'who does not say what it owns is taken to own nothing': () =>
    patch(
      Core.prototype,
      'reconcile',
      reconcile =>
        function (this: Core, member, owned, hasNewSubscription) {
          reconcile.call(this, member, owned ?? [], hasNewSubscription)
        },
    ),
  'a member that leaves is not removed from the log': () =>
    unwritten(record => record.kind === 'member' && record.value === null),
  'the target of a member that leaves stays in the log': () =>
    unwritten(record => record.kind === 'targetMember' && record.value === null),
  'epochs of the group are not written': () => unwritten(record => record.kind === 'groupEpoch'),
  'epochs of targets are not written': () => unwritten(record => record.kind === 'targetEpoch'),
  'what a member has is not written when it is behind': () =>
    unwritten(record => record.kind === 'currentMember' && record.value?.state === 1),
  'what a pattern stands for is not written': () =>
    unwritten(record => record.kind === 'regularExpression' && record.value !== null),
  'a pattern that nobody uses any more stays in the log': () =>
    unwritten(record => record.kind === 'regularExpression' && record.value === null),
  'a snapshot leaves out the targets': () =>
    patch(
      Store.prototype,
      'snapshot',
      snapshot =>
        function (this: Store) {
          return snapshot.call(this).filter(record => record.kind !== 'targetMember')
        },
    ),
  'new topics are not noticed': () => patch(Core.prototype, 'noticeTopics', () => () => {}),
  'sessions never end': () => patch(Core.prototype, 'touch', () => () => {}),
  'a new subscription makes no new epoch': () => patch(Core.prototype, 'bumpEpoch', () => () => {}),
  'members of the classic protocol are never told to join again': () =>
    patch(ClassicMembers.prototype, 'heartbeat', () => () => 0),
  'one member gets everything': () => {
    const map = assignors as Map<
      string,
      typeof assignors extends ReadonlyMap<string, infer A> ? A : never
    >
    const uniform = map.get('uniform')!
    map.set('uniform', members =>
      members.map(({ topics }, i) => {
        const all = topics.map((t): [string, number[]] => [t.id, [...Array(t.partitions).keys()]])
        return new Map(i === 0 ? all : [])
      }),
    )
    return () => map.set('uniform', uniform)
  },
}

for (const [name, plant] of Object.entries(BUGS)) {
  test(`found: ${name}`, () => {
    const undo = plant()
    let found = ''
    try {
      for (let seed = 1; seed <= RUNS_MAX && found === ''; seed++) {
        try {
          const run = new GroupRun(seed, { hasClassic: true, hasPatterns: true })
          for (let i = 0; i < 2; i++) run.run(STEPS)
        } catch (error) {
          found = String(error)
        }
      }
    } finally {
      undo()
    }
    assert.is.not(found, '')
    if (process.env.SHOW !== undefined) console.log(name, '->', found.slice(0, 150))
  })
}

test.run()
