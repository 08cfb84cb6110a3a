import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ClassicState } from '../../src/groups/classic/classic-state.ts'
import { ClassicMember } from '../../src/groups/classic/member.ts'
import { Membership } from '../../src/groups/classic/membership.ts'
import { Random, seeds } from '../lib/random.ts'
import { ClassicDriver, REBALANCE_MS, SESSION_MS } from './classic-driver.ts'
import { Member, Model } from './classic-members.ts'

const test = suite('classic groups at random')
const STEPS = 400
/** Rounds in which every member does one thing after another; a calm group is stable long before. */
const CALM_ROUNDS = 60

/** Members come, go, die, come back, change what they speak, give up waiting; the broker restarts. */
class Run {
  readonly #random: Random
  readonly driver: ClassicDriver
  readonly #model = new Model()
  #members: Member[] = []
  #statics = 0
  #generation = 0

  constructor(seed: number) {
    this.#random = new Random(seed)
    const initialRebalanceDelayMs = this.#random.pick([0, 0, 300])
    this.driver = new ClassicDriver({ initialRebalanceDelayMs })
  }

  storm(): void {
    for (let i = 0; i < STEPS; i++) {
      this.#disturb()
      for (const member of this.#members) if (this.#random.chance(0.7)) member.step(this.driver)
      this.driver.pass(this.#random.below(SESSION_MS / 5))
      const { generation, heldBytes } = this.driver.group
      assert.ok(heldBytes >= this.#saidBytes(), 'what members say is counted')
      assert.ok(generation >= this.#generation, 'generations never go back')
      this.#generation = generation
    }
  }

  #saidBytes(): number {
    return [...this.driver.group.members].reduce((sum, member) => sum + member.heldBytes, 0)
  }

  #disturb(): void {
    const random = this.#random
    const { group } = this.driver
    const any = this.#members.length > 0 ? random.pick(this.#members) : undefined
    const dice = random.next()
    if (this.#members.length < 8 && dice < 0.1) {
      const isStatic = random.chance(0.3)
      const instanceId = isStatic ? `static${this.#statics++ % 3}` : null
      this.#members.push(new Member(this.#model, random, instanceId))
    } else if (any !== undefined && dice < 0.13) {
      if (any.memberId !== '') group.leave(any.memberId, any.instanceId, null)
      this.#drop(any)
    } else if (any !== undefined && dice < 0.16) {
      this.#drop(any)
    } else if (any !== undefined && dice < 0.18) {
      any.reset()
    } else if (dice < 0.19) {
      this.restart()
    }
  }

  #drop(member: Member): void {
    this.#members = this.#members.filter(one => one !== member)
  }

  restart(): void {
    this.driver.group = this.driver.replayed()
    this.driver.group.loaded()
    this.#generation = this.driver.group.generation
    this.#model.restarted(this.#generation)
    for (const member of this.#members) member.reconnect()
  }

  /** Nobody comes or goes any more. */
  calm(): void {
    // Two members under one instance id fence each other for ever: one of them stays.
    const seen = new Set<string>()
    this.#members = this.#members.filter(({ instanceId }) => {
      if (instanceId === null) return true
      const isFirst = !seen.has(instanceId)
      seen.add(instanceId)
      return isFirst
    })
    for (let round = 0; round < CALM_ROUNDS; round++) {
      for (const member of this.#members) member.step(this.driver)
      this.driver.pass(Math.max(REBALANCE_MS, SESSION_MS) / 10)
    }
    for (let round = 0; round < CALM_ROUNDS && !this.#isSettled(); round++) {
      for (const member of this.#members) member.step(this.driver)
      this.driver.pass(REBALANCE_MS / 10)
    }
  }

  #isSettled(): boolean {
    return this.#members.every(member => member.isSettled)
  }

  check(): void {
    const { group } = this.driver
    if (this.#members.length === 0) return
    assert.ok(this.#isSettled(), `all are settled; the group is ${group.state}`)
    assert.is(group.state, 'Stable')
    assert.is(group.heldBytes, this.#saidBytes(), 'what has gone is not counted any more')
    assert.equal(
      [...group.members].map(member => member.memberId).sort(),
      this.#members.map(member => member.memberId).sort(),
    )
    for (const member of this.#members) assert.is(member.has, group.generation)
    assert.equal(
      this.driver.replayed().snapshot(),
      group.snapshot(),
      'the log has the group as it is',
    )
  }
}

function runAll(): void {
  for (const seed of seeds(1, 300)) {
    try {
      const run = new Run(seed)
      run.storm()
      run.calm()
      run.check()
    } catch (error) {
      const { message, details = '' } = error as Error & { details?: string }
      throw new Error(`SEED=${seed}: ${message} ${details}`, { cause: error })
    }
  }
}

test('whatever members do, what they are told fits together, and calm brings a stable group', () => {
  runAll()
})

/** Puts a bug in the place of a method or getter, and sees that the run finds it. */
function finds(prototype: object, name: string, bug: PropertyDescriptor): void {
  const original = Object.getOwnPropertyDescriptor(prototype, name)!
  Object.defineProperty(prototype, name, { ...original, ...bug })
  try {
    assert.throws(runAll)
  } finally {
    Object.defineProperty(prototype, name, original)
  }
}

test('planted: a rebalance ends before everybody has joined', () => {
  finds(Membership.prototype, 'haveAllJoined', { get: () => true })
})

test('planted: the generation is not counted', () => {
  const { nextGeneration } = ClassicState.prototype
  finds(ClassicState.prototype, 'nextGeneration', {
    value(this: ClassicState) {
      const before = this.generation
      nextGeneration.call(this)
      this.generation = Math.max(before, 1)
    },
  })
})

test('planted: a new assignment is not counted', () => {
  finds(Membership.prototype, 'assign', {
    value(member: ClassicMember, assignment: Buffer) {
      member.assignment = assignment
    },
  })
})

test('planted: the assignment is not in the record', () => {
  const { toRecord } = ClassicMember.prototype
  finds(ClassicMember.prototype, 'toRecord', {
    value(this: ClassicMember, protocol: string | null) {
      return { ...toRecord.call(this, protocol), assignment: Buffer.alloc(0) }
    },
  })
})

test.run()
