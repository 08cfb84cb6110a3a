"""librdkafka (confluent-kafka) as workers.ts asks: a thread with an admin, a producer and a consumer for each process."""

import json
import queue
import sys
import threading

from confluent_kafka import OFFSET_BEGINNING, OFFSET_STORED, Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

POLL_S = 0.1
READS_MAX = 500
SEND_S_MAX = 15

created = set()
speaking = threading.Lock()


def say(answer):
    with speaking:
        print(json.dumps(answer), flush=True)


class Process:
    def __init__(self, number):
        self.number = number
        self.queue = queue.Queue()
        self.rebalanced = set()
        self.places = {}
        self.is_subscribed = False
        self.sent = 0
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        asked = {"f": "open"}
        while asked["f"] != "close":
            asked = self.queue.get()
            answer = {"process": self.number}
            try:
                getattr(self, asked["f"])(asked, answer)
            except KafkaException as e:
                error = e.args[0]
                answer.update(error=error.name(), text=error.str())
            except Exception as e:
                answer.update(error=type(e).__name__, text=str(e))
            answer["rebalanced"] = sorted(self.rebalanced)
            self.rebalanced.clear()
            say(answer)

    def open(self, asked, _):
        common = {
            "bootstrap.servers": asked["bootstrap"],
            "reconnect.backoff.max.ms": 1000,
            "topic.metadata.refresh.interval.ms": 3000,
            "socket.timeout.ms": 10000,
            "log_level": 0,
        }
        self.admin = AdminClient(common)
        produce = {"acks": "all", "enable.idempotence": True, "retries": 1000, "delivery.timeout.ms": 10000}
        self.producer = Producer({**common, **produce, "request.timeout.ms": 3000, "linger.ms": 0})
        consume = {
            "group.id": asked["group"],
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
            "allow.auto.create.topics": False,
            # As Java's consumer does by default.
            "check.crcs": True,
            "isolation.level": "read_committed",
            "session.timeout.ms": 6000,
            "heartbeat.interval.ms": 300,
        }
        self.consumer = Consumer({**common, **consume})

    def assign(self, asked, _):
        """Who is read already goes on; others begin where the group has committed, or at the beginning."""
        partitions = [tuple(one) for one in asked["partitions"]]
        is_from_start = asked.get("seekToBeginning", False)
        before = {} if is_from_start else self.places
        other = OFFSET_BEGINNING if is_from_start else OFFSET_STORED
        self.places = {at: before[at] for at in partitions if at in before}
        self.consumer.assign([TopicPartition(*at, self.places.get(at, other)) for at in partitions])

    def subscribe(self, asked, _):
        def moved(_, partitions):
            self.rebalanced.update((one.topic, one.partition) for one in partitions)

        topics = sorted({topic for topic, _ in asked["partitions"]})
        self.consumer.subscribe(topics, on_assign=moved, on_revoke=moved, on_lost=moved)
        self.is_subscribed = True

    def send(self, asked, answer):
        try:
            self.create(asked["topic"])
        except Exception:
            answer["nothingSent"] = True
            raise
        outcome = []
        key = self.sent.to_bytes(8, "big")
        self.sent += 1
        value = asked["value"].to_bytes(8, "big")
        where = {"partition": asked["partition"], "on_delivery": lambda *what: outcome.append(what)}
        self.producer.produce(asked["topic"], value, key, **where)
        self.producer.flush(SEND_S_MAX)
        if not outcome:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        error, message = outcome[0]
        if error is not None:
            raise KafkaException(error)
        answer["offset"] = message.offset()

    def create(self, topic):
        if topic in created:
            return
        new = NewTopic(topic, num_partitions=2, replication_factor=3)
        try:
            self.admin.create_topics([new], operation_timeout=10, request_timeout=10)[topic].result()
        except KafkaException as e:
            if e.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
        created.add(topic)

    def poll(self, _, answer):
        """What a poll has got stays known when it fails; the next one gets it again."""
        reads = answer["reads"] = []
        starts = {}
        ends = {}
        failure = None
        for message in self.consumer.consume(READS_MAX, POLL_S):
            if message.error():
                failure = message.error()
                continue
            at = (message.topic(), message.partition())
            reads.append([*at, message.offset(), int.from_bytes(message.value(), "big")])
            starts.setdefault(at, message.offset())
            ends[at] = message.offset() + 1
        try:
            if failure is not None:
                raise KafkaException(failure)
            if self.is_subscribed and ends:
                self.consumer.commit(offsets=[TopicPartition(*at, end) for at, end in ends.items()], asynchronous=False)
        except KafkaException:
            mine = {(one.topic, one.partition) for one in self.consumer.assignment()}
            for at, start in starts.items():
                if at in mine:
                    self.consumer.seek(TopicPartition(*at, start))
            raise
        self.places.update(ends)

    def close(self, _, __):
        self.producer.purge()
        self.consumer.close()


processes = {}
for line in sys.stdin:
    asked = json.loads(line)
    if asked["f"] == "open":
        processes[asked["process"]] = Process(asked["process"])
    processes[asked["process"]].queue.put(asked)
    if asked["f"] == "close":
        del processes[asked["process"]]
