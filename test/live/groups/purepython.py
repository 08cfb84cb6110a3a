"""An aiokafka member of a group and a kafka-python admin, as member.ts asks. The argument is the broker's address.

The admin of aiokafka has only half of the calls; the consumer of kafka-python (3.0.12) can hang: a join that outlives
its poll() is forgotten when the metadata that it was for arrives in between.
"""

import asyncio
import json
import sys

import aiokafka
from kafka import KafkaAdminClient, OffsetAndMetadata, TopicPartition
from kafka.admin import MemberToRemove

from calls import by_partition, say

POLL_MS = 100


class Tell(aiokafka.ConsumerRebalanceListener):
    """Says what the consumer owns; its assignors are eager: everything is revoked and assigned again."""

    def on_partitions_revoked(self, revoked):
        pass

    def on_partitions_assigned(self, assigned):
        say({"assigned": sorted(each.partition for each in assigned)})


class Program:
    def __init__(self, address):
        self.address = address
        self.admin = KafkaAdminClient(bootstrap_servers=address)
        self.consumer = None
        self.reading = None
        self.topic = None

    async def join(self, group, topic, protocol, instance):
        assert protocol == "classic"
        self.topic = topic
        self.consumer = aiokafka.AIOKafkaConsumer(
            bootstrap_servers=self.address,
            client_id="aiokafka",
            group_id=group,
            group_instance_id=instance,
            session_timeout_ms=6000,
            heartbeat_interval_ms=500,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            fetch_max_wait_ms=100,
        )
        self.consumer.subscribe([topic], listener=Tell())
        await self.consumer.start()
        self.reading = asyncio.create_task(self.read())

    async def read(self):
        while True:
            for records in (await self.consumer.getmany(timeout_ms=POLL_MS)).values():
                for record in records:
                    say({"record": [record.partition, record.offset]})

    async def leave(self):
        self.reading.cancel()
        await self.consumer.stop()

    async def commit(self, offsets, metadata):
        wanted = by_partition(offsets).items()
        at = aiokafka.TopicPartition
        await self.consumer.commit({at(self.topic, p): (offset, metadata) for p, offset in wanted})

    async def describe(self, group):
        described = (await asyncio.to_thread(self.admin.describe_groups, [group]))[group]
        if described["error"]:
            raise RuntimeError(described["error"])
        members = [
            {"instance": member["group_instance_id"] or "", "partitions": partitions_of(member)}
            for member in described["members"]
        ]
        return {"state": described["group_state"], "members": members}

    async def list(self):
        return [group["group_id"] for group in await asyncio.to_thread(self.admin.list_groups)]

    async def offsets(self, group, topic):
        found = (await asyncio.to_thread(self.admin.list_group_offsets, {group: None}))[group]
        return {at.partition: [seen.offset, seen.metadata] for at, seen in found.items() if at.topic == topic}

    async def reset(self, group, topic, offsets):
        wanted = {
            TopicPartition(topic, partition): OffsetAndMetadata(offset, "", -1)
            for partition, offset in by_partition(offsets).items()
        }
        await self.ask(self.admin.alter_group_offsets, group, wanted)

    async def deleteOffsets(self, group, topic, partitions):
        every = [TopicPartition(topic, partition) for partition in partitions]
        await self.ask(self.admin.delete_group_offsets, group, every)

    async def evict(self, group, instance):
        await self.ask(self.admin.remove_group_members, group, [MemberToRemove(group_instance_id=instance)])

    async def deleteGroup(self, group):
        await self.ask(self.admin.delete_groups, [group])

    async def ask(self, function, *args):
        """For those that answer with an error for each thing."""
        for what, error in (await asyncio.to_thread(function, *args)).items():
            if getattr(error, "errno", error) != 0 and error != "OK":
                raise RuntimeError(f"{what}: {error}")


def partitions_of(member):
    assignment = member["member_assignment"]
    assigned = assignment["assigned_partitions"] if assignment else []
    return [partition for topic in assigned for partition in topic["partitions"]]


async def answer(program, line):
    call = {key: value for key, value in line.items() if key not in ("id", "call")}
    try:
        say({"id": line["id"], "result": await getattr(program, line["call"])(**call)})
    except Exception as error:
        say({"id": line["id"], "error": f"{type(error).__name__} {error}"})


async def main():
    program = Program(sys.argv[1])
    while line := await asyncio.to_thread(sys.stdin.readline):
        await answer(program, json.loads(line))


asyncio.run(main())
