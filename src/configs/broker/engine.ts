import { availableParallelism } from 'node:os'
import { boolean, type Definition, int, string } from '../definition.ts'

/** What a ring's words can count. */
export const RING_BYTES_MAX = 1 << 30

const powerOfTwo = (standard: number, min: number, documentation: string): Definition<number> => {
  const bytes = int(standard, { min, max: RING_BYTES_MAX }, documentation)
  return {
    ...bytes,
    allowed: `a power of two from ${min} to ${RING_BYTES_MAX}`,
    parse(text) {
      const value = bytes.parse(text)
      return value !== undefined && (value & (value - 1)) === 0 ? value : undefined
    },
  }
}

/** Odradek's own. */
export const engine = {
  'odradek.partition.workers': int(
    Math.max(1, availableParallelism() - 1),
    { min: 1, max: 256 },
    'Threads that own partitions and write them; the default is one less than there are cores, at least 1.',
  ),
  'odradek.ring.bytes': powerOfTwo(
    33_554_432,
    1_048_576,
    'Bytes of the ring between the main thread and each partition worker; it must hold two of the largest batches. Where it is not set it is as large as message.max.bytes (at most socket.request.max.bytes) asks for.',
  ),
  'odradek.metadata': string(
    null,
    'Where the metadata of a cluster is: etcd://host:2379,host:2379/prefix; etcds:// with TLS. Unset: the broker is alone, and keeps its own.',
  ),
  'odradek.replace.node': boolean(
    false,
    'Whether this data folder takes the place of the one that had this node.id in the cluster, whose replicas count as lost.',
  ),
  'odradek.accept.restored.metadata': boolean(
    false,
    'Whether this broker starts though the metadata of its cluster is older than what it has seen of it: etcd was restored from a backup. Leaders and in-sync replicas are those of then, and may lack what was acknowledged since.',
  ),
  'odradek.open.files': int(
    null,
    { min: 64 },
    'Log files open at once; those used longest ago are closed. Unset: half of what the system allows a process, at most 50000.',
  ),
  'odradek.journal.bytes': int(
    33_554_432,
    { min: 1_048_576, max: 1 << 30 },
    'Bytes of each of the preallocated journal files of a partition worker.',
  ),
}
