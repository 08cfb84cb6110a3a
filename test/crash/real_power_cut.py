"""Load and check for real-power-cut.ts with librdkafka: knows nothing of the broker but its address.

load ADDRESS TOPIC PARTITIONS FIRST LEDGER: produces until it is killed. A line of the ledger is one acknowledged record:
partition, offset, key and sequence; sequences count up from FIRST, over all keys.
check ADDRESS TOPIC PARTITIONS plain|compacted LEDGER: reads all and prints what is missing or wrong, one line each.
"""
import sys
from confluent_kafka import Consumer, Producer, TopicPartition, KafkaException

KEYS = 200
# How far the first sequences of two loads are apart: real-power-cut.ts.
STEP = 10_000_000


def load(address, topic, partitions, first, path):
    ledger = open(path, "a", buffering=1)
    producer = Producer({
        "bootstrap.servers": address, "enable.idempotence": True, "linger.ms": 1,
        "message.timeout.ms": 5000, "log_level": 0,
        # In turn small batches, which go through a journal, and large ones, which are flushed in their segments.
        "batch.num.messages": 20 if first // STEP % 2 == 0 else 10000,
    })

    def acknowledged(error, message):
        if error is None:
            key, sequence = message.key().decode(), message.value().split(b" ", 1)[0].decode()
            ledger.write(f"{message.partition()} {message.offset()} {key} {sequence}\n")
            if int(sequence) == first:
                print("acknowledged", flush=True)

    sequence = first
    while True:
        key = f"k{sequence % KEYS}"
        value = f"{sequence} " + "x" * (sequence % 900)
        try:
            # One partition a key, so that the order of a key's records is known.
            producer.produce(topic, value, key, sequence % KEYS % partitions, callback=acknowledged)
            sequence += 1
        except BufferError:
            producer.poll(0.01)
        producer.poll(0)


def read_all(address, topic, partitions):
    consumer = Consumer({"bootstrap.servers": address, "group.id": "check", "log_level": 0, "fetch.wait.max.ms": 10})
    parts = [TopicPartition(topic, p, 0) for p in range(partitions)]
    ends = {p.partition: consumer.get_watermark_offsets(p, timeout=20)[1] for p in parts}
    consumer.assign(parts)
    left = {p for p, end in ends.items() if end > 0}
    while left:
        message = consumer.poll(10)
        if message is None:
            # Compaction may leave nothing to read in front of the end.
            if all(consumer.position([TopicPartition(topic, p)])[0].offset >= ends[p] for p in left):
                break
            raise SystemExit(f"nothing more comes of partitions {sorted(left)}")
        if message.error():
            raise KafkaException(message.error())
        sequence = int(message.value().split(b" ", 1)[0])
        if len(message.value()) != len(str(sequence)) + 1 + sequence % 900:
            print(f"{topic}-{message.partition()} at {message.offset()}: not what was sent")
        yield message.partition(), message.offset(), message.key().decode(), sequence
        done = consumer.position([TopicPartition(topic, p) for p in left])
        left -= {p.partition for p in done if p.offset >= ends[p.partition]}
    consumer.close()


def check(address, topic, partitions, kind, path):
    there, newest = {}, {}
    for partition, offset, key, sequence in read_all(address, topic, partitions):
        there[(partition, offset)] = (key, sequence)
        if newest.get(key, -1) > sequence:
            print(f"{key}: {sequence} comes behind {newest[key]}")
        newest[key] = sequence
    lines = [line.split() for line in open(path) if line.endswith("\n")]
    wanted = {}
    for partition, offset, key, sequence in lines:
        wanted[key] = max(wanted.get(key, -1), int(sequence))
        if kind == "plain" and there.get((int(partition), int(offset))) != (key, int(sequence)):
            print(f"partition {partition} at {offset}: {key} {sequence} was acknowledged, there is {there.get((int(partition), int(offset)))}")
    for key, sequence in wanted.items():
        if newest.get(key, -1) < sequence:
            print(f"{key}: {sequence} was acknowledged, the newest is {newest.get(key)}")
    print(f"checked {len(lines)}", flush=True)


mode, address, topic, partitions, what, path = sys.argv[1:]
if mode == "load":
    load(address, topic, int(partitions), int(what), path)
else:
    check(address, topic, int(partitions), what, path)
