// A franz-go producer and consumer against the broker named on the command line: writes 100 records with each codec to
// topics that it makes, reads them back without a group, and checks every one. Prints "ok" at the end. With "groups" before
// the address it is a member of a consumer group instead, see groups.go; with "ledger" first what ledger.go says.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const recordsPerTopic = 100

var codecs = map[string]kgo.CompressionCodec{
	"none":   kgo.NoCompression(),
	"gzip":   kgo.GzipCompression(),
	"snappy": kgo.SnappyCompression(),
	"lz4":    kgo.Lz4Compression(),
	"zstd":   kgo.ZstdCompression(),
}

func main() {
	switch os.Args[1] {
	case "groups":
		exitOn(serveGroups(os.Args[2]))
		return
	case "ledger":
		exitOn(ledger(os.Args[2:]))
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	for name, codec := range codecs {
		if err := roundTrip(ctx, os.Args[1], "go-"+name, codec); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
			os.Exit(1)
		}
	}
	fmt.Println("ok")
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func roundTrip(ctx context.Context, broker, topic string, codec kgo.CompressionCodec) error {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(broker),
		kgo.ProducerBatchCompression(codec),
		kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
	)
	if err != nil {
		return err
	}
	defer client.Close()
	if _, err := kadm.NewClient(client).CreateTopic(ctx, 3, 1, nil, topic); err != nil {
		return err
	}
	want := make(map[string]bool)
	for i := 0; i < recordsPerTopic; i++ {
		value := fmt.Sprintf("%s record %d", topic, i)
		want[value] = true
		record := &kgo.Record{
			Topic:   topic,
			Key:     []byte(fmt.Sprint(i)),
			Value:   []byte(value),
			Headers: []kgo.RecordHeader{{Key: "n", Value: []byte(fmt.Sprint(i))}},
		}
		if err := client.ProduceSync(ctx, record).FirstErr(); err != nil {
			return err
		}
	}
	for len(want) > 0 {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return err
		}
		for _, record := range fetches.Records() {
			if string(record.Headers[0].Value) != string(record.Key) || !want[string(record.Value)] {
				return fmt.Errorf("unexpected record %q", record.Value)
			}
			delete(want, string(record.Value))
		}
	}
	return nil
}
