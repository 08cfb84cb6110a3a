import type { Bench } from './harness.ts'
import { commands } from './macro/commands.ts'
import { compaction } from './macro/compaction.ts'
import { connections } from './macro/connections.ts'
import { fetch } from './macro/fetch.ts'
import { partitions } from './macro/partitions.ts'
import { produce } from './macro/produce.ts'
import { codec } from './micro/codec.ts'
import { crc } from './micro/crc32c.ts'
import { ring } from './micro/ring.ts'
import { segment } from './micro/segment.ts'

/** Every bench, by name. */
export const benches: Readonly<Record<string, Bench>> = {
  codec,
  crc,
  ring,
  segment,
  produce,
  fetch,
  compaction,
  partitions,
  connections,
  commands,
}
