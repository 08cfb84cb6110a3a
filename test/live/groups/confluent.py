"""A confluent-kafka (librdkafka) member of a group and an admin, as member.ts asks. The argument is the address."""

import sys

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient

from calls import by_partition, say, serve

SECONDS_MAX = 20
NO_OFFSET = -1001


class Program:
    def __init__(self, address):
        self.address = address
        self.admin = AdminClient({"bootstrap.servers": address})
        self.consumer = None
        self.topic = None

    @property
    def polls(self):
        return self.consumer is not None

    def poll(self, seconds):
        message = self.consumer.poll(seconds)
        if message is None:
            return
        if message.error():
            print(message.error(), file=sys.stderr, flush=True)
        else:
            say({"record": [message.partition(), message.offset()]})

    def join(self, group, topic, protocol, instance):
        settings = {
            "bootstrap.servers": self.address,
            "client.id": "confluent",
            "group.id": group,
            "group.protocol": protocol,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "fetch.wait.max.ms": 100,
        }
        if protocol == "classic":
            # Cooperative, since Java's members take the eager way.
            strategy = "cooperative-sticky"
            classic = {"session.timeout.ms": 6000, "heartbeat.interval.ms": 500}
            settings |= classic | {"partition.assignment.strategy": strategy}
        if instance is not None:
            settings["group.instance.id"] = instance
        self.topic = topic
        self.consumer = Consumer(settings)
        owned = set()

        def tell(change):
            def on_change(consumer, partitions):
                change({each.partition for each in partitions})
                say({"assigned": sorted(owned)})

            return on_change

        self.consumer.subscribe(
            [topic],
            on_assign=tell(owned.update),
            on_revoke=tell(owned.difference_update),
            on_lost=tell(owned.difference_update),
        )

    def leave(self):
        self.consumer.close()
        self.consumer = None

    def commit(self, offsets, metadata):
        wanted = [
            TopicPartition(self.topic, partition, offset, metadata)
            for partition, offset in by_partition(offsets).items()
        ]
        for result in self.consumer.commit(offsets=wanted, asynchronous=False):
            if result.error:
                raise RuntimeError(result.error)

    def committed(self, partitions):
        wanted = [TopicPartition(self.topic, partition) for partition in partitions]
        return known(self.consumer.committed(wanted, SECONDS_MAX))

    def describe(self, group):
        described = self.admin.describe_consumer_groups([group])[group].result(SECONDS_MAX)
        members = [
            {
                "instance": member.group_instance_id or "",
                "partitions": [each.partition for each in member.assignment.topic_partitions],
            }
            for member in described.members
        ]
        return {"state": described.state.name, "members": members}

    def list(self):
        return [each.group_id for each in self.admin.list_consumer_groups().result(SECONDS_MAX).valid]

    def offsets(self, group, topic):
        request = [ConsumerGroupTopicPartitions(group)]
        result = self.admin.list_consumer_group_offsets(request)[group].result(SECONDS_MAX)
        return known(each for each in result.topic_partitions if each.topic == topic)

    def reset(self, group, topic, offsets):
        partitions = [
            TopicPartition(topic, partition, offset)
            for partition, offset in by_partition(offsets).items()
        ]
        request = [ConsumerGroupTopicPartitions(group, partitions)]
        result = self.admin.alter_consumer_group_offsets(request)[group].result(SECONDS_MAX)
        for each in result.topic_partitions:
            if each.error:
                raise RuntimeError(each.error)

    def deleteGroup(self, group):
        self.admin.delete_consumer_groups([group])[group].result(SECONDS_MAX)


def known(partitions):
    return {
        each.partition: [each.offset, each.metadata or ""]
        for each in partitions
        if each.offset != NO_OFFSET
    }


serve(Program(sys.argv[1]))
