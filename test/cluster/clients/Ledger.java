import java.io.IOException;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** kafka-clients as program.ts asks, with its defaults: idempotent, acks=all, two minutes to deliver. */
public class Ledger {
  private static final Duration POLL = Duration.ofMillis(100);
  private static volatile boolean isOver;

  public static void main(String[] args) throws Exception {
    Thread input = new Thread(Ledger::awaitEndOfInput);
    input.setDaemon(true);
    input.start();
    Map<String, Object> config = new HashMap<>();
    config.put("bootstrap.servers", args[1]);
    int requestMs = Integer.parseInt(args[2]);
    if (requestMs > 0) config.put("request.timeout.ms", requestMs);
    if (args[0].equals("produce")) {
      produce(config, args[3], Integer.parseInt(args[4]), Integer.parseInt(args[5]));
    } else {
      consume(config, args[3], args[4]);
    }
  }

  private static void awaitEndOfInput() {
    try {
      while (System.in.read() != -1) {}
    } catch (IOException e) {
      fail(e);
    }
    isOver = true;
  }

  private static void produce(Map<String, Object> config, String topic, int partitions, int rate)
      throws InterruptedException {
    var text = new StringSerializer();
    try (var producer = new KafkaProducer<>(config, text, text)) {
      double start = now();
      for (int next = 0; !isOver; Thread.sleep(5)) {
        for (; next < (now() - start) * rate / 1000; next++) {
          var record = new ProducerRecord<String, String>(topic, next % partitions, null, "java-" + next);
          double sent = now();
          producer.send(
              record,
              (at, error) -> {
                if (error != null) fail(error);
                else say(record.value(), at.partition(), at.offset(), now() - sent);
              });
        }
      }
    }
  }

  private static void consume(Map<String, Object> config, String topic, String group) {
    config.put("group.id", group);
    config.put("auto.offset.reset", "earliest");
    var text = new StringDeserializer();
    try (var consumer = new KafkaConsumer<>(config, text, text)) {
      consumer.subscribe(List.of(topic));
      while (!isOver) {
        try {
          consumer.poll(POLL).forEach(r -> say(r.value(), r.partition(), r.offset(), 0));
        } catch (RuntimeException e) {
          fail(e);
        }
      }
    }
  }

  /** Milliseconds of a clock that only goes forward. */
  private static double now() {
    return System.nanoTime() / 1e6;
  }

  private static void say(String value, int partition, long offset, double latency) {
    System.out.println(
        String.format(Locale.ROOT, "%s %d %d %.1f %.1f", value, partition, offset, now(), latency));
  }

  private static void fail(Exception error) {
    System.out.println("error " + error.toString().replace('\n', ' '));
  }
}
