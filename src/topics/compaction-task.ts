import * as fs from 'node:fs'
import { setPriority } from 'node:os'
import { performance } from 'node:perf_hooks'
import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads'
import {
  type CleanedSegment,
  type CompactionPlan,
  type CompactionResult,
  Compactor,
  type Pace,
} from '../storage/compaction/compactor.ts'
import { removeCleaned, swapIn } from '../storage/compaction/swap.ts'
import { realFileSystem } from '../storage/fs.ts'
import { loadSnapshot } from '../storage/learning.ts'
import type { Producer } from '../storage/producer-state.ts'

/** What a task thread is to compact; `port` is its line to the main thread. */
export interface CompactionJob {
  readonly plan: Omit<CompactionPlan, 'producers'>
  /** Read and written together, in bytes a second; infinite for as fast as it goes. */
  readonly bytesPerSecond: number
  /** After a flush the thread rests so many times as long as the flush took. */
  readonly flushRest: number
  readonly port: MessagePort
}

/**
 * What is said on the line. The task says which segment is ready, and waits for leave to swap it in; it says that it has, and
 * waits for leave to go on. The main thread may say `stop` at any time.
 */
export type FromMain = 'go' | 'stop'
export type FromTask = CleanedSegment | 'swapped'

/** Between the main thread and the disk, others come first: of the thread alone, on Linux. */
const NICE = 10
/** After so long at work the thread rests, and for how long, in ms. */
const WORK_MS = 1
const REST_MS = 1
/** A longer wait is cut into pieces, between which the line is looked at; in ms. */
const WAIT_MS_MAX = 100

class Stopped extends Error {
  override readonly name = 'Stopped'
}

/** Entry in a task thread. @returns null if it was told to stop */
export async function compact(job: CompactionJob): Promise<CompactionResult | null> {
  const { plan, port } = job
  yieldToOthers()
  const files = realFileSystem
  const line = new Line(port)
  try {
    const pace = new Pacer(job, line)
    const run = new Compactor(files, { ...plan, producers: producersOf(plan.dir) }, pace).run()
    for (;;) {
      const step = await run.next()
      if (step.done) return step.value
      await line.ask(step.value)
      swapIn(files, plan.dir, step.value, plan.firstDirtyOffset)
      await line.ask('swapped')
    }
  } catch (error) {
    if (error instanceof Stopped) return null
    throw error
  } finally {
    port.close()
    if (files.exists(plan.dir)) removeCleaned(files, plan.dir)
  }
}

/** As of the newest snapshot, which is taken when a segment is closed: those that came since have their batches behind it. */
function producersOf(dir: string): CompactionPlan['producers'] {
  const { producers } = loadSnapshot(realFileSystem, dir).state
  const lastOf = ([id, { epoch, batches }]: [number, Producer]) =>
    [id, { epoch, lastOffset: batches.at(-1)?.lastOffset ?? -1 }] as const
  return new Map([...producers].map(lastOf))
}

/** The task's end of the line. */
class Line {
  readonly #port: MessagePort
  #isStopped = false
  #go: (() => void) | null = null

  constructor(port: MessagePort) {
    this.#port = port
    port.on('message', (message: FromMain) => this.#take(message))
  }

  #take(message: FromMain): void {
    if (message === 'stop') this.#isStopped = true
    this.#go?.()
  }

  /** Says something and waits for leave to go on. @throws Stopped */
  async ask(message: FromTask): Promise<void> {
    const answered = new Promise<void>(resolve => {
      this.#go = resolve
    })
    this.#port.postMessage(message)
    if (!this.#isStopped) await answered
    this.#go = null
    this.#throwIfStopped()
  }

  /** Also in the middle of work that never lets the event loop turn. */
  look(): void {
    const received = receiveMessageOnPort(this.#port)
    if (received !== undefined) this.#take(received.message as FromMain)
    this.#throwIfStopped()
  }

  #throwIfStopped(): void {
    if (this.#isStopped) throw new Stopped()
  }
}

/**
 * Keeps to a rate, rests often, and looks whether to stop. A thread that runs on without rest would make others wait for
 * their turn on the processor, and flushes one after the other for their turn on the disk, for milliseconds each time.
 */
class Pacer implements Pace {
  readonly #bytesPerSecond: number
  readonly #flushRest: number
  readonly #line: Line
  readonly #sleeper = new Int32Array(new SharedArrayBuffer(4))
  readonly #started = performance.now()
  #resumed = this.#started
  #bytes = 0

  constructor({ bytesPerSecond, flushRest }: CompactionJob, line: Line) {
    this.#bytesPerSecond = bytesPerSecond
    this.#flushRest = flushRest
    this.#line = line
  }

  spent(bytes: number): void {
    this.#bytes += bytes
    const now = performance.now()
    if (now - this.#resumed < WORK_MS) return
    const early = (this.#bytes / this.#bytesPerSecond) * 1000 - (now - this.#started)
    this.#rest(Math.max(early, REST_MS))
  }

  flush(action: () => void): void {
    const started = performance.now()
    action()
    this.#rest(this.#flushRest * (performance.now() - started))
  }

  #rest(ms: number): void {
    this.#line.look()
    for (let left = ms; left > 0; left -= WAIT_MS_MAX) {
      Atomics.wait(this.#sleeper, 0, 0, Math.min(left, WAIT_MS_MAX))
      this.#line.look()
    }
    this.#resumed = performance.now()
  }
}

function yieldToOthers(): void {
  const self = '/proc/thread-self'
  if (!fs.existsSync(self)) return
  setPriority(Number(fs.readlinkSync(self).split('/').at(-1)), NICE)
}
