/**
 * An entry of a ring: a header of 20 little-endian words (80 bytes), then the payload, padded to 8 bytes.
 * The journal stores the entries of a group as they lie in the ring, so this is also a format on disk (docs/format.md).
 *
 *   word  bytes   name              filled by
 *   0     0-3     ENTRY_BYTES       producer: header + payload + padding
 *   1     4-7     ENTRY_KIND        producer: KIND_*
 *   2     8-11    ENTRY_HANDLE      main: number of the partition in its worker
 *   3     12-15   ENTRY_TOKEN       main: names the waiter of the answer
 *   4     16-19   ENTRY_PAYLOAD     producer: payload bytes
 *   5     20-23   ENTRY_ERROR       worker: Kafka error code of this entry, 0 if it was accepted
 *   6     24-27   ENTRY_PARTITION   main: partition index
 *   7     28-31   ENTRY_POSITION    worker: where in the segment file the batch starts (unsigned)
 *   8-11  32-47   ENTRY_TOPIC_ID    main: topic id, its 16 bytes
 *   12-13 48-55   ENTRY_BASE_OFFSET worker: first offset of the batch (float64)
 *   14-15 56-63   ENTRY_SEGMENT     worker: base offset of the segment it went to (float64)
 *   16-17 64-71   ENTRY_APPEND_TIME worker: LogAppendTime in ms, or -1 (float64)
 *   18    72-75   ENTRY_EPOCH       producer: leader epoch under which it was sent; of KIND_APPEND, to be written into the batch
 *   19    76-79   ENTRY_LAST_DELTA  main: version of the batch's transaction, 0 if it is of none; worker: last offset delta of the batch
 */
export const ENTRY_HEADER_BYTES = 80
export const ENTRY_ALIGN = 8

export const ENTRY_BYTES = 0
export const ENTRY_KIND = 1
export const ENTRY_HANDLE = 2
export const ENTRY_TOKEN = 3
export const ENTRY_PAYLOAD = 4
export const ENTRY_ERROR = 5
export const ENTRY_PARTITION = 6
export const ENTRY_POSITION = 7
export const ENTRY_TOPIC_ID = 8
export const ENTRY_EPOCH = 18
/** In a message to the main thread: 1 if the next entry of this kind continues it. */
export const ENTRY_MORE = 5
/** In a completion this word is the size of the batch instead. */
export const ENTRY_BATCH_BYTES = 18
export const ENTRY_LAST_DELTA = 19
export const ENTRY_TRANSACTION_VERSION = 19
/** Indexes of 8-byte words, for the Float64Array over the same memory. */
export const ENTRY_BASE_OFFSET_F64 = 6
export const ENTRY_SEGMENT_F64 = 7
export const ENTRY_APPEND_TIME_F64 = 8
/**
 * In a completion, where a request has its topic id: at which count of bytes its entry stands in the main thread's request
 * ring (`Ring.countAt`), -1 if it came by another one; and the leader epoch that the batch carries.
 */
export const ENTRY_COUNT_F64 = 4
export const ENTRY_BATCH_EPOCH = 10

/** Unused room at the end of the ring: the next entry starts at its beginning. */
export const KIND_PAD = 0
/** Main to worker: a record batch to append. Worker to main: the answer to it. */
export const KIND_APPEND = 1
/** Main to worker: a command, as JSON. Worker to main: its answer, as JSON. */
export const KIND_COMMAND = 2
/** Worker to main: something happened that nobody asked for (a partition went offline, segments were deleted), as JSON. */
export const KIND_EVENT = 3
/** Only in the journal: everything before this place of the segment is flushed. */
export const KIND_MARK = 4
/** Only where journals are read: a batch that is damaged there, and must be in its segment. */
export const KIND_DAMAGED = 5
/**
 * To a partition worker: a batch as its leader has it, with its offsets, for a log that follows. Once it is accepted it is
 * KIND_APPEND, which is what the journal and the main thread know.
 */
export const KIND_REPLICATE = 6
/** Main to worker: an append that other replicas wait for, to be told of by KIND_PLACED, too. Once it is accepted it is KIND_APPEND. */
export const KIND_APPEND_SHARED = 7
/** Worker to main: an append has its offset, and will be flushed; with the fields of a completion. */
export const KIND_PLACED = 8

/**
 * Worker to main: what readers of what is committed need to know of a partition: where its first open transaction begins
 * (ENTRY_BASE_OFFSET, Infinity if there is none), and how many bytes (ENTRY_POSITION) the index of aborted transactions of a segment (ENTRY_SEGMENT) has.
 * It comes before the completions of what it is about.
 */
export const KIND_STABILITY = 9

/** Bytes that an entry with this payload takes in a ring. */
export function entryBytes(payloadBytes: number): number {
  return (ENTRY_HEADER_BYTES + payloadBytes + ENTRY_ALIGN - 1) & -ENTRY_ALIGN
}
