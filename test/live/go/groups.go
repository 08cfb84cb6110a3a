package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const callTimeout = 20 * time.Second

// A call as test/live/groups/member.ts writes it.
type call struct {
	ID         int             `json:"id"`
	Call       string          `json:"call"`
	Group      string          `json:"group"`
	Topic      string          `json:"topic"`
	Protocol   string          `json:"protocol"`
	Instance   string          `json:"instance"`
	Metadata   string          `json:"metadata"`
	Partitions []int32         `json:"partitions"`
	Offsets    map[int32]int64 `json:"offsets"`
}

// A member of a group and an admin.
type member struct {
	address  string
	admin    *kadm.Client
	client   *kgo.Client
	protocol string
	topic    string

	lock  sync.Mutex
	owned map[int32]bool
}

var output sync.Mutex

func say(line map[string]any) {
	text, err := json.Marshal(line)
	if err != nil {
		panic(err)
	}
	output.Lock()
	defer output.Unlock()
	fmt.Println(string(text))
}

// serveGroups does what member.ts asks, until its input ends.
func serveGroups(address string) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(address))
	if err != nil {
		return err
	}
	m := &member{address: address, admin: kadm.NewClient(client)}
	calls := map[string]func(context.Context, call) (any, error){
		"join":          m.join,
		"leave":         m.leave,
		"commit":        m.commit,
		"describe":      m.describe,
		"list":          m.list,
		"offsets":       m.offsets,
		"reset":         m.reset,
		"deleteOffsets": m.deleteOffsets,
		"evict":         m.evict,
		"deleteGroup":   m.deleteGroup,
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var c call
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
		result, err := calls[c.Call](ctx, c)
		cancel()
		if err != nil {
			say(map[string]any{"id": c.ID, "error": err.Error()})
		} else {
			say(map[string]any{"id": c.ID, "result": result})
		}
	}
	return lines.Err()
}

func (m *member) join(_ context.Context, c call) (any, error) {
	m.topic, m.protocol, m.owned = c.Topic, c.Protocol, map[int32]bool{}
	options := []kgo.Opt{
		kgo.SeedBrokers(m.address),
		kgo.ClientID("franz-go"),
		kgo.ConsumerGroup(c.Group),
		kgo.ConsumeTopics(c.Topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DisableAutoCommit(),
		kgo.FetchMaxWait(100 * time.Millisecond),
		kgo.SessionTimeout(6 * time.Second),
		kgo.HeartbeatInterval(500 * time.Millisecond),
		kgo.OnPartitionsAssigned(m.changed(func(p int32) { m.owned[p] = true })),
		kgo.OnPartitionsRevoked(m.changed(func(p int32) { delete(m.owned, p) })),
		kgo.OnPartitionsLost(m.changed(func(p int32) { delete(m.owned, p) })),
	}
	if c.Protocol == "consumer" {
		options = append(options, kgo.ServerSideBalancer(), kgo.Balancers(kgo.StickyBalancer()))
	}
	if c.Instance != "" {
		options = append(options, kgo.InstanceID(c.Instance))
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		return nil, err
	}
	m.client = client
	go poll(client)
	return nil, nil
}

// changed tells what is owned after one callback of the client.
func (m *member) changed(one func(int32)) func(context.Context, *kgo.Client, map[string][]int32) {
	return func(_ context.Context, client *kgo.Client, topics map[string][]int32) {
		m.lock.Lock()
		defer m.lock.Unlock()
		for _, partition := range topics[m.topic] {
			one(partition)
		}
		owned := make([]int32, 0)
		for partition := range m.owned {
			owned = append(owned, partition)
		}
		slices.Sort(owned)
		line := map[string]any{"assigned": owned}
		if m.protocol == "classic" {
			_, line["generation"] = client.GroupMetadata()
		}
		say(line)
	}
}

func poll(client *kgo.Client) {
	for {
		fetches := client.PollFetches(context.Background())
		if fetches.IsClientClosed() {
			return
		}
		for _, err := range fetches.Errors() {
			fmt.Fprintln(os.Stderr, err.Topic, err.Partition, err.Err)
		}
		for _, record := range fetches.Records() {
			say(map[string]any{"record": []int64{int64(record.Partition), record.Offset}})
		}
	}
}

// leave keeps a static member in the group: closing does not say that it leaves.
func (m *member) leave(ctx context.Context, _ call) (any, error) {
	err := m.client.LeaveGroupContext(ctx)
	m.client.Close()
	return nil, err
}

func (m *member) commit(ctx context.Context, c call) (any, error) {
	offsets := make(map[int32]kgo.EpochOffset)
	for partition, offset := range c.Offsets {
		offsets[partition] = kgo.EpochOffset{Epoch: -1, Offset: offset}
	}
	withMetadata := kgo.PreCommitFnContext(ctx, func(request *kmsg.OffsetCommitRequest) error {
		for i := range request.Topics {
			for j := range request.Topics[i].Partitions {
				request.Topics[i].Partitions[j].Metadata = &c.Metadata
			}
		}
		return nil
	})
	var failed error
	done := func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, response *kmsg.OffsetCommitResponse, err error) {
		if failed = err; err == nil {
			failed = firstError(response)
		}
	}
	m.client.CommitOffsetsSync(withMetadata, map[string]map[int32]kgo.EpochOffset{m.topic: offsets}, done)
	return nil, failed
}

func (m *member) list(ctx context.Context, _ call) (any, error) {
	listed, err := m.admin.ListGroups(ctx)
	return listed.Groups(), err
}

type describedMember struct {
	Instance   string  `json:"instance"`
	Partitions []int32 `json:"partitions"`
}

func firstError(response *kmsg.OffsetCommitResponse) error {
	for _, topic := range response.Topics {
		for _, partition := range topic.Partitions {
			if err := kerr.ErrorForCode(partition.ErrorCode); err != nil {
				return err
			}
		}
	}
	return nil
}

// describe asks by the newer API first, as Kafka's tools do: it does not know classic groups.
func (m *member) describe(ctx context.Context, c call) (any, error) {
	consumer, err := m.admin.DescribeConsumerGroups(ctx, c.Group)
	if err != nil {
		return nil, err
	}
	if group := consumer[c.Group]; group.Err == nil {
		members := make([]describedMember, 0)
		for _, each := range group.Members {
			partitions := partitionsOf(each.Assignment)
			members = append(members, describedMember{text(each.InstanceID), partitions})
		}
		return map[string]any{"state": group.State, "members": members}, nil
	}
	classic, err := m.admin.DescribeGroups(ctx, c.Group)
	if err != nil {
		return nil, err
	}
	group := classic[c.Group]
	members := make([]describedMember, 0)
	for _, each := range group.Members {
		assigned := make([]int32, 0)
		if assignment, ok := each.Assigned.AsConsumer(); ok {
			for _, topic := range assignment.Topics {
				assigned = append(assigned, topic.Partitions...)
			}
		}
		members = append(members, describedMember{text(each.InstanceID), assigned})
	}
	return map[string]any{"state": group.State, "members": members}, group.Err
}

func partitionsOf(topics kadm.TopicsSet) []int32 {
	found := make([]int32, 0)
	for _, partitions := range topics {
		for partition := range partitions {
			found = append(found, partition)
		}
	}
	return found
}

func text(pointer *string) string {
	if pointer == nil {
		return ""
	}
	return *pointer
}

func (m *member) offsets(ctx context.Context, c call) (any, error) {
	responses, err := m.admin.FetchOffsets(ctx, c.Group)
	found := map[int32][]any{}
	for partition, offset := range responses[c.Topic] {
		found[partition] = []any{offset.At, offset.Metadata}
	}
	return found, err
}

func (m *member) reset(ctx context.Context, c call) (any, error) {
	offsets := kadm.Offsets{}
	for partition, offset := range c.Offsets {
		offsets.AddOffset(c.Topic, partition, offset, -1)
	}
	return nil, m.admin.CommitAllOffsets(ctx, c.Group, offsets)
}

func (m *member) deleteOffsets(ctx context.Context, c call) (any, error) {
	partitions := kadm.TopicsSet{}
	partitions.Add(c.Topic, c.Partitions...)
	responses, err := m.admin.DeleteOffsets(ctx, c.Group, partitions)
	if err == nil {
		err = responses.Error()
	}
	return nil, err
}

func (m *member) evict(ctx context.Context, c call) (any, error) {
	responses, err := m.admin.LeaveGroup(ctx, kadm.LeaveGroup(c.Group).InstanceIDs(c.Instance))
	if err == nil {
		err = responses.Error()
	}
	return nil, err
}

func (m *member) deleteGroup(ctx context.Context, c call) (any, error) {
	_, err := m.admin.DeleteGroup(ctx, c.Group)
	return nil, err
}
