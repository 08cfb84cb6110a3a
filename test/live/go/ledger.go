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
	options := []kgo.Opt{kgo.SeedBrokers(strings.Split(args[1], ",")...)}
	if ms := number(args[2]); ms > 0 {
		limit := time.Duration(ms) * time.Millisecond
		options = append(options, kgo.RequestTimeoutOverhead(limit), kgo.ProduceRequestTimeout(limit))
	}
	if args[0] == "consume" {
		return ledgerConsume(ctx, options, args[3], args[4])
	}
	return ledgerProduce(ctx, options, args[3], number(args[4]), number(args[5]))
}

func number(text string) int {
	n, err := strconv.Atoi(text)
	exitOn(err)
	return n
}

func ledgerProduce(ctx context.Context, options []kgo.Opt, topic string, partitions, rate int) error {
	// KafkaJS reads no snappy.
	plain := kgo.ProducerBatchCompression(kgo.NoCompression())
	options = append(options, plain, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	client, err := kgo.NewClient(options...)
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

func ledgerConsume(ctx context.Context, options []kgo.Opt, topic, group string) error {
	first := kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())
	options = append(options, kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), first)
	client, err := kgo.NewClient(options...)
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
