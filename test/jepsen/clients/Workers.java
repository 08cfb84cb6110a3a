import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.LinkedBlockingQueue;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.serialization.LongDeserializer;
import org.apache.kafka.common.serialization.LongSerializer;

/** kafka-clients as workers.ts asks: a thread with an admin, a producer and a consumer for each process. */
public class Workers {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final Duration POLL = Duration.ofMillis(100);
  private static final Set<String> created = ConcurrentHashMap.newKeySet();

  public static void main(String[] args) throws Exception {
    Map<Integer, BlockingQueue<JsonNode>> queues = new HashMap<>();
    var input = new BufferedReader(new InputStreamReader(System.in));
    for (String line = input.readLine(); line != null; line = input.readLine()) {
      JsonNode asked = JSON.readTree(line);
      int process = asked.get("process").asInt();
      if (asked.get("f").asText().equals("open")) {
        BlockingQueue<JsonNode> queue = new LinkedBlockingQueue<>();
        queues.put(process, queue);
        Thread thread = new Thread(() -> new Process(process, queue).run(), "process-" + process);
        thread.setDaemon(true);
        thread.start();
      }
      queues.get(process).add(asked);
      if (asked.get("f").asText().equals("close")) queues.remove(process);
    }
    System.exit(0);
  }

  private static synchronized void say(ObjectNode answer) {
    System.out.println(answer);
  }

  private static class Process implements ConsumerRebalanceListener {
    final int number;
    final BlockingQueue<JsonNode> queue;
    final Set<TopicPartition> rebalanced = new HashSet<>();
    Admin admin;
    KafkaProducer<Long, Long> producer;
    KafkaConsumer<Long, Long> consumer;
    boolean isSubscribed;
    long sent;

    Process(int number, BlockingQueue<JsonNode> queue) {
      this.number = number;
      this.queue = queue;
    }

    void run() {
      for (boolean isOpen = true; isOpen; ) {
        ObjectNode answer = JSON.createObjectNode().put("process", number);
        try {
          JsonNode asked = queue.take();
          isOpen = !asked.get("f").asText().equals("close");
          carryOut(asked, answer);
        } catch (ExecutionException e) {
          fail(answer, e.getCause());
        } catch (Exception e) {
          fail(answer, e);
        }
        ArrayNode moved = answer.putArray("rebalanced");
        for (var partition : rebalanced) moved.addArray().add(partition.topic()).add(partition.partition());
        rebalanced.clear();
        say(answer);
      }
    }

    void fail(ObjectNode answer, Throwable error) {
      answer.put("error", error.getClass().getSimpleName()).put("text", String.valueOf(error.getMessage()));
    }

    void carryOut(JsonNode asked, ObjectNode answer) throws Exception {
      switch (asked.get("f").asText()) {
        case "open" -> open(asked.get("bootstrap").asText(), asked.get("group").asText());
        case "assign" -> assign(partitionsOf(asked), asked.path("seekToBeginning").asBoolean());
        case "subscribe" -> {
          Set<String> topics = new HashSet<>();
          for (var partition : partitionsOf(asked)) topics.add(partition.topic());
          consumer.subscribe(topics, this);
          isSubscribed = true;
        }
        case "send" -> send(asked, answer);
        case "poll" -> poll(answer);
        default -> close();
      }
    }

    static List<TopicPartition> partitionsOf(JsonNode asked) {
      List<TopicPartition> found = new ArrayList<>();
      for (var one : asked.get("partitions")) found.add(new TopicPartition(one.get(0).asText(), one.get(1).asInt()));
      return found;
    }

    void open(String bootstrap, String group) {
      Map<String, Object> common = new HashMap<>();
      common.put("bootstrap.servers", bootstrap);
      common.put("reconnect.backoff.max.ms", 1_000);
      common.put("metadata.max.age.ms", 3_000);
      common.put("default.api.timeout.ms", 10_000);
      common.put("request.timeout.ms", 3_000);
      admin = Admin.create(common);
      Map<String, Object> produce = new HashMap<>(common);
      produce.remove("default.api.timeout.ms");
      produce.put("acks", "all");
      produce.put("enable.idempotence", true);
      produce.put("retries", 1_000);
      produce.put("delivery.timeout.ms", 10_000);
      produce.put("max.block.ms", 10_000);
      producer = new KafkaProducer<>(produce, new LongSerializer(), new LongSerializer());
      Map<String, Object> consume = new HashMap<>(common);
      consume.put("group.id", group);
      consume.put("enable.auto.commit", false);
      consume.put("auto.offset.reset", "earliest");
      consume.put("allow.auto.create.topics", false);
      consume.put("isolation.level", "read_committed");
      consume.put("session.timeout.ms", 6_000);
      consume.put("heartbeat.interval.ms", 300);
      consumer = new KafkaConsumer<>(consume, new LongDeserializer(), new LongDeserializer());
    }

    void assign(List<TopicPartition> partitions, boolean isFromStart) {
      consumer.assign(partitions);
      if (isFromStart) consumer.seekToBeginning(partitions);
    }

    void send(JsonNode asked, ObjectNode answer) throws Exception {
      String topic = asked.get("topic").asText();
      try {
        create(topic);
      } catch (Exception e) {
        answer.put("nothingSent", true);
        throw e;
      }
      var record = new ProducerRecord<>(topic, asked.get("partition").asInt(), sent++, asked.get("value").asLong());
      answer.put("offset", producer.send(record).get().offset());
    }

    void create(String topic) throws Exception {
      if (created.contains(topic)) return;
      try {
        admin.createTopics(List.of(new NewTopic(topic, 2, (short) 3))).all().get();
      } catch (ExecutionException e) {
        if (!(e.getCause() instanceof TopicExistsException)) throw e;
      }
      created.add(topic);
    }

    /** What a poll has got stays known when its commit fails; the next one gets it again. */
    void poll(ObjectNode answer) {
      var reads = answer.putArray("reads");
      Map<TopicPartition, OffsetAndMetadata> ends = new HashMap<>();
      Map<TopicPartition, Long> starts = new HashMap<>();
      for (var record : consumer.poll(POLL)) {
        var at = new TopicPartition(record.topic(), record.partition());
        reads.addArray().add(at.topic()).add(at.partition()).add(record.offset()).add(record.value());
        starts.putIfAbsent(at, record.offset());
        ends.put(at, new OffsetAndMetadata(record.offset() + 1));
      }
      if (!isSubscribed || ends.isEmpty()) return;
      try {
        consumer.commitSync(ends);
      } catch (RuntimeException e) {
        starts.keySet().retainAll(consumer.assignment());
        starts.forEach(consumer::seek);
        throw e;
      }
    }

    void close() {
      producer.close(Duration.ZERO);
      consumer.close(Duration.ZERO);
      admin.close(Duration.ZERO);
    }

    @Override
    public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
      rebalanced.addAll(partitions);
    }

    @Override
    public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
      rebalanced.addAll(partitions);
    }
  }
}
