import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  ENTRY_BASE_OFFSET_F64,
  ENTRY_EPOCH,
  ENTRY_HANDLE,
  ENTRY_HEADER_BYTES,
  ENTRY_KIND,
  ENTRY_PARTITION,
  ENTRY_PAYLOAD,
  ENTRY_TOKEN,
  ENTRY_TOPIC_ID,
  KIND_APPEND,
  KIND_COMMAND,
  KIND_EVENT,
} from '../../src/shared/entry.ts'
import { COMPLETION_SLEEP } from '../../src/shared/layout.ts'
import { Ring } from '../../src/shared/ring.ts'
import { wake } from '../../src/shared/signal.ts'
import type { CommandMessage } from '../../src/storage/commands.ts'
import { CompletionWriter } from '../../src/storage/completion-writer.ts'
import { type AppendTarget, CommandFailed, WorkerLink } from '../../src/topics/worker-link.ts'

const RING_BYTES = 4096
const TARGET: AppendTarget = {
  handle: 3,
  index: 5,
  topicIdWords: Int32Array.of(1, 2, 3, 4),
  leaderEpoch: 6,
  hasFollowers: false,
}
const test = suite('worker link')
/** What has been woken has run by then: the task for it comes with one of the next turns of the loop. */
async function nextTurn(): Promise<void> {
  for (let i = 0; i < 3; i++) await new Promise(resolve => setImmediate(resolve))
}

/** The other end of a link, in this thread: takes what waits and answers when told to. */
class FakeWorker {
  readonly link = new WorkerLink(RING_BYTES)
  readonly requests = new Ring(this.link.memory, 'request')
  readonly #completions = new CompletionWriter(new Ring(this.link.memory, 'completion'), () => {
    throw new Error('the completion ring is full')
  })
  readonly commands: CommandMessage[] = []
  nextOffset = 100

  /** Handles everything that is published; commands are answered by `answer`. */
  handle(answer: (command: CommandMessage) => object = () => ({ response: null })): void {
    const { requests } = this
    for (let at = requests.next(); at !== -1; at = requests.next()) {
      const word = at >> 2
      if (requests.words[word + ENTRY_KIND] === KIND_APPEND) {
        requests.doubles[(at >> 3) + ENTRY_BASE_OFFSET_F64] = this.nextOffset++
        this.#completions.complete(requests, at, true)
        continue
      }
      const start = at + ENTRY_HEADER_BYTES
      const end = start + requests.words[word + ENTRY_PAYLOAD]!
      const command = JSON.parse(requests.bytes.toString('utf8', start, end)) as CommandMessage
      this.commands.push(command)
      this.#completions.send(
        KIND_COMMAND,
        requests.words[word + ENTRY_TOKEN]!,
        answer(command) as { response: unknown },
      )
    }
    requests.release()
    this.publish()
  }

  event(handle: number, reason: string): void {
    this.#completions.send(KIND_EVENT, 0, { event: 'offline', handle, reason, stack: null })
    this.publish()
  }

  publish(): void {
    this.#completions.publish()
    wake(this.requests.control, COMPLETION_SLEEP)
  }
}

/** Notes what it is told, as `slot offset` or `slot lost`. */
class Waiter {
  readonly told: string[] = []

  onAppended(slot: number, completions: Ring, at: number): void {
    this.told.push(`${slot} ${completions.doubles[(at >> 3) + ENTRY_BASE_OFFSET_F64]}`)
  }

  onWorkerLost(slot: number): void {
    this.told.push(`${slot} lost`)
  }
}

/** Leaves no room for even the smallest command. */
function fill(link: WorkerLink): void {
  for (const bytes of [400, 8]) while (link.append(TARGET, Buffer.alloc(bytes), null, 0));
}

const rejection = (promise: Promise<unknown>): Promise<Error> =>
  promise.then(
    () => Promise.reject(new Error('it was resolved')),
    (error: Error) => error,
  )

test('an append reaches the worker with all it needs to know', async () => {
  const { link, requests } = new FakeWorker()
  const batch = Buffer.from('the batch')
  assert.ok(link.append(TARGET, batch, null, 0))
  batch.fill(0) // copied: the caller's buffer is its own again
  assert.is(requests.next(), -1, 'published at the end of the turn, not before')
  await nextTurn()
  const at = requests.next()
  const words = requests.words.subarray(at >> 2)
  assert.is(words[ENTRY_HANDLE], 3)
  assert.is(words[ENTRY_PARTITION], 5)
  assert.is(words[ENTRY_EPOCH], 6)
  assert.is(words[ENTRY_TOKEN], 0)
  assert.equal([...words.subarray(ENTRY_TOPIC_ID, ENTRY_TOPIC_ID + 4)], [1, 2, 3, 4])
  const start = at + ENTRY_HEADER_BYTES
  assert.is(requests.bytes.toString('utf8', start, start + words[ENTRY_PAYLOAD]!), 'the batch')
  link.lose(new Error('the test is over'))
})

test('every waiter is told once, with its own slot, in order', async () => {
  const worker = new FakeWorker()
  const { link } = worker
  const waiter = new Waiter()
  let completions = 0
  link.onCompletion = () => completions++
  for (const round of [0, 10]) {
    for (let slot = round; slot < round + 3; slot++) {
      assert.ok(link.append(TARGET, Buffer.alloc(8), waiter, slot))
      assert.ok(link.append(TARGET, Buffer.alloc(8), null, 99), 'acks=0: nobody waits')
    }
    await nextTurn()
    worker.handle()
    await nextTurn()
  }
  assert.equal(waiter.told, ['0 100', '1 102', '2 104', '10 106', '11 108', '12 110'])
  assert.is(completions, 12)
  link.lose(new Error('the test is over'))
})

test('a full ring takes nothing more, and says when there is room again', async () => {
  const worker = new FakeWorker()
  const { link } = worker
  const waiter = new Waiter()
  let slot = 0
  while (link.append(TARGET, Buffer.alloc(400), waiter, slot)) slot++
  assert.is(slot, Math.floor(RING_BYTES / 480))
  let hasRoom = false
  const room = link.space().then(() => {
    hasRoom = true
  })
  await nextTurn()
  assert.not.ok(hasRoom)
  assert.not.ok(link.append(TARGET, Buffer.alloc(400), waiter, slot), 'still full')
  worker.handle()
  await room
  assert.is(waiter.told.length, slot)
  assert.ok(link.append(TARGET, Buffer.alloc(400), waiter, slot))
  await nextTurn()
  worker.handle()
  await nextTurn()
  assert.is(waiter.told.at(-1), `${slot} ${100 + slot}`)
  link.lose(new Error('the test is over'))
})

test('a command that finds the ring full waits for its place', async () => {
  const worker = new FakeWorker()
  const { link } = worker
  fill(link)
  const answer = link.command('producers', { handle: 1 })
  await nextTurn()
  worker.handle()
  await nextTurn()
  assert.equal(worker.commands, [])
  worker.handle(() => ({ response: { producers: [] } }))
  assert.equal(await answer, { producers: [] })
  link.lose(new Error('the test is over'))
})

test('commands get their own answers, even long ones, and refusals with their kind', async () => {
  const worker = new FakeWorker()
  const { link } = worker
  const long = 'x'.repeat(600_000)
  const first = link.command('open', { partitions: [], recovering: true, deleted: [] })
  const second = rejection(link.command('delete', { handles: [1] }))
  await nextTurn()
  worker.handle(({ name }) =>
    name === 'open'
      ? { response: { views: [], notes: [long] } }
      : { error: 'no such log', kind: 'CorruptLog' },
  )
  assert.equal(await first, { views: [], notes: [long] })
  const error = await second
  assert.instance(error, CommandFailed)
  assert.is(error.message, 'no such log')
  assert.is((error as CommandFailed).kind, 'CorruptLog')
  link.lose(new Error('the test is over'))
})

test('a partition that goes offline is told without being asked', async () => {
  const worker = new FakeWorker()
  const told = new Promise<unknown>(resolve => {
    worker.link.onOffline = resolve
  })
  worker.event(7, 'EIO')
  assert.equal(await told, { event: 'offline', handle: 7, reason: 'EIO', stack: null })
  worker.link.lose(new Error('the test is over'))
})

test('a lost worker: what it had completed is reported, all else is told that it is lost', async () => {
  const worker = new FakeWorker()
  const { link } = worker
  const waiter = new Waiter()
  link.append(TARGET, Buffer.alloc(8), waiter, 1)
  await nextTurn()
  worker.handle()
  link.append(TARGET, Buffer.alloc(8), waiter, 2)
  const command = rejection(link.command('close', {}))
  const room = link.space()
  const lost = new Error('the thread has ended')
  link.lose(lost)
  assert.equal(waiter.told, ['1 100', '2 lost'])
  assert.is(await command, lost)
  await room
  assert.ok(link.isLost)
  assert.is(await rejection(link.command('close', {})), lost)
  link.lose(new Error('again'))
  assert.equal(waiter.told, ['1 100', '2 lost'], 'nobody is told twice')
})

test('a command that waits for room is rejected when the worker is lost', async () => {
  const { link } = new FakeWorker()
  fill(link)
  const command = rejection(link.command('close', {}))
  const lost = new Error('the thread has ended')
  link.lose(lost)
  assert.is(await command, lost)
})

test.run()
