import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { collisionKey, isInternalTopic, topicNameProblem } from '../../src/topics/topic-names.ts'

const test = suite('topic names')

test('letters, digits, ".", "_" and "-" are taken, up to 249 of them', () => {
  for (const name of ['a', 'Orders.eu-1_x', '...', '-', '__consumer_offsets', 'x'.repeat(249)]) {
    assert.is(topicNameProblem(name), null, name)
  }
})

test('what Kafka refuses is refused with the reason', () => {
  assert.match(topicNameProblem('')!, /empty/)
  assert.match(topicNameProblem('.')!, /may not be named "\."/)
  assert.match(topicNameProblem('..')!, /may not be named "\.\."/)
  assert.match(topicNameProblem('x'.repeat(250))!, /250 characters, at most 249/)
  for (const name of ['a b', 'a/b', '../a', 'é', 'a\n', 'a\0', 'a:b', 'a\\b']) {
    assert.match(topicNameProblem(name)!, /may contain only/, JSON.stringify(name))
  }
})

test('names that differ only in "." and "_" collide', () => {
  assert.is(collisionKey('a.b_c'), collisionKey('a_b.c'))
  assert.is.not(collisionKey('a.b'), collisionKey('a-b'))
})

test('the topics in which brokers keep their state are internal, and only those', () => {
  assert.ok(isInternalTopic('__consumer_offsets'))
  assert.ok(isInternalTopic('__transaction_state'))
  assert.not.ok(isInternalTopic('__orders'))
  assert.not.ok(isInternalTopic('consumer_offsets'))
})

test.run()
