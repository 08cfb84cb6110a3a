import { bomb } from './batch.ts'
import { Bytes, frame } from './bytes.ts'
import { Peer } from './peer.ts'

/** What an attack may use: all of it is over when it returns. */
export interface Target {
  readonly port: number
  /** Ends the attack. */
  readonly signal: AbortSignal
}

/** One client's worst, again and again until the signal. Named after what it asks for. */
export type Attack = (target: Target) => Promise<void>

/** Topics that are there before an attack: made by `prepare`. */
export const TOPIC = 'target'
export const COMPACTED = 'compacted'
export const PARTITIONS = 50

const PRODUCE = 0
const FETCH = 1
const METADATA = 3
const OFFSET_COMMIT = 8
const JOIN_GROUP = 11
const LIST_GROUPS = 16
const CREATE_TOPICS = 19
const INIT_PRODUCER_ID = 22
const DESCRIBE_LOG_DIRS = 35
const DESCRIBE_CONFIGS = 32
const INCREMENTAL_ALTER_CONFIGS = 44
const DESCRIBE_PRODUCERS = 61
const DESCRIBE_TOPIC_PARTITIONS = 75

/** Metadata 1: topics by name. */
export const metadata = (names: Bytes, count: number): Buffer =>
  frame(METADATA, 1, new Bytes().i32(count).raw(names.done()), false)

/** Metadata 4 that makes no topics. */
const allTopics = (): Buffer => frame(METADATA, 4, new Bytes().i32(-1).i8(0), false)

/** CreateTopics 4. */
export const createTopic = (name: string, partitions: number, configs: [string, string][] = []) =>
  frame(
    CREATE_TOPICS,
    4,
    new Bytes()
      .i32(1)
      .string(name)
      .i32(partitions)
      .i16(1)
      .i32(0)
      .i32(configs.length)
      .repeat(configs.length, (b, i) => b.string(configs[i]![0]).string(configs[i]![1]), false)
      .i32(30_000)
      .i8(0),
    false,
  )

/** Runs `work` on so many connections at once, each until the signal. */
async function onEach(
  { port, signal }: Target,
  connections: number,
  work: (peer: Peer, index: number) => Promise<void>,
): Promise<void> {
  const peers: Peer[] = []
  signal.addEventListener('abort', () => {
    for (const peer of peers) peer.close()
  })
  const run = async (index: number): Promise<void> => {
    while (!signal.aborted) {
      const peer = await Peer.connect(port)
      peers.push(peer)
      if (signal.aborted) peer.close()
      await work(peer, index)
      peer.close()
    }
  }
  await Promise.all(Array.from({ length: connections }, (_, i) => run(i)))
}

/** Sends one request, waits for its answer, and sends it again. */
const again =
  (request: () => Buffer, connections = 1): Attack =>
  async target => {
    const bytes = request()
    await onEach(target, connections, async peer => {
      peer.read()
      for (let sent = 1; !target.signal.aborted && !peer.isClosed; sent++) {
        peer.push(bytes)
        await peer.until(sent)
      }
    })
  }

/** Sends as many requests as are taken, and reads no answer. */
const unread =
  (request: () => Buffer, connections: number, each: number): Attack =>
  async target => {
    const bytes = Buffer.alloc(request().length * each, request())
    await onEach(target, connections, async peer => {
      peer.push(bytes)
      await new Promise<void>(resolve => {
        peer.socket.on('close', () => resolve())
        target.signal.addEventListener('abort', () => resolve())
      })
    })
  }

/** Fetch 7; `partitions` of one topic from an index on. */
function fetch(session: number, epoch: number, topics: Bytes, count: number, maxWaitMs = 0) {
  const body = new Bytes()
    .i32(-1)
    .i32(maxWaitMs)
    .i32(1)
    .i32(1 << 20)
    .i8(0)
  body.i32(session).i32(epoch).i32(count).raw(topics.done()).i32(0)
  return frame(FETCH, 7, body, false)
}

const partitionsToFetch = (count: number, from = 0): Bytes =>
  new Bytes()
    .string(TOPIC)
    .i32(count)
    .repeat(
      count,
      (b, i) =>
        b
          .i32(from + i)
          .i64(0)
          .i64(0)
          .i32(1 << 20),
      false,
    )

/** Produce 3. */
export function produce(topic: string, batches: readonly Buffer[]): Buffer {
  const body = new Bytes().string(null).i16(-1).i32(30_000).i32(1).string(topic)
  body.i32(batches.length)
  for (const [i, bytes] of batches.entries()) body.i32(i).bytes(bytes)
  return frame(PRODUCE, 3, body, false)
}

/** JoinGroup 1 with one protocol. */
function join(group: string, metadataBytes: number): Buffer {
  const body = new Bytes().string(group).i32(30_000).i32(300_000).string('').string('consumer')
  body.i32(1).string('range').bytes(Buffer.alloc(metadataBytes, 7))
  return frame(JOIN_GROUP, 1, body, false)
}

/** JoinGroup 1 with very many protocols. */
function joinWith(group: string, protocols: number): Buffer {
  const body = new Bytes().string(group).i32(30_000).i32(300_000).string('').string('consumer')
  body.i32(protocols).repeat(protocols, b => b.string('r').i32(0))
  return frame(JOIN_GROUP, 1, body, false)
}

const LONG = Buffer.alloc(32_767, 'x')

export const attacks: Readonly<Record<string, Attack>> = {
  'one topic 190,000 times in Metadata': again(() =>
    metadata(
      new Bytes().repeat(190_000, b => b.string(TOPIC)),
      190_000,
    ),
  ),
  '190,000 names in Metadata': again(() =>
    frame(
      METADATA,
      4,
      new Bytes()
        .i32(190_000)
        .repeat(190_000, b => b.string(''))
        .i8(0),
      false,
    ),
  ),
  'all topics, 2,000 times on 8 connections, unread': unread(allTopics, 8, 2_000),
  'ListGroups 256 times on 8 connections, unread': unread(
    () => frame(LIST_GROUPS, 2, new Bytes(), false),
    8,
    256,
  ),
  'one topic 60,000 times in DescribeLogDirs': again(() =>
    frame(
      DESCRIBE_LOG_DIRS,
      1,
      new Bytes().i32(60_000).repeat(60_000, b => b.string(TOPIC).i32(1).i32(0)),
      false,
    ),
  ),
  'one partition 20,000 times in DescribeProducers': again(() =>
    frame(
      DESCRIBE_PRODUCERS,
      0,
      new Bytes()
        .uvarint(2)
        .compact(TOPIC)
        .uvarint(20_001)
        .repeat(20_000, b => b.i32(0))
        .uvarint(0)
        .uvarint(0),
      true,
    ),
  ),
  '20 gzip bombs of 60 MiB in one Produce to a compacted topic': again(() => {
    const one = bomb(60 * 1024 * 1024)
    return produce(
      COMPACTED,
      Array.from({ length: 20 }, () => one),
    )
  }),
  '40 fetch sessions of 100,000 partitions': async target => {
    const request = fetch(0, 0, partitionsToFetch(100_000), 1)
    await onEach(target, 4, async peer => {
      peer.read()
      for (let i = 1; i <= 10 && !peer.isClosed; i++) {
        peer.push(request)
        await peer.until(i)
      }
    })
  },
  'a Fetch that never ends and 60 of 190,000 empty topics behind it': async target => {
    const waiting = fetch(0, -1, partitionsToFetch(1), 1, 2 ** 31 - 1)
    const empty = fetch(
      0,
      -1,
      new Bytes().repeat(190_000, b => b.string('').i32(0)),
      190_000,
    )
    await onEach(target, 1, async peer => {
      peer.read().push(waiting)
      for (let i = 0; i < 60; i++) peer.push(empty)
      await peer.until(61)
    })
  },
  '1,400 incremental fetches in one write': async target => {
    await onEach(target, 1, async peer => {
      peer.read()
      let session = 0
      peer.socket.once('data', chunk => {
        session = chunk.readInt32BE(4 + 4 + 4 + 2)
      })
      peer.push(fetch(0, 0, partitionsToFetch(90_000), 1))
      await peer.until(1)
      const all = Array.from({ length: 1_400 }, (_, i) => fetch(session, i + 1, new Bytes(), 0))
      peer.push(Buffer.concat(all))
      await peer.until(1_401)
    })
  },
  // Without a rest between them they are held against what two cores can copy, not against the broker.
  '8 JoinGroups of 5 MB': async target => {
    await onEach(target, 8, async (peer, i) => {
      peer.read()
      peer.push(join(`big-${i}-${Math.random()}`, 5_000_000))
      await new Promise(resolve => setTimeout(resolve, 500))
    })
  },
  'JoinGroups of 190,000 protocols': async target => {
    await onEach(target, 4, async (peer, i) => {
      peer.read()
      peer.push(joinWith(`many-${i}-${Math.random()}`, 190_000))
      await Promise.race([peer.until(1), new Promise(resolve => setTimeout(resolve, 3_000))])
    })
  },
  'joins of 1 MB that are left alone': async target => {
    await onEach(target, 4, async (peer, i) => {
      for (let n = 0; n < 50 && !peer.isClosed; n++) {
        await peer.send(join(`left-${i}-${n}-${Math.random()}`, 1_000_000))
      }
      await new Promise(resolve => setTimeout(resolve, 500))
    })
  },
  'new names in Metadata, 5,000 at a time': async target => {
    let round = 0
    await onEach(target, 1, async peer => {
      peer.read()
      const names = new Bytes().repeat(
        5_000,
        (b, i) => b.string(`new-${process.pid}-${round}-${i}`),
        false,
      )
      round++
      peer.push(metadata(names, 5_000))
      await peer.until(1)
    })
  },
  '190,000 commits to one partition': again(() =>
    frame(
      OFFSET_COMMIT,
      2,
      new Bytes()
        .string('committer')
        .i32(-1)
        .string('')
        .i64(-1)
        .i32(1)
        .string(TOPIC)
        .i32(190_000)
        .repeat(190_000, b => b.i32(0).i64(1).string(null)),
      false,
    ),
  ),
  'commits of one group after another, all new': async target => {
    let n = 0
    const one = (): Buffer => {
      const body = new Bytes().string(`new-${process.pid}-${n++}`).i32(-1).string('').i64(-1)
      body.i32(1).string(TOPIC).i32(1).i32(0).i64(5).string('')
      return frame(OFFSET_COMMIT, 2, body, false)
    }
    await onEach(target, 4, async peer => {
      peer.read()
      for (let sent = 200; !target.signal.aborted && !peer.isClosed; sent += 200) {
        peer.push(Buffer.concat(Array.from({ length: 200 }, one)))
        await peer.until(sent)
      }
    })
  },
  '190,000 empty partitions in Produce': again(() =>
    frame(
      PRODUCE,
      3,
      new Bytes()
        .string(null)
        .i16(-1)
        .i32(1_000)
        .i32(1)
        .string(TOPIC)
        .i32(190_000)
        .repeat(190_000, b => b.i32(0).i32(-1)),
      false,
    ),
  ),
  '190,000 names in DescribeTopicPartitions': again(() =>
    frame(
      DESCRIBE_TOPIC_PARTITIONS,
      0,
      new Bytes()
        .uvarint(190_001)
        .repeat(190_000, (b, i) => b.compact(`t${(i * 7919) % 1_000_003}`).uvarint(0), false)
        .i32(2_000)
        .i8(-1)
        .uvarint(0),
      true,
    ),
  ),
  'a config appended to again and again': async target => {
    let n = 0
    await onEach(target, 1, async peer => {
      peer.read()
      for (let sent = 1; !peer.isClosed && sent <= 20; sent++) {
        const values = Array.from({ length: 5_000 }, () => `v${n++}`).join(',')
        peer.push(
          frame(
            INCREMENTAL_ALTER_CONFIGS,
            0,
            new Bytes()
              .i32(1)
              .i8(4)
              .string('1')
              .i32(1)
              .string('log.cleanup.policy')
              .i8(2)
              .string(values.slice(0, 32_000))
              .i8(0),
            false,
          ),
        )
        await peer.until(sent)
      }
    })
  },
  'all configs of one topic and one broker, unread': unread(
    () =>
      frame(
        DESCRIBE_CONFIGS,
        1,
        new Bytes().i32(2).i8(2).string(TOPIC).i32(-1).i8(4).string('1').i32(-1).i8(1),
        false,
      ),
    8,
    256,
  ),
  'half frames of 90 MiB on 100 connections': async target => {
    const half = Buffer.concat([new Bytes().i32(90 * 1024 * 1024).done(), Buffer.alloc(6 << 20)])
    await onEach(target, 100, async peer => {
      peer.push(half)
      await new Promise(resolve => setTimeout(resolve, 5_000))
    })
  },
  'the longest strings everywhere': again(
    () =>
      Buffer.concat([
        metadata(new Bytes().string(LONG), 1),
        frame(INIT_PRODUCER_ID, 0, new Bytes().string(LONG).i32(1), false),
        frame(DESCRIBE_CONFIGS, 1, new Bytes().i32(1).i8(2).string(LONG).i32(-1).i8(1), false),
        createTopic(LONG.toString(), 1),
      ]),
    4,
  ),
  'a flood of pings on 100 connections': async target => {
    const one = frame(18, 0, new Bytes(), false)
    const many = Buffer.alloc(one.length * 200, one)
    await onEach(target, 100, async peer => {
      peer.read()
      for (let sent = 200; !target.signal.aborted && !peer.isClosed; sent += 200) {
        peer.push(many)
        await peer.until(sent)
      }
    })
  },
}
