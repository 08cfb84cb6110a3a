/**
 * A process of its own that sends mutated requests: `mutator.ts PORT SEED FROM COUNT TRAFFIC [CONNECTIONS]`. The seed and
 * its number make a request, whatever the others are. Prints a line when it begins, and what came of them in the end.
 */
import { readFileSync } from 'node:fs'
import { Random } from '../lib/random.ts'
import { mutated, type Surroundings } from './mutate.ts'
import { Peer } from './peer.ts'

/** A request is given up then: it waits for something, or has no answer. */
const ANSWER_MS_MAX = 250
const CONNECTIONS = 16

const [port, seed, from, count, path, connections = CONNECTIONS] = process.argv.slice(2)
const traffic = readFileSync(path!, 'utf8')
  .split('\n')
  .filter(line => line !== '')
  .map(line => Buffer.from(line, 'base64'))
const around: Surroundings = { traffic, names: namesIn(traffic) }

/** What looks like a name of something: what was said of one request may be said in another. */
function namesIn(frames: readonly Buffer[]): Buffer[] {
  const found = new Set<string>()
  for (const frame of frames) {
    for (const [name] of frame.toString('latin1').matchAll(/[\w.-]{3,40}/g)) found.add(name)
  }
  return [...found].map(name => Buffer.from(name, 'latin1'))
}

const outcomes = { answered: 0, closed: 0, unanswered: 0 }
let next = Number(from)
const end = next + Number(count)

async function send(peer: Peer, frame: Buffer): Promise<void> {
  const answers = peer.answers + 1
  peer.push(frame)
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<void>(resolve => {
    timer = setTimeout(resolve, ANSWER_MS_MAX)
  })
  await Promise.race([peer.until(answers), late])
  clearTimeout(timer)
  if (peer.answers >= answers) outcomes.answered++
  else if (peer.isClosed) outcomes.closed++
  else {
    outcomes.unanswered++
    peer.close()
  }
}

async function work(): Promise<void> {
  let peer: Peer | null = null
  while (next < end) {
    const frame = mutated(new Random(Number(seed) * 1_000_003 + next++), around)
    if (peer === null || peer.isClosed) {
      // It may have ended its half only.
      peer?.close()
      peer = (await Peer.connect(Number(port))).read()
    }
    await send(peer, frame)
  }
  peer?.close()
}

console.log('attacking')
await Promise.all(Array.from({ length: Number(connections) }, work))
console.error(JSON.stringify(outcomes))
