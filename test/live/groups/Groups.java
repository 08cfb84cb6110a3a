import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeSet;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.LinkedBlockingQueue;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.GroupListing;
import org.apache.kafka.clients.admin.MemberDescription;
import org.apache.kafka.clients.admin.MemberToRemove;
import org.apache.kafka.clients.admin.RemoveMembersFromConsumerGroupOptions;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** A member of a group and an admin of Kafka's own client, as member.ts asks. The argument is the address. */
public class Groups implements ConsumerRebalanceListener {
  private static final Duration POLL = Duration.ofMillis(50);
  private static final ObjectMapper JSON = new ObjectMapper();

  private final String address;
  private final Admin admin;
  private KafkaConsumer<byte[], byte[]> consumer;
  private String topic;
  private boolean isClassic;

  private Groups(String address) {
    this.address = address;
    admin = Admin.create(Map.of("bootstrap.servers", address));
  }

  public static void main(String[] args) throws Exception {
    Groups groups = new Groups(args[0]);
    BlockingQueue<Optional<String>> lines = new LinkedBlockingQueue<>();
    Thread reader = new Thread(() -> readLines(lines));
    reader.setDaemon(true);
    reader.start();
    while (true) {
      // A consumer is used by one thread only: calls are answered between two polls.
      boolean polls = groups.consumer != null;
      Optional<String> line = polls ? lines.poll() : lines.take();
      if (line == null) {
        groups.poll();
      } else if (line.isPresent()) {
        groups.answer(JSON.readTree(line.get()));
      } else {
        System.exit(0);
      }
    }
  }

  private static void readLines(BlockingQueue<Optional<String>> lines) {
    try (BufferedReader input = new BufferedReader(new InputStreamReader(System.in))) {
      input.lines().forEach(line -> lines.add(Optional.of(line)));
    } catch (IOException e) {
      System.err.println(e);
    }
    lines.add(Optional.empty());
  }

  private static void say(Map<String, ?> line) {
    try {
      System.out.println(JSON.writeValueAsString(line));
    } catch (IOException e) {
      throw new IllegalStateException(e);
    }
  }

  private void poll() {
    consumer.poll(POLL).forEach(r -> say(Map.of("record", List.of(r.partition(), r.offset()))));
  }

  private void answer(JsonNode call) {
    Map<String, Object> answer = new HashMap<>();
    answer.put("id", call.get("id").asInt());
    try {
      answer.put("result", run(call));
    } catch (ExecutionException e) {
      answer.put("error", e.getCause().toString());
    } catch (Exception e) {
      answer.put("error", e.toString());
    }
    say(answer);
  }

  private Object run(JsonNode call) throws Exception {
    String group = call.path("group").asText();
    return switch (call.get("call").asText()) {
      case "join" -> join(group, call);
      case "leave" -> leave();
      case "commit" -> commit(call);
      case "committed" -> committed(call);
      case "describe" -> describe(group);
      case "list" -> admin.listGroups().all().get().stream().map(GroupListing::groupId).toList();
      case "offsets" -> offsets(group, call.get("topic").asText());
      case "reset" -> reset(group, call);
      case "deleteOffsets" -> deleteOffsets(group, call);
      case "evict" -> evict(group, call.get("instance").asText());
      case "deleteGroup" -> admin.deleteConsumerGroups(List.of(group)).all().get();
      default -> throw new IllegalArgumentException(call.toString());
    };
  }

  private Object join(String group, JsonNode call) {
    topic = call.get("topic").asText();
    String protocol = call.get("protocol").asText();
    isClassic = protocol.equals("classic");
    Map<String, Object> config = new HashMap<>();
    config.put("bootstrap.servers", address);
    config.put("client.id", "java");
    config.put("group.id", group);
    config.put("group.protocol", protocol);
    config.put("auto.offset.reset", "earliest");
    config.put("enable.auto.commit", false);
    config.put("fetch.max.wait.ms", 100);
    if (isClassic) {
      config.put("session.timeout.ms", 6_000);
      config.put("heartbeat.interval.ms", 500);
    }
    if (call.hasNonNull("instance")) config.put("group.instance.id", call.get("instance").asText());
    var bytes = new ByteArrayDeserializer();
    consumer = new KafkaConsumer<>(config, bytes, bytes);
    consumer.subscribe(List.of(topic), this);
    return null;
  }

  @Override
  public void onPartitionsAssigned(Collection<TopicPartition> added) {
    tell(consumer.assignment());
  }

  /** Called before the partitions are taken away. */
  @Override
  public void onPartitionsRevoked(Collection<TopicPartition> removed) {
    Collection<TopicPartition> kept = new HashSet<>(consumer.assignment());
    kept.removeAll(removed);
    tell(kept);
  }

  private void tell(Collection<TopicPartition> owned) {
    Map<String, Object> line = new HashMap<>();
    line.put("assigned", new TreeSet<>(owned.stream().map(TopicPartition::partition).toList()));
    if (isClassic) line.put("generation", consumer.groupMetadata().generationId());
    say(line);
  }

  /** A member with an instance id stays in the group. */
  private Object leave() {
    consumer.close();
    consumer = null;
    return null;
  }

  private Object commit(JsonNode call) {
    consumer.commitSync(positions(topic, call, call.get("metadata").asText()));
    return null;
  }

  private Object committed(JsonNode call) {
    return byPartition(consumer.committed(partitions(topic, call)), topic);
  }

  private Object describe(String group) throws Exception {
    ConsumerGroupDescription found =
        admin.describeConsumerGroups(List.of(group)).describedGroups().get(group).get();
    List<Map<String, Object>> members = new ArrayList<>();
    for (MemberDescription member : found.members()) {
      var owned = member.assignment().topicPartitions();
      var partitions = owned.stream().map(TopicPartition::partition).toList();
      var instance = member.groupInstanceId().orElse("");
      members.add(Map.of("instance", instance, "partitions", partitions));
    }
    return Map.of("state", found.groupState().toString(), "members", members);
  }

  private Object offsets(String group, String of) throws Exception {
    return byPartition(
        admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get(), of);
  }

  private Object reset(String group, JsonNode call) throws Exception {
    var positions = positions(call.get("topic").asText(), call, "");
    return admin.alterConsumerGroupOffsets(group, positions).all().get();
  }

  private Object deleteOffsets(String group, JsonNode call) throws Exception {
    var partitions = partitions(call.get("topic").asText(), call);
    return admin.deleteConsumerGroupOffsets(group, partitions).all().get();
  }

  private Object evict(String group, String instance) throws Exception {
    var members = List.of(new MemberToRemove(instance));
    var options = new RemoveMembersFromConsumerGroupOptions(members);
    return admin.removeMembersFromConsumerGroup(group, options).all().get();
  }

  private static HashSet<TopicPartition> partitions(String topic, JsonNode call) {
    var found = new HashSet<TopicPartition>();
    call.get("partitions").forEach(p -> found.add(new TopicPartition(topic, p.asInt())));
    return found;
  }

  private static Map<TopicPartition, OffsetAndMetadata> positions(
      String topic, JsonNode call, String metadata) {
    Map<TopicPartition, OffsetAndMetadata> found = new HashMap<>();
    call.get("offsets")
        .properties()
        .forEach(
            entry ->
                found.put(
                    new TopicPartition(topic, Integer.parseInt(entry.getKey())),
                    new OffsetAndMetadata(entry.getValue().asLong(), metadata)));
    return found;
  }

  private static Map<String, List<Object>> byPartition(
      Map<TopicPartition, OffsetAndMetadata> offsets, String topic) {
    Map<String, List<Object>> found = new HashMap<>();
    offsets.forEach(
        (at, seen) -> {
          if (!at.topic().equals(topic) || seen == null) return;
          found.put(String.valueOf(at.partition()), List.of(seen.offset(), seen.metadata()));
        });
    return found;
  }
}
