import { ErrorCode } from '../protocol/error-codes.ts'
import { effectiveMin, NO_LEADER, type PartitionState, toRecord } from './partition-state.ts'
import { type Reassigned, reassign } from './reassign.ts'
import type { Change, Compare } from './types.ts'

/** A member of a proposed ISR, with the broker epoch under which it fetched; -1: it is in the ISR already. */
export interface IsrMember {
  readonly id: number
  readonly brokerEpoch: number
}

/** What somebody wants to change of a partition record. Several at once are one change. */
export interface Proposal {
  /** Of the leader (AlterPartition). */
  readonly isr?: readonly IsrMember[]
  /** Gone or going: out of the ISR, but their logs are what they were. */
  readonly failed?: readonly number[]
  /** Their logs are not what they were: out of ISR and ELR. */
  readonly lost?: readonly number[]
  /** 'elect': somebody, unless the leader is well. A number: that one, out of the ISR. */
  readonly leader?: 'elect' | 'preferred' | 'unclean' | number
  /** The replicas that there shall be; null takes a reassignment back. */
  readonly reassign?: readonly number[] | null
  readonly min?: number
  readonly durable?: boolean
}

/** What nextState has to know of the brokers; for one partition. */
export interface View {
  /** `epoch`: of the broker's registration; `created`: of its key `unfenced/<id>`. Null: fenced, or not there. */
  unfenced(
    id: number,
  ): { readonly epoch: number; readonly incarnation: string; readonly created: number } | null
  draining(id: number): boolean
  /** Its disk has no room: others are better leaders. */
  full(id: number): boolean
  /** The broker says that it cannot serve this partition. */
  failed(id: number): boolean
}

export interface Next {
  readonly state: PartitionState
  /** On registrations: besides the compare of the record's own revision. */
  readonly compares: readonly Compare[]
}

/** Error NONE: nothing would change. */
export interface Refusal {
  readonly error: number
  readonly reason: string
}

export const isRefusal = (result: Next | Refusal): result is Refusal => 'error' in result

export const unfencedKey = (id: number): string => `unfenced/${id}`

const refuse = (error: number, reason: string): Refusal => ({ error, reason })
const without = (ids: readonly number[], gone: readonly number[]): readonly number[] =>
  gone.length === 0 ? ids : ids.filter(id => !gone.includes(id))
const isSame = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((id, i) => id === b[i])

/** May be elected or join an ISR (KIP-841). */
export const isEligible = (id: number, view: View): boolean =>
  view.unfenced(id) !== null && !view.draining(id) && !view.failed(id)

/**
 * What a partition record becomes by a proposal: the rules of PartitionChangeBuilder and ReplicationControlManager, in one
 * place, for leaders, the controller and admin requests alike. The caller writes the result if the record still has the
 * revision of `old` and the compares hold; then every rule held when it was written.
 */
export function nextState(old: PartitionState, proposal: Proposal, view: View): Next | Refusal {
  const placed: Reassigned | Refusal =
    proposal.reassign === undefined ? old : reassign(old, proposal.reassign)
  if ('error' in placed) return placed
  const draft = new Draft(old, proposal, view, placed)
  return draft.refusal ?? draft.finish()
}

/** One call of nextState: the fields that a rule has decided are what later rules read. */
class Draft {
  refusal: Refusal | null = null
  readonly #old: PartitionState
  readonly #proposal: Proposal
  readonly #view: View
  readonly #lost: readonly number[]
  #replicas: readonly number[]
  #adding: readonly number[]
  #removing: readonly number[]
  #isr: readonly number[]
  #leader: number
  #isUnclean = false

  constructor(old: PartitionState, proposal: Proposal, view: View, placed: Reassigned) {
    this.#old = old
    this.#proposal = proposal
    this.#view = view
    this.#lost = proposal.lost ?? []
    this.#replicas = placed.replicas
    this.#adding = placed.adding
    this.#removing = placed.removing
    this.#leader = old.leader
    if (proposal.isr !== undefined) this.#checkIsr(proposal.isr)
    const isr = proposal.isr?.map(({ id }) => id) ?? old.isr
    const isHere = isr.filter(id => placed.replicas.includes(id))
    this.#isr = without(without(isHere, proposal.failed ?? []), this.#lost)
  }

  finish(): Next | Refusal {
    this.#finishReassignment()
    this.#elect()
    if (this.refusal !== null) return this.refusal
    const state = this.#state()
    if (this.#isTooFew(this.#old, state)) {
      return refuse(
        ErrorCode.INVALID_REPLICA_ASSIGNMENT,
        'too few that have the records would be left',
      )
    }
    if (isUnchanged(this.#old, state)) return refuse(ErrorCode.NONE, 'nothing changes')
    return { state, compares: this.#compares(state) }
  }

  /** Rule 1: only who is unfenced, not draining and the same registration as when it fetched may join. */
  #checkIsr(isr: readonly IsrMember[]): void {
    for (const { id, brokerEpoch } of isr) {
      if (this.#old.isr.includes(id)) continue
      const isTrue = this.#view.unfenced(id)?.epoch === brokerEpoch
      if (!this.#old.replicas.includes(id) || !isTrue || !isEligible(id, this.#view)) {
        this.refusal = refuse(ErrorCode.INELIGIBLE_REPLICA, `broker ${id} may not join the ISR`)
      }
    }
    if (isr.every(({ id }) => id !== this.#old.leader)) {
      this.refusal = refuse(ErrorCode.INVALID_REQUEST, 'the ISR has the leader')
    }
  }

  /** Rule 6: over when all of the target is in the ISR. */
  #finishReassignment(): void {
    if (this.#adding.length === 0 && this.#removing.length === 0) return
    const target = without(this.#replicas, this.#removing)
    if (!target.every(id => this.#isr.includes(id))) return
    this.#isr = without(this.#isr, this.#removing)
    this.#replicas = target
    this.#adding = []
    this.#removing = []
  }

  /** Rules 4 and 5. A leader that falls out of the ISR is replaced whatever was proposed. */
  #elect(): void {
    const { leader: wish } = this.#proposal
    if (wish === 'preferred') this.#transfer(this.#replicas[0]!)
    else if (typeof wish === 'number') this.#transfer(wish)
    else if (wish !== undefined) this.#electAny(wish === 'unclean')
    if (this.#leader !== NO_LEADER && !this.#isr.includes(this.#leader)) this.#electAny(false)
  }

  #electAny(mayBeUnclean: boolean): void {
    const electable = this.#replicas.filter(id => isEligible(id, this.#view))
    const elr = this.#elr()
    const inSync = electable.filter(id => this.#isr.includes(id))
    const elected =
      inSync.find(id => !this.#view.full(id)) ?? inSync[0] ?? electable.find(id => elr.includes(id))
    if (this.#isWell(this.#leader)) {
      this.#unlessOther(ErrorCode.ELECTION_NOT_NEEDED, 'the leader is well')
    } else if (elected !== undefined) {
      this.#makeLeader(elected)
    } else if (mayBeUnclean && electable.length > 0) {
      this.#isUnclean = true
      this.#makeLeader(electable[0]!)
    } else {
      // Nobody: what could lead again is kept.
      if (this.#leader === NO_LEADER) {
        this.#unlessOther(ErrorCode.ELIGIBLE_LEADERS_NOT_AVAILABLE, 'nobody may be elected')
      }
      this.#leader = NO_LEADER
    }
  }

  #transfer(to: number): void {
    if (to === this.#leader && this.#isWell(to)) {
      this.#unlessOther(ErrorCode.ELECTION_NOT_NEEDED, `broker ${to} leads`)
    } else if (!this.#isr.includes(to) || !isEligible(to, this.#view)) {
      this.#unlessOther(ErrorCode.PREFERRED_LEADER_NOT_AVAILABLE, `broker ${to} may not lead now`)
    } else this.#makeLeader(to)
  }

  #makeLeader(id: number): void {
    this.#leader = id
    if (!this.#isr.includes(id)) this.#isr = [id]
  }

  /** A wish that comes to nothing is a refusal, unless the proposal changes something else. */
  #unlessOther(error: number, reason: string): void {
    const { leader: _, ...others } = this.#proposal
    if (Object.keys(others).length === 0) this.refusal = refuse(error, reason)
  }

  #isWell(leader: number): boolean {
    const { by, leader: old } = this.#old
    return (
      leader === old &&
      this.#isr.includes(leader) &&
      isEligible(leader, this.#view) &&
      this.#view.unfenced(leader)!.incarnation === by
    )
  }

  /** Rule 2: below the minimum the high watermark stands still, so who leaves then has all of it. */
  #elr(): readonly number[] {
    if (this.#isUnclean) return []
    const { isr, elr } = this.#old
    if (this.#isr.length >= effectiveMin(this.#fields())) return []
    const known = [...isr, ...elr].filter(
      id => !this.#isr.includes(id) && this.#replicas.includes(id) && !this.#lost.includes(id),
    )
    return known.filter((id, i) => known.indexOf(id) === i).sort((a, b) => a - b)
  }

  /** All but leader, epoch and ELR. */
  #fields(): PartitionState {
    const { min = this.#old.min, durable = this.#old.durable } = this.#proposal
    return {
      ...this.#old,
      replicas: this.#replicas,
      adding: this.#adding,
      removing: this.#removing,
      isr: this.#isr,
      min,
      durable,
    }
  }

  #state(): PartitionState {
    const old = this.#old
    const fields = this.#fields()
    const leader = this.#leader
    const by = this.#incarnation()
    const isRaised =
      leader !== old.leader ||
      by !== old.by ||
      this.#isUnclean ||
      (fields.durable && !old.durable) ||
      // What a replica reported before it lost its log, or was no replica, must not count when it is one again.
      this.#lost.some(id => old.replicas.includes(id)) ||
      old.replicas.some(id => !fields.replicas.includes(id))
    const epoch = isRaised ? old.epoch + 1 : old.epoch
    const unclean = this.#isUnclean ? epoch : old.unclean
    return { ...fields, elr: this.#elr(), leader, by, epoch, unclean }
  }

  #incarnation(): string {
    const { leader, by } = this.#old
    if (this.#leader === NO_LEADER) return ''
    // A wish only re-elects the one that leads if it is another incarnation.
    const isKept = this.#leader === leader && this.#proposal.leader === undefined
    return isKept ? by : (this.#view.unfenced(this.#leader)?.incarnation ?? by)
  }

  /** To take a reassignment back must not leave fewer that have the records than were promised. */
  #isTooFew({ isr, elr }: PartitionState, state: PartitionState): boolean {
    const had = isr.length + elr.length
    return (
      this.#proposal.reassign === null &&
      state.isr.length + state.elr.length < Math.min(effectiveMin(state), had)
    )
  }

  /** Whom this makes more than it was must still be what the view says when it is written (R5, KIP-903). */
  #compares(state: PartitionState): Compare[] {
    const { isr, leader, by } = this.#old
    const added = state.isr.filter(id => !isr.includes(id))
    const isElected = state.leader !== leader || state.by !== by || this.#isUnclean
    const names = new Set(
      isElected && state.leader !== NO_LEADER ? [...added, state.leader] : added,
    )
    return [...names]
      .sort((a, b) => a - b)
      .map(id => ({ key: unfencedKey(id), created: this.#view.unfenced(id)?.created ?? 0 }))
  }
}

function isUnchanged(a: PartitionState, b: PartitionState): boolean {
  return (
    a.leader === b.leader &&
    a.by === b.by &&
    a.epoch === b.epoch &&
    a.min === b.min &&
    a.durable === b.durable &&
    isSame(a.isr, b.isr) &&
    isSame(a.elr, b.elr) &&
    isSame(a.replicas, b.replicas) &&
    isSame(a.adding, b.adding) &&
    isSame(a.removing, b.removing)
  )
}

/** The whole transaction that makes a record what nextState says, if nobody else changed it. */
export function transactionOf(
  key: string,
  next: Next,
): { compares: readonly Compare[]; change: Change } {
  return {
    compares: [{ key, revision: next.state.revision }, ...next.compares],
    change: { key, value: toRecord(next.state) },
  }
}
