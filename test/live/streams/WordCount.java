import java.time.Duration;
import java.util.Arrays;
import java.util.Properties;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;

/**
 * Counts the words of the topic "lines" into the topic "counts": a repartition topic, a state store and its changelog. Ends,
 * closing the store, when its standard input ends. Arguments: bootstrap servers, folder for state.
 */
public class WordCount {
  public static void main(String[] args) throws Exception {
    var config = new Properties();
    config.put(StreamsConfig.APPLICATION_ID_CONFIG, "word-count");
    config.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, args[0]);
    config.put(StreamsConfig.STATE_DIR_CONFIG, args[1]);
    config.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.String().getClass());
    config.put(StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Serdes.String().getClass());
    config.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 200);
    // Streams does not leave its group when it is closed: the next run waits for the session to end.
    config.put(StreamsConfig.consumerPrefix("session.timeout.ms"), 6_000);
    config.put(StreamsConfig.consumerPrefix("heartbeat.interval.ms"), 1_000);
    var builder = new StreamsBuilder();
    builder
        .<String, String>stream("lines")
        .flatMapValues(line -> Arrays.asList(line.split(" ")))
        .groupBy((key, word) -> word)
        .count(Materialized.as("counted"))
        .toStream()
        .mapValues(String::valueOf)
        .to("counts", Produced.with(Serdes.String(), Serdes.String()));
    var streams = new KafkaStreams(builder.build(), config);
    streams.setStateListener((now, before) -> System.out.println(now));
    streams.start();
    while (System.in.read() != -1) {}
    System.exit(streams.close(Duration.ofSeconds(20)) ? 0 : 1);
  }
}
