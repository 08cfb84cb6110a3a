"""librdkafka (confluent-kafka) as program.ts asks, with its defaults but for idempotence: five minutes to deliver."""

import sys
import threading
import time

from confluent_kafka import Consumer, Producer

is_over = threading.Event()


def await_end_of_input():
    sys.stdin.read()
    is_over.set()


def now():
    """Milliseconds of a clock that only goes forward."""
    return time.monotonic() * 1000


def say(message, latency):
    value = message.value().decode()
    print(f"{value} {message.partition()} {message.offset()} {now():.1f} {latency:.1f}", flush=True)


def fail(error):
    print("error", str(error).replace("\n", " "), flush=True)


def produce(settings, topic, partitions, rate):
    producer = Producer({**settings, "enable.idempotence": True})

    def delivered(sent):
        return lambda error, message: fail(error) if error else say(message, now() - sent)

    start = now()
    sent = 0
    while not is_over.is_set():
        while sent < (now() - start) * rate / 1000:
            on_delivery = delivered(now())
            producer.produce(topic, f"librdkafka-{sent}", partition=sent % partitions, on_delivery=on_delivery)
            sent += 1
        producer.poll(0.005)
    producer.flush()


def consume(settings, topic, group):
    consumer = Consumer({**settings, "group.id": group, "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    while not is_over.is_set():
        message = consumer.poll(0.1)
        if message is None:
            continue
        if message.error():
            fail(message.error())
        else:
            say(message, 0)
    consumer.close()


threading.Thread(target=await_end_of_input, daemon=True).start()
role, bootstrap, request_ms, topic, *rest = sys.argv[1:]
settings = {"bootstrap.servers": bootstrap}
if request_ms != "0":
    settings["socket.timeout.ms"] = int(request_ms)
if role == "produce":
    produce(settings, topic, *map(int, rest))
else:
    consume(settings, topic, *rest)
