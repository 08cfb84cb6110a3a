package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const drainTimeout = 2 * time.Minute

var ledgerStart = time.Now()

// now is milliseconds of a clock that only goes forward.
func now() float64 { return float64(time.Since(ledgerStart).Microseconds()) / 1000 }

func sayRecord(record *kgo.Record, latency float64) {
	fmt.Printf("%s %d %d %.1f %.1f\n", record.Value, record.Partition, record.Offset, now(), latency)
}

// ledger does what test/cluster/clients/program.ts asks, with the defaults of the library: idempotent, acks of all.
func ledger(args []string) error {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	seeds := kgo.SeedBrokers(strings.Split(args[1], ",")...)
	if args[0] == "consume" {
		return ledgerConsume(ctx, seeds, args[2], args[3])
	}
	partitions, err := strconv.Atoi(args[3])
	if err != nil {
		return err
	}
	rate, err := strconv.Atoi(args[4])
	if err != nil {
		return err
	}
	return ledgerProduce(ctx, seeds, args[2], partitions, rate)
}

func ledgerProduce(ctx context.Context, seeds kgo.Opt, topic string, partitions, rate int) error {
	// KafkaJS reads no snappy.
	plain := kgo.ProducerBatchCompression(kgo.NoCompression())
	client, err := kgo.NewClient(seeds, plain, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return err
	}
	defer client.Close()
	start := now()
	for next := 0; ctx.Err() == nil; time.Sleep(5 * time.Millisecond) {
		for ; float64(next) < (now()-start)*float64(rate)/1000; next++ {
			sent := now()
			value := []byte(fmt.Sprintf("franz-go-%d", next))
			record := &kgo.Record{Topic: topic, Partition: int32(next % partitions), Value: value}
			client.Produce(context.Background(), record, func(record *kgo.Record, err error) {
				if err != nil {
					fmt.Println("error", err)
				} else {
					sayRecord(record, now()-sent)
				}
			})
		}
	}
	drain, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	return client.Flush(drain)
}

func ledgerConsume(ctx context.Context, seeds kgo.Opt, topic, group string) error {
	first := kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())
	client, err := kgo.NewClient(seeds, kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), first)
	if err != nil {
		return err
	}
	defer client.Close()
	for ctx.Err() == nil {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			break
		}
		for _, err := range fetches.Errors() {
			fmt.Println("error", err.Err)
		}
		fetches.EachRecord(func(record *kgo.Record) { sayRecord(record, 0) })
	}
	return nil
}
