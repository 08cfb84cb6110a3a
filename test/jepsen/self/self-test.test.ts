import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ARE_FEW, Random, seeds } from '../../lib/random.ts'
import { type Anomaly, check, FAILING } from '../check.ts'
import { ALLOWED, FAULTY } from './faulty.ts'
import { PLANTS } from './planted.ts'
import { SimulatedRun } from './simulated.ts'

const STEPS = 400
/** Histories that each anomaly is planted in, where they have a place for it. */
const PLANTED = 40

const test = suite('the checker of histories')

test('each anomaly is found in a history that has nothing else wrong, by its own name', () => {
  for (const name of FAILING) assert.equal(Object.keys(check(FAULTY[name]).failing), [name], name)
})

test('what may be is allowed', () => {
  for (const [what, history] of Object.entries(ALLOWED)) {
    assert.equal(check(history).failing, {}, what)
  }
  assert.equal(Object.keys(check(ALLOWED['a group moves on and back']!).allowed), [
    'poll-skip of subscribers',
    'nonmonotonic-poll of subscribers',
  ])
  const between = ALLOWED['writes of two transactions between each other']!
  assert.equal(Object.keys(check(between).allowed), ['int-send-skip', 'G0'])
})

test('a lost write of which only the acknowledgement is known is lost and unseen', () => {
  const withoutTheLastReader = FAULTY['int-poll-skip'].slice(0, -2)
  const { failing } = check(withoutTheLastReader)
  assert.equal(Object.keys(failing), ['lost-write', 'unseen', 'int-poll-skip'])
})

test('histories of a log that does everything right have nothing wrong', () => {
  const count = { sends: 0, infos: 0, failures: 0, recordsRead: 0 }
  for (const seed of seeds(1, 1_000)) {
    const { failing, metrics } = check(new SimulatedRun(new Random(seed), STEPS).events)
    assert.equal(failing, {}, `SEED=${seed}`)
    count.sends += metrics.sends.ok
    count.infos += metrics.sends.info + metrics.polls.info
    count.failures += metrics.sends.fail + metrics.polls.fail
    count.recordsRead += metrics.recordsRead
  }
  for (const [what, times] of Object.entries(count)) assert.ok(times > 0, what)
})

test('what is planted in them is found', () => {
  const rows = Object.entries(PLANTS) as [Anomaly, (typeof PLANTS)[Anomaly]][]
  for (const [name, plant] of rows) {
    let planted = 0
    for (const seed of seeds(1, PLANTED)) {
      const random = new Random(seed)
      const events = plant(new SimulatedRun(random, STEPS).events, random)
      if (events === null) continue
      planted++
      const { failing } = check(events)
      assert.ok(name in failing, `${name}, SEED=${seed}: ${Object.keys(failing)}`)
    }
    assert.ok(ARE_FEW || planted > PLANTED / 4, `${name} has a place in ${planted} only`)
  }
})

test.run()
