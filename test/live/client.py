"""A confluent-kafka producer and consumer against the broker named on the command line.

Writes 100 records with each codec to a topic of its own, idempotently, reads them back by assign(), checks keys, values,
headers, offsets and watermarks. At last it lists all topics. Prints "ok" at the end.
"""

import sys
import time

from confluent_kafka import Consumer, OFFSET_BEGINNING, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

RECORDS = 100
SECONDS_MAX = 30


def produce(broker, topic, codec):
    failures = []
    settings = {
        "bootstrap.servers": broker,
        "enable.idempotence": True,
        "compression.type": codec,
    }
    producer = Producer(settings)
    for i in range(RECORDS):
        producer.produce(
            topic,
            key=str(i),
            value=f"{topic} record {i}",
            headers={"n": str(i)},
            partition=0,
            on_delivery=lambda error, message: failures.append(error) if error else None,
        )
    assert producer.flush(SECONDS_MAX) == 0, "not everything was acknowledged"
    assert not failures, failures


def consume(broker, topic):
    settings = {"bootstrap.servers": broker, "group.id": "unused", "enable.auto.commit": False}
    consumer = Consumer(settings)
    consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    assert consumer.get_watermark_offsets(TopicPartition(topic, 0), SECONDS_MAX) == (0, RECORDS)
    deadline = time.monotonic() + SECONDS_MAX
    offset = 0
    while offset < RECORDS:
        assert time.monotonic() < deadline, f"only {offset} records came"
        message = consumer.poll(1)
        if message is None:
            continue
        assert message.error() is None, message.error()
        assert message.offset() == offset, message.offset()
        assert message.value().decode() == f"{topic} record {offset}"
        assert message.headers() == [("n", str(offset).encode())]
        offset += 1
    consumer.close()


def main(broker):
    admin = AdminClient({"bootstrap.servers": broker})
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"]:
        topic = f"python-{codec}"
        admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(SECONDS_MAX)
        produce(broker, topic, codec)
        consume(broker, topic)
        assert topic in admin.list_topics(timeout=SECONDS_MAX).topics
    print("ok")


main(sys.argv[1])
