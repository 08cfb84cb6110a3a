import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { BrokerClock, Deadlines, type Timed } from '../../src/groups/clock.ts'

const test = suite('broker time and deadlines')

function clockAt() {
  const monotonic = { ms: 0 }
  return { monotonic, clock: new BrokerClock(() => monotonic.ms) }
}

const rethrow = (error: unknown): never => {
  throw error
}

class Alarm implements Timed {
  deadline: number
  readonly rung: number[] = []

  constructor(deadline: number) {
    this.deadline = deadline
  }

  onTime(now: number): void {
    this.rung.push(now)
    this.deadline = Number.POSITIVE_INFINITY
  }
}

test('broker time runs with the event loop and stands still with it', () => {
  const { monotonic, clock } = clockAt()
  for (let i = 0; i < 10; i++) {
    monotonic.ms += 100
    clock.now()
  }
  assert.is(clock.now(), 1_000)
  monotonic.ms += 60_000
  assert.is(clock.now(), 1_200, 'a stop of a minute counts as one step')
})

test('after a stop nothing expires until what came meanwhile has been read', () => {
  const { monotonic, clock } = clockAt()
  const deadlines = new Deadlines(clock, rethrow)
  const alarm = new Alarm(1_100)
  deadlines.watch(alarm)
  const tick = (ms: number, times = 1): void => {
    for (let i = 0; i < times; i++) {
      monotonic.ms += ms
      deadlines.tick()
    }
  }
  tick(100, 10)
  tick(60_000)
  assert.equal(alarm.rung, [])
  tick(100, 9)
  assert.equal(alarm.rung, [])
  tick(100, 2)
  assert.is(alarm.rung.length, 1)
  deadlines.close()
})

test('deadlines come in order, each once, and follow what they are put off to', () => {
  const { monotonic, clock } = clockAt()
  const deadlines = new Deadlines(clock, rethrow)
  const alarms = [500, 100, 300, 200, 400].map(at => new Alarm(at))
  const order: number[] = []
  for (const alarm of alarms) {
    const at = alarm.deadline
    const { onTime } = alarm
    alarm.onTime = now => {
      order.push(at)
      onTime.call(alarm, now)
    }
    deadlines.watch(alarm)
  }
  alarms[2]!.deadline = 700
  for (let i = 0; i < 12; i++) {
    monotonic.ms += 50
    deadlines.tick()
  }
  assert.equal(order, [100, 200, 400, 500])
  monotonic.ms += 100
  deadlines.tick()
  assert.equal(order, [100, 200, 400, 500, 300])
  for (const alarm of alarms) assert.is(alarm.rung.length, 1)
})

test('a deadline that becomes earlier is met when it is watched again; a forgotten one is not', () => {
  const { monotonic, clock } = clockAt()
  const deadlines = new Deadlines(clock, rethrow)
  const sooner = new Alarm(10_000)
  const forgotten = new Alarm(100)
  deadlines.watch(sooner)
  deadlines.watch(forgotten)
  sooner.deadline = 100
  deadlines.watch(sooner)
  deadlines.forget(forgotten)
  monotonic.ms += 150
  deadlines.tick()
  assert.is(sooner.rung.length, 1)
  assert.is(forgotten.rung.length, 0)
  deadlines.close()
})

test('a deadline is met within 10 ms or so, also one that comes while a later one is waited for', async () => {
  const awake = setInterval(() => {}, 1_000)
  const clock = new BrokerClock()
  const deadlines = new Deadlines(clock, rethrow)
  const late: number[] = []
  const alarm = (ms: number): Promise<void> =>
    new Promise(resolve => {
      const at = clock.now() + ms
      deadlines.watch({
        deadline: at,
        onTime(now) {
          late.push(now - at)
          this.deadline = Number.POSITIVE_INFINITY
          resolve()
        },
      } as Alarm)
    })
  const later = alarm(150)
  for (const ms of [130, 5, 95, 37, 61]) await alarm(ms)
  await later
  clearInterval(awake)
  deadlines.close()
  late.sort((a, b) => a - b)
  assert.ok(late[0]! >= 0 && late[3]! < 40, `late by ${late.map(Math.round)} ms`)
})

test('what one of them throws keeps no other from being called', () => {
  const { monotonic, clock } = clockAt()
  const errors: unknown[] = []
  const deadlines = new Deadlines(clock, error => errors.push(error))
  const [bad, good] = [new Alarm(100), new Alarm(110)]
  bad.onTime = () => {
    throw new Error('planted')
  }
  for (const alarm of [bad, good]) deadlines.watch(alarm)
  for (let i = 0; i < 5; i++) {
    monotonic.ms += 100
    deadlines.tick()
  }
  assert.is(good.rung.length, 1)
  assert.is(errors.length, 1, 'it is not called again and again')
  deadlines.close()
})

test.run()
