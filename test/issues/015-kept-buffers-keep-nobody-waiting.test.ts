import { once } from 'node:events'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Wire } from '../apis/wire.ts'
import { Bytes, frame } from '../attack/bytes.ts'
import { Peer } from '../attack/peer.ts'

/** More connections than requests of a mebibyte fit into memory at once: each is read in its turn, none waits for ever. */
const CONNECTIONS = 60
const MEMORY = '16777216'

const test = suite('buffers that connections keep keep nobody waiting')

test('large requests on more connections than memory has room for are all answered', async () => {
  const wire = await Wire.start({ queuedMaxRequestBytes: MEMORY } as never)
  try {
    const { port } = wire.node.endpoint('PLAINTEXT')
    // Answered at once: this member is not there.
    const unknown = new Bytes()
      .string('g')
      .i32(6_000)
      .i32(6_000)
      .string('nobody')
      .string('consumer')
    unknown.i32(1).string('range').bytes(Buffer.alloc(1_000_000, 7))
    const peers = await Promise.all(
      Array.from({ length: CONNECTIONS }, async () => (await Peer.connect(port)).read()),
    )
    for (let round = 1; round <= 2; round++) {
      for (const peer of peers) peer.push(frame(11, 1, unknown, false))
      await Promise.all(peers.map(peer => peer.until(round)))
      assert.ok(peers.every(peer => !peer.isClosed && peer.answers === round))
    }
    for (const peer of peers) {
      const closed = once(peer.socket, 'close')
      peer.close()
      await closed
    }
  } finally {
    await wire.close()
  }
})

test.run()
