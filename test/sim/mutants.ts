import type { Edit } from '../lib/build-copy.ts'
import type { Bugs } from './bugs.ts'

/** A bug, planted to show that the simulation would find it: in the sources, or in the modelled parts. */
export interface Mutant {
  readonly edits?: readonly Edit[]
  readonly bugs?: Bugs
  /** It is in the storage: shown by seeds that have its logs. */
  readonly isReal?: boolean
}

const edit = (file: string, from: string, to: string): Edit => ({ file: `src/${file}`, from, to })
const LEADER = 'replication/leader.ts'
const FOLLOWER = 'replication/follower.ts'
const NEXT = 'replication/next-state.ts'
const NEEDS = 'controller/needs.ts'
const GROUP = 'storage/group-commit.ts'
const ROLES = 'storage/role-commands.ts'
const CONTROLLER = 'controller/controller.ts'

/** By number and name of docs/cluster.md, section 7; from 31 on, what came up while it was built. */
export const mutants: Readonly<Record<string, Mutant>> = {
  '1 truncates to its high watermark': {
    edits: [
      edit(
        FOLLOWER,
        'this.#againAt = now\n    this.#take(log)\n    this.#fetch(now)',
        `this.#againAt = now
        this.#take(log)
        if (this.#hw < this.#end) this.#reopen({ kind: 'truncate', epoch: this.epoch, offset: this.#hw })
        else this.#fetch(now)`,
      ),
    ],
  },
  '2 looks for divergence once': {
    edits: [
      edit(
        FOLLOWER,
        'const offset = Math.min(endOffset, own === -1 ? this.#end : own)',
        'const offset = Math.min(endOffset, this.#end); this.hasCut = true',
      ),
      edit(
        FOLLOWER,
        'lastEpoch: lastEpochOf(this.#epochs)',
        'lastEpoch: this.hasCut ? -1 : lastEpochOf(this.#epochs)',
      ),
    ],
  },
  '3 takes fetches of any epoch': {
    edits: [
      edit(LEADER, 'if (epoch < this.epoch) return', 'if (epoch < -1) return'),
      edit(LEADER, 'if (epoch > this.epoch) return', 'if (epoch < -1) return'),
    ],
  },
  '4 commits under the minimum': {
    edits: [edit(LEADER, 'if (this.#isUnderMin) return\n    const isr', 'const isr')],
  },
  '5 fetches from what is not flushed': {
    edits: [
      edit(FOLLOWER, 'offset: this.#flushed,', 'offset: this.#end,'),
      edit(FOLLOWER, ' || this.#flushed < this.#end) return', ') return'),
    ],
  },
  '6 no broker epoch when the ISR grows': {
    edits: [
      edit(NEXT, '?.epoch === brokerEpoch', ' !== null || brokerEpoch > 0'),
      edit(NEXT, '[...added, state.leader] : added', '[state.leader] : []'),
      edit(
        LEADER,
        'view.unfenced(id)?.epoch === brokerEpoch',
        'view.unfenced(id) !== null && brokerEpoch > 0',
      ),
      edit(LEADER, 'if (brokerEpoch < newest) return', 'if (newest < -1) return'),
    ],
  },
  '7 joins without what was there at the election': {
    edits: [edit(LEADER, ' || progress.flushed < this.epochStart', '')],
  },
  '8 committed instead of maximal ISR': {
    edits: [
      edit(
        LEADER,
        'const isr = this.maximalIsr\n    let hw',
        'const { isr } = this.#committed\n    let hw',
      ),
    ],
  },
  '9 unknown is taken as refused': {
    edits: [
      edit(
        'replication/pending.ts',
        "if (outcome.outcome === 'unknown') this.#wasUnknown = true",
        "if (outcome.outcome === 'unknown') return true",
      ),
    ],
  },
  '10 unknown is taken as applied': {
    edits: [
      edit(
        LEADER,
        'if (pending.isSettledBy(outcome)) {',
        `if (outcome.outcome === 'unknown') {
          this.#committed = { ...this.#committed, isr: pending.isr }
          this.#pending = null
          this.#tryHw(now)
        } else if (pending.isSettledBy(outcome)) {`,
      ),
    ],
  },
  '11 a controller that was replaced writes': {
    edits: [edit(CONTROLLER, 'batch.require({ key: CONTROLLER, created: this.#created })', '')],
  },
  '12 acts on what the watch says without a compare': {
    edits: [
      edit(NEXT, '[{ key, revision: next.state.revision }, ...next.compares]', 'next.compares'),
    ],
  },
  '13 what is there at the election is committed': {
    edits: [edit(LEADER, 'this.#hw = Math.min(log.hw, log.end)', 'this.#hw = log.end')],
  },
  '14 acknowledges what the leader has flushed': {
    edits: [edit(LEADER, 'if (end <= this.#hw) this', 'if (end <= this.#end) this')],
  },
  '15 an empty disk keeps its place': {
    edits: [edit(NEEDS, "if (isFenced && isNewDisk(image, registration)) return 'disk'", '')],
  },
  '16 the minimum comes on another way than the record': {
    edits: [
      edit(
        LEADER,
        'return this.#committed.isr.length < effectiveMin(this.#committed)',
        `this.min ??= effectiveMin(this.#committed)
        return this.#committed.isr.length < Math.min(this.min, effectiveMin(this.#committed))`,
      ),
    ],
  },
  '17 a cut is made again at replay': { bugs: { cutAgainAtReplay: true } },
  '19 a duplicate is acknowledged before its original': { bugs: { duplicateAckedAtOnce: true } },
  '20 the worker ignores the epoch of an entry': { bugs: { workerIgnoresEpoch: true } },
  '21 what is not flushed counts after a crash': {
    edits: [
      edit(
        NEEDS,
        "return isFenced && registration.start === 'recovered' && !state.durable ? 'tail' : null",
        'return null',
      ),
    ],
  },
  '22 reads without confirm': { bugs: { readWithoutConfirm: true } },
  '23 a coordinator is loaded to the high watermark': { bugs: { loadedToHw: true } },
  '24 a reassignment drops the old ones first': {
    edits: [edit(NEXT, 'if (!target.every(id => this.#isr.includes(id))) return', '')],
  },
  '25 compacts above the high watermark': { bugs: { compactsAboveHw: true } },
  '26 a list does not delete': { bugs: { resetWithoutDeletions: true } },
  "27 a follower's high watermark is beyond its end": {
    edits: [
      edit(
        FOLLOWER,
        'const hw = Math.min(this.#leaderHw, this.#flushed)',
        'const hw = this.#leaderHw',
      ),
    ],
  },
  '28 the epoch is not noted when it begins': { bugs: { epochNotNoted: true } },
  '29 leads on what an earlier life was elected for': {
    edits: [
      edit(
        'replication/replica.ts',
        'record.leader === me && record.by === incarnation',
        'record.leader === me',
      ),
    ],
  },
  '30 plans anew while an outcome is not known': {
    edits: [
      edit(
        LEADER,
        'if (this.#pending.isDue(now)) this.#out.push(this.#pending.send())',
        'if (this.#pending.isDue(now)) this.#pending = null',
      ),
    ],
  },
  '31 lets in before the watch has told what came before': {
    edits: [edit(CONTROLLER, 'if (this.#image.revision < epoch) return', '')],
  },
  '32 any fetch confirms': {
    edits: [
      edit(
        'replication/confirmations.ts',
        'if (answeredOn.get(replica) === session) proven',
        'proven',
      ),
    ],
  },
  '33 a lost log does not raise the epoch': {
    edits: [edit(NEXT, 'this.#lost.some(id => old.replicas.includes(id)) ||', '')],
  },
  '34 what comes after the watch has told is believed': {
    edits: [edit('cluster/image.ts', 'if (entry.revision <= this.revision) continue', '')],
  },
  '35 a late change of a registration is applied': {
    edits: [
      edit(
        'cluster/session.ts',
        '{ key, revision: this.#revision }',
        '{ key, created: this.#epoch }',
      ),
    ],
  },
  '38 commits what is only placed': {
    edits: [edit(LEADER, 'let hw = this.#end', 'let hw = this.#placed')],
  },
  '39 the journal is not flushed': {
    edits: [edit(GROUP, 'runs.length > this.#marks.length', 'false')],
    isReal: true,
  },
  '40 the store ignores the epoch of an entry': {
    edits: [edit(GROUP, 'role.epoch === epoch && role.leads !== replicates', 'true')],
    isReal: true,
  },
  '41 the store does not note the epoch when it begins': {
    edits: [edit(ROLES, 'if (leads) log.epochs.note(epoch, log.nextOffset)', '')],
    isReal: true,
  },
  '42 the checkpoint does not know of a cut': {
    edits: [edit(ROLES, 'if (cuts.length > 0) saveCuts(cuts, access)', '')],
    isReal: true,
  },
  '43 what the journal has counts after a cut': {
    edits: [
      edit(ROLES, 'owned.flushedSequence = access.journalSequence()\n  return cut', 'return cut'),
    ],
    isReal: true,
  },
}
