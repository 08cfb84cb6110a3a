import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ErrorCode } from '../../src/protocol/error-codes.ts'
import {
  isRefusal,
  type Next,
  nextState,
  type Proposal,
  type View,
} from '../../src/replication/next-state.ts'
import {
  effectiveMin,
  fromEntry,
  type PartitionState,
  toRecord,
} from '../../src/replication/partition-state.ts'
import { KnownBrokers, partition } from '../lib/brokers.ts'

const test = suite('the next state of a partition')
const ALL = new KnownBrokers(1, 2, 3, 4)

function next(old: PartitionState, proposal: Proposal, view: View = ALL): Next {
  const result = nextState(old, proposal, view)
  assert.not(isRefusal(result), JSON.stringify(result))
  return result as Next
}

function refused(old: PartitionState, proposal: Proposal, view: View = ALL): number {
  const result = nextState(old, proposal, view)
  assert.ok(isRefusal(result), JSON.stringify(result))
  return isRefusal(result) ? result.error : Number.NaN
}

const members = (...ids: number[]) => ids.map(id => ({ id, brokerEpoch: id * 10 }))

test('an ISR grows by who is unfenced, and only if that is still the same registration', () => {
  const { state, compares } = next(partition({ isr: [1, 2] }), { isr: members(1, 2, 3) })
  assert.equal(state.isr, [1, 2, 3])
  assert.is(state.epoch, 5)
  assert.equal(compares, [{ key: 'unfenced/3', created: 31 }])
})

test('nobody joins that is fenced, draining, failed, no replica, or another registration', () => {
  const old = partition({ isr: [1, 2] })
  const proposal = { isr: members(1, 2, 3) }
  const INELIGIBLE = ErrorCode.INELIGIBLE_REPLICA
  const known = () => new KnownBrokers(1, 2, 3)
  assert.is(refused(old, proposal, known().fence(3)), INELIGIBLE)
  assert.is(refused(old, proposal, known().set(3, { isDraining: true })), INELIGIBLE)
  assert.is(refused(old, proposal, known().set(3, { hasFailed: true })), INELIGIBLE)
  assert.is(refused(old, proposal, known().set(3, { epoch: 77 })), INELIGIBLE)
  assert.is(refused(old, { isr: members(1, 2, 4) }), INELIGIBLE)
})

test('an ISR without the leader is refused', () => {
  assert.is(refused(partition(), { isr: members(2, 3) }), ErrorCode.INVALID_REQUEST)
})

test('who leaves an ISR that falls below the minimum stays eligible', () => {
  assert.equal(next(partition(), { isr: members(1, 2) }).state.elr, [])
  assert.equal(next(partition({ isr: [1, 2] }), { isr: members(1) }).state.elr, [2])
  const below = partition({ isr: [1], elr: [2] })
  assert.equal(next(below, { isr: members(1, 3) }).state.elr, [])
})

test('who has lost its log is not eligible', () => {
  const { state } = next(partition({ isr: [1, 2] }), { lost: [2] })
  assert.equal([state.isr, state.elr], [[1], []])
  assert.equal(next(partition({ isr: [1], elr: [2, 3] }), { lost: [3] }).state.elr, [2])
})

test('a lost log raises the epoch: what it reported before must not count', () => {
  assert.is(next(partition(), { lost: [3] }).state.epoch, 6)
  assert.is(next(partition({ isr: [1, 2] }), { lost: [3] }).state.epoch, 6)
})

test('the last member of the ISR that goes is eligible, and leads again when it is back', () => {
  const old = partition({ isr: [1], elr: [] })
  const gone = new KnownBrokers(1, 2, 3).fence(1)
  const { state } = next(old, { failed: [1] }, gone)
  assert.equal([state.isr, state.elr, state.leader, state.by], [[], [1], -1, ''])
  assert.is(state.epoch, 6)
  const back = next(state, { leader: 'elect' })
  assert.equal([back.state.isr, back.state.leader, back.state.epoch], [[1], 1, 7])
  assert.equal(back.compares, [{ key: 'unfenced/1', created: 11 }])
})

test('a leader that goes is followed by the first of the replicas that is in the ISR', () => {
  const gone = new KnownBrokers(1, 2, 3).fence(1)
  const { state, compares } = next(partition(), { failed: [1] }, gone)
  assert.equal([state.leader, state.by, state.epoch, state.isr], [2, 'i2', 6, [2, 3]])
  assert.equal(compares, [{ key: 'unfenced/2', created: 21 }])
})

test('an eligible replica is elected if nobody of the ISR can be, and the ISR is it', () => {
  const old = partition({ isr: [1], elr: [2, 3], leader: -1, by: '' })
  const { state } = next(old, { leader: 'elect' }, new KnownBrokers(1, 2, 3).fence(1, 2))
  assert.equal([state.leader, state.isr, state.elr], [3, [3], [1, 2]])
})

test('nobody is elected who is in neither: ISR and ELR stay as they are', () => {
  const old = partition({ isr: [1], elr: [2] })
  const only3 = new KnownBrokers(1, 2, 3).fence(1, 2)
  const { state } = next(old, { leader: 'elect' }, only3)
  assert.equal([state.leader, state.isr, state.elr, state.epoch], [-1, [1], [2], 6])
  assert.is(refused(state, { leader: 'elect' }, only3), ErrorCode.ELIGIBLE_LEADERS_NOT_AVAILABLE)
})

test('a leader that is well is not replaced', () => {
  assert.is(refused(partition(), { leader: 'elect' }), ErrorCode.ELECTION_NOT_NEEDED)
  assert.is(refused(partition(), { leader: 'unclean' }), ErrorCode.ELECTION_NOT_NEEDED)
})

test('who has room is elected before who has none, and who has none before nobody', () => {
  const full = new KnownBrokers(1, 2, 3).fence(1).set(2, { isFull: true })
  assert.is(next(partition(), { failed: [1] }, full).state.leader, 3)
  full.set(3, { isFull: true })
  assert.is(next(partition(), { failed: [1] }, full).state.leader, 2)
})

test('another incarnation of the leader is another leader', () => {
  const restarted = new KnownBrokers(1, 2, 3).set(1, { incarnation: 'again' })
  const { state } = next(partition(), { leader: 'elect' }, restarted)
  assert.equal([state.leader, state.by, state.epoch], [1, 'again', 6])
})

test('an unclean election is the last resort, and leaves only the elected one', () => {
  const only3 = new KnownBrokers(1, 2, 3).fence(1, 2)
  const { state } = next(partition({ isr: [1], elr: [2] }), { leader: 'unclean' }, only3)
  assert.equal([state.leader, state.isr, state.elr], [3, [3], []])
  assert.equal([state.epoch, state.unclean], [6, 6])
  const clean = next(
    partition({ isr: [1, 2] }),
    { leader: 'unclean' },
    new KnownBrokers(1, 2, 3).fence(1),
  )
  assert.equal([clean.state.leader, clean.state.unclean], [2, -1])
})

test('a preferred leader is elected out of the ISR only', () => {
  const old = partition({ leader: 2, by: 'i2' })
  assert.equal(next(old, { leader: 'preferred' }).state.leader, 1)
  const error = ErrorCode.PREFERRED_LEADER_NOT_AVAILABLE
  assert.is(refused({ ...old, isr: [2, 3] }, { leader: 'preferred' }), error)
  assert.is(refused(old, { leader: 'preferred' }, new KnownBrokers(1, 2, 3).fence(1)), error)
  assert.is(refused(partition(), { leader: 'preferred' }), ErrorCode.ELECTION_NOT_NEEDED)
})

test('a leader that goes is replaced although the one wished for cannot lead', () => {
  const { state } = next(partition(), { failed: [1], leader: 'preferred' })
  assert.equal([state.leader, state.isr], [2, [2, 3]])
})

test('the minimum and who is eligible by it change in one write', () => {
  const below = partition({ isr: [1], elr: [2, 3] })
  const { state } = next(below, { min: 1 })
  assert.equal([state.min, state.elr, state.epoch], [1, [], 5])
  const raised = next(state, { min: 2 }).state
  assert.equal([raised.min, raised.elr], [2, []])
})

test('a partition that becomes durable has a new epoch', () => {
  const { state } = next(partition({ durable: false }), { durable: true })
  assert.equal([state.durable, state.epoch, state.leader], [true, 6, 1])
  assert.is(next(partition(), { durable: false }).state.epoch, 5)
})

test('the old replicas stay until the whole target is in the ISR', () => {
  const started = next(partition(), { reassign: [4, 1] }).state
  assert.equal(started.replicas, [4, 1, 2, 3])
  assert.equal([started.adding, started.removing, started.isr], [[4], [2, 3], [1, 2, 3]])
  assert.is(started.epoch, 5)
  const { state } = next(started, { isr: members(1, 2, 3, 4) })
  assert.equal([state.replicas, state.isr, state.adding, state.removing], [[4, 1], [1, 4], [], []])
  assert.equal([state.leader, state.epoch], [1, 6])
})

test('a leader outside of the target is elected away when the reassignment ends', () => {
  const started = next(partition(), { reassign: [4, 2] }).state
  const { state, compares } = next(started, { isr: members(1, 2, 3, 4) })
  assert.equal([state.leader, state.isr, state.epoch], [4, [2, 4], 6])
  assert.equal(compares, [{ key: 'unfenced/4', created: 41 }])
})

test('a reassignment that needs nobody new is over at once', () => {
  const { state } = next(partition(), { reassign: [2, 1] })
  assert.equal([state.replicas, state.isr, state.removing], [[2, 1], [1, 2], []])
})

test('a reassignment that is taken back leaves what was there', () => {
  const started = next(partition({ isr: [1, 2] }), { reassign: [4, 1] }).state
  const back = next(started, { reassign: null }).state
  assert.equal([back.replicas, back.adding, back.removing], [[1, 2, 3], [], []])
  assert.is(refused(partition(), { reassign: null }), ErrorCode.NO_REASSIGNMENT_IN_PROGRESS)
})

test('a reassignment is not taken back from the only ones that have the records', () => {
  const started = partition({
    replicas: [4, 1],
    adding: [4],
    removing: [1],
    isr: [4],
    leader: 4,
    by: 'i4',
    min: 1,
  })
  assert.is(refused(started, { reassign: null }), ErrorCode.INVALID_REPLICA_ASSIGNMENT)
})

test('a reassignment is not taken back if fewer would have the records than were promised', () => {
  const started = partition({ replicas: [4, 1, 2], adding: [4], removing: [2], isr: [4, 1] })
  assert.is(refused(started, { reassign: null }), ErrorCode.INVALID_REPLICA_ASSIGNMENT)
  assert.equal(next({ ...started, isr: [4, 1, 2] }, { reassign: null }).state.isr, [1, 2])
})

test('replicas that are being added do not count for the minimum yet', () => {
  const one = partition({ replicas: [1], isr: [1] })
  assert.is(effectiveMin(one), 1)
  const growing = next(one, { reassign: [1, 2, 3] }).state
  assert.equal([effectiveMin(growing), growing.isr, growing.elr], [1, [1], []])
  const grown = next(growing, { isr: members(1, 2, 3) }).state
  assert.is(effectiveMin(grown), 2)
})

test('what changes nothing is refused without an error', () => {
  assert.is(refused(partition(), { min: 2 }), ErrorCode.NONE)
  assert.is(refused(partition(), { failed: [4] }), ErrorCode.NONE)
})

test('a record reads as it was written, and holds nothing that is default', () => {
  const plain = partition()
  const value = toRecord(plain)
  assert.equal(Object.keys(value), ['replicas', 'isr', 'leader', 'by', 'epoch', 'min'])
  const full = partition({
    elr: [3],
    adding: [4],
    removing: [1],
    durable: false,
    unclean: 4,
    leader: -1,
    by: '',
  })
  for (const state of [plain, full]) {
    const entry = { key: 'p/t/0', value: toRecord(state), revision: 100, created: 1 }
    assert.equal(fromEntry(entry), state)
  }
  assert.throws(() => fromEntry({ key: 'p/t/0', value: [], revision: 1, created: 1 }))
})

test.run()
