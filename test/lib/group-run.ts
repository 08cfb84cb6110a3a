import { SimClassic, SimConsumer, type SimMember, type Subscribed } from './group-members.ts'
import { GroupWorld, stateOf } from './group-world.ts'
import { Random } from './random.ts'

const TOPICS = ['t0', 't1', 't2', 't3', 'u0']
const PATTERNS = ['t.*', 't[01]', '.*0', 'none']
const INSTANCES = ['i0', 'i1', 'i2']
const MEMBERS_MAX = 7
/** Rounds of heartbeats, 5 s apart, in which a group comes to rest: nine until the dead are given up, more for lost answers. */
const ROUNDS_MAX = 24
/** After a single change of a group at rest. Patterns may wait for 10 s until they are matched again. */
const QUICK_ROUNDS_MAX = 8

export interface RunOptions {
  /** Members of the classic protocol take part. */
  readonly hasClassic?: boolean
  readonly hasPatterns?: boolean
}

/**
 * A group of simulated consumers that join, fall silent, lose messages, resubscribe, leave and come back, while topics come and go
 * and the broker restarts. After every step it checks what must hold at any time, and `settle` what must hold when
 * nothing happens any more. It throws what it finds.
 */
export class GroupRun {
  readonly #random: Random
  readonly world = new GroupWorld()
  readonly #options: RunOptions
  members: SimMember[] = []
  #epoch = 0
  #targetEpoch = 0
  restarts = 0
  /** Members that were removed while they lived. */
  removed = 0
  steps = 0

  constructor(seed: number, options: RunOptions = {}) {
    this.#random = new Random(seed)
    this.#options = options
    this.world.settings.consumerMigrationPolicy = this.#random.chance(0.7)
      ? 'upgrade'
      : 'bidirectional'
    if (this.#random.chance(0.3)) this.world.settings.consumerAssignors = ['range', 'uniform']
    for (const name of TOPICS.slice(0, 3)) this.world.topic(name, 1 + this.#random.below(5))
  }

  /** The last member of the consumer protocol has left, and the others go on as a classic group. */
  get isOver(): boolean {
    return this.world.classic !== null
  }

  /** Much happens, then nothing; then, a few times, one thing and nothing. */
  run(steps: number): void {
    for (let i = 0; i < steps && !this.isOver; i++) this.step()
    this.settle(ROUNDS_MAX)
    for (let i = 0; i < 4; i++) {
      if (this.isOver) return
      const one = this.#random.below(4)
      if (one < 2) this.#changeTopics()
      else if (one === 2) this.#resubscribe()
      else this.#leave(false)
      this.settle(QUICK_ROUNDS_MAX)
    }
  }

  step(): void {
    this.steps++
    const random = this.#random
    const { world } = this
    const what = random.below(100)
    if (what < 72) this.#beat()
    else if (what < 80) this.#enter()
    else if (what < 83) this.#leave()
    else if (what < 85) this.#die()
    else if (what < 88) this.#resubscribe()
    else if (what < 92) this.#changeTopics()
    else if (what < 94) this.#restart()
    else if (what < 98 && random.chance(0.8)) world.resolve()
    else world.asked.length = 0
    if (this.isOver) return
    this.#pass(random.below(1_500))
    for (const member of this.members) {
      if (world.now - member.lastBeatAt > 15_000 && !this.isOver) member.beat('arrives', 1)
    }
    if (!this.isOver) this.check()
  }

  #pass(ms: number): void {
    this.world.pass(ms)
    if (this.isOver) return
    const known = new Set(this.world.group.describe().members.map(m => m.memberId))
    for (const member of this.members) {
      const isIn = member instanceof SimConsumer ? member.epoch > 0 : member.owned.size > 0
      if (!isIn || known.has(member.memberId)) continue
      // Clients know how long the group waits for them, and stop in time.
      this.removed++
      member.lose()
    }
  }

  #subscription(isClassic: boolean): Subscribed {
    const random = this.#random
    const isPattern = this.#options.hasPatterns === true && !isClassic && random.chance(0.4)
    if (isPattern) return { names: [], pattern: random.pick(PATTERNS) }
    const names = random.chance(0.6) ? TOPICS.slice(0, 3) : TOPICS.filter(() => random.chance(0.4))
    return { names, pattern: '' }
  }

  #beat(): void {
    if (this.members.length === 0) return
    const random = this.#random
    const fate = random.chance(0.85) ? 'arrives' : random.chance(0.5) ? 'is lost' : 'answer is lost'
    random.pick(this.members).beat(fate, random.below(4))
  }

  #enter(): void {
    const random = this.#random
    if (this.members.length >= MEMBERS_MAX) return
    const free = INSTANCES.filter(id => !this.members.some(m => m.instanceId === id))
    const instanceId = free.length > 0 && random.chance(0.4) ? random.pick(free) : null
    const { isEmpty } = this.world.group
    const isClassic = this.#options.hasClassic === true && !isEmpty && random.chance(0.45)
    const subscribed = this.#subscription(isClassic)
    const member = isClassic
      ? new SimClassic(this.world, subscribed, instanceId, random.chance(0.3))
      : new SimConsumer(this.world, subscribed, instanceId, random.pick([null, 'range', 'uniform']))
    this.members.push(member)
    member.beat('arrives', 0)
  }

  #take(): SimMember | undefined {
    if (this.members.length === 0) return undefined
    const member = this.#random.pick(this.members)
    this.members = this.members.filter(m => m !== member)
    return member
  }

  #leave(mayComeBack = true): void {
    const member = this.#take()
    const isStatic = member?.kind === 'consumer' && member.instanceId !== null
    member?.leave(isStatic && mayComeBack && this.#random.chance(0.7))
  }

  #die(): void {
    const member = this.#take()
    if (member !== undefined) member.isAlive = false
  }

  #resubscribe(): void {
    const member = this.members.length > 0 ? this.#random.pick(this.members) : undefined
    if (member instanceof SimConsumer || member instanceof SimClassic) {
      member.resubscribe(this.#subscription(member.kind === 'classic'))
    }
  }

  #changeTopics(): void {
    const random = this.#random
    const name = random.pick(TOPICS)
    const topic = this.world.topics.get(name)
    if (topic === undefined) this.world.topic(name, 1 + random.below(5))
    else if (random.chance(0.5)) this.world.deleteTopic(name)
    else this.world.topic(name, topic.partitions + 1 + random.below(2))
  }

  #restart(): void {
    const { world } = this
    this.restarts++
    this.checkLog()
    // The log may have been written anew in between.
    if (this.#random.chance(0.3)) world.compact()
    world.restart()
    this.checkLog()
  }

  // What must hold.

  check(): void {
    const shown = this.world.group.describe()
    if (shown.groupEpoch < this.#epoch) throw new Error('the epoch of the group went back')
    if (shown.assignmentEpoch < this.#targetEpoch) throw new Error('the target went back')
    this.#epoch = shown.groupEpoch
    this.#targetEpoch = shown.assignmentEpoch
    const owners = new Map<string, string>()
    for (const { memberId, owned } of this.members) {
      for (const one of owned) {
        const other = owners.get(one)
        if (other !== undefined) throw new Error(`${one} is consumed by ${other} and ${memberId}`)
        owners.set(one, memberId)
      }
    }
    const held = new Set<string>()
    for (const { assignment } of shown.members) {
      for (const { topicId, partitions } of assignment.topicPartitions) {
        for (const partition of partitions) {
          const one = `${topicId}:${partition}`
          if (held.has(one)) throw new Error(`${one} is assigned twice`)
          held.add(one)
        }
      }
    }
    if (this.#random.chance(0.05)) this.checkLog()
  }

  /** What is in the log is what is in memory. */
  checkLog(): void {
    const live = stateOf(this.world.group).join('\n')
    const read = stateOf(this.world.reloaded()).join('\n')
    if (live !== read) throw new Error(`the log says\n${read}\nand memory\n${live}`)
    const copied = stateOf(this.world.reloaded(this.world.group.snapshot())).join('\n')
    if (live !== copied) throw new Error(`the snapshot says\n${copied}\nand memory\n${live}`)
  }

  /** Nothing happens any more but heartbeats: the group comes to rest. @returns after how many rounds */
  settle(roundsMax: number): number {
    for (let round = 1; round <= roundsMax && !this.isOver; round++) {
      this.#pass(5_000)
      for (const member of this.members) {
        if (this.isOver) return round
        member.beat('arrives', 0)
        // A client of the classic protocol joins, syncs and joins again without a pause.
        for (let i = 0; i < 6 && member.kind === 'classic' && !member.isSettled; i++) {
          if (!this.isOver) member.beat('arrives', 0)
        }
      }
      if (this.isOver) return round
      this.world.resolve()
      this.check()
      const known = this.world.group.describe().members.length
      const isAtRest = this.world.group.state === (this.members.length > 0 ? 'Stable' : 'Empty')
      if (!isAtRest || known !== this.members.length) continue
      if (!this.members.every(m => m.isSettled) || !this.#hasAll()) continue
      this.checkLog()
      this.#checkBalance()
      return round
    }
    if (this.isOver) return 0
    const { state } = this.world.group
    throw new Error(
      `after ${roundsMax} rounds the group is ${state}: ${JSON.stringify(this.#missing())}`,
    )
  }

  #isSubscribed({ subscribed: { names, pattern } }: SimMember, topic: string): boolean {
    return names.includes(topic) || (pattern !== '' && new RegExp(`^(?:${pattern})$`).test(topic))
  }

  #hasAll(): boolean {
    return this.#missing().length === 0
  }

  /** Partitions that should have a consumer and have not, and those that should not. */
  #missing(): string[] {
    const wrong = new Set(this.members.flatMap(m => [...m.owned]))
    const missing: string[] = []
    for (const { name, id, partitions } of this.world.topics.values()) {
      const subscribers = this.members.filter(m => this.#isSubscribed(m, name))
      for (let p = 0; p < partitions && subscribers.length > 0; p++) {
        if (subscribers.some(m => m.owned.has(`${id}:${p}`))) wrong.delete(`${id}:${p}`)
        else missing.push(`${name}:${p}`)
      }
    }
    return [...missing, ...[...wrong].map(one => `not ${one}`)]
  }

  #checkBalance(): void {
    const { members } = this
    const subscriptions = new Set(members.map(m => JSON.stringify(m.subscribed)))
    const isUniform = this.world.group.describe().assignorName === 'uniform'
    if (members.length === 0 || subscriptions.size > 1 || !isUniform) return
    const sizes = members.map(m => m.owned.size)
    const [least, most] = [Math.min(...sizes), Math.max(...sizes)]
    if (most - least > 1) throw new Error(`members have from ${least} to ${most} partitions`)
  }
}
