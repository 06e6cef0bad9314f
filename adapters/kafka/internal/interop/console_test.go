package interop_test

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/kafka"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// null is how the tools read and write a key or value that is null.
const null = "\tNULL"

// produceWithJava writes lines with Kafka's console producer, in which tabs separate headers, key
// and value, '~' the headers, and NULL stands for null.
func produceWithJava(t *testing.T, tp topic, lines ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := brokertest.KafkaTool(ctx, t, "org.apache.kafka.tools.ConsoleProducer", "--bootstrap-server", strings.Join(tp.seeds, ","),
		"--topic", tp.name, "--reader-property", "parse.headers=true", "--reader-property", "headers.separator=~",
		"--reader-property", "parse.key=true", "--reader-property", "null.marker=NULL")
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// consumeWithJava returns n lines of Kafka's console consumer: partition, headers, key and value,
// separated by tabs.
func consumeWithJava(t *testing.T, tp topic, n int) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	args := []string{
		"--bootstrap-server", strings.Join(tp.seeds, ","), "--topic", tp.name, "--from-beginning", "--max-messages", strconv.Itoa(n),
	}
	for _, property := range []string{"print.partition", "print.headers", "print.key"} {
		args = append(args, "--formatter-property", property+"=true")
	}
	args = append(args, "--formatter-property", "null.literal=NULL", "--formatter-property", "headers.separator=|")
	out, err := brokertest.KafkaTool(ctx, t, "org.apache.kafka.tools.consumer.ConsoleConsumer", args...).Output()
	require.NoError(t, err, "%s", out)
	var lines []string
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "Partition:") {
			lines = append(lines, strings.TrimSuffix(line, "\n"))
		}
	}
	require.Len(t, lines, n, "%s", out)
	return lines
}

// TestJavaAndWeChooseTheSamePartition writes the same keys with both, and looks where they are.
func TestJavaAndWeChooseTheSamePartition(t *testing.T) {
	t.Parallel()
	tp := newTopic(t, 7)
	var lines []string
	var events []leat.Event
	for i := range 60 {
		key := fmt.Sprintf("key-%d", i)
		if i%3 == 0 {
			key = fmt.Sprintf("ключ🚀%d", i)
		}
		lines = append(lines, "by:java\t"+key+"\tx")
		events = append(events, newEvent(t, leat.EventOptions{ID: key, Source: "/s", Key: key}))
	}
	produceWithJava(t, tp, lines...)
	tp.publish(t, kafka.Options{}, events...)

	partitions, used := map[string]map[int32]int{}, map[int32]bool{}
	for _, r := range tp.records(t, 120) {
		if partitions[string(r.Key)] == nil {
			partitions[string(r.Key)] = map[int32]int{}
		}
		partitions[string(r.Key)][r.Partition]++
		used[r.Partition] = true
	}
	assert.Len(t, partitions, 60)
	assert.Len(t, used, 7)
	for key, at := range partitions {
		require.Len(t, at, 1, "%q is in several partitions: %v", key, at)
		for _, n := range at {
			assert.Equal(t, 2, n, "key %q", key)
		}
	}
}

// TestWeReadRecordsOfJava: binary and structured events that were put together by hand, nulls
// included.
func TestWeReadRecordsOfJava(t *testing.T) {
	t.Parallel()
	tp := newTopic(t, 1)
	const required = "ce_specversion:1.0~ce_id:1~ce_source:urn:a:b~ce_type:t"
	produceWithJava(t, tp,
		required+"~content-type:text/plain~ce_subject:Köln %20 日本🚀~ce_time:2026-01-02T03:04:05+02:00~ce_PartitionKey:k\tother\tü",
		required+null+null,
		required+"~ce_subject:NULL~ce_x:\t\t",
		"Content-Type:application/cloudevents+json; charset=UTF-8\tk\t"+
			`{"specversion":"1.0","id":"1","source":"urn:a:b","type":"t","n":1,"data":[1]}`,
		required+"~ce_id:2~ce_id:NULL\tNULL\tx",
	)
	got := tp.receive(t, kafka.Options{}, 5)
	base := map[string]string{"specversion": "1.0", "id": "1", "source": "urn:a:b", "type": "t"}
	for i, want := range []struct {
		attributes map[string]string
		data       []byte
	}{
		{map[string]string{
			"datacontenttype": "text/plain", "subject": "Köln %20 日本🚀", "time": "2026-01-02T03:04:05+02:00", "partitionkey": "k",
		}, []byte("ü")},
		{nil, nil},
		{map[string]string{"x": ""}, []byte{}},
		{map[string]string{"n": "1"}, []byte("[1]")},
	} {
		if got[i].Malformed != nil {
			t.Fatalf("record %d: %v", i, got[i].Malformed.Reason)
		}
		all := map[string]string{}
		for _, m := range []map[string]string{base, want.attributes} {
			maps.Copy(all, m)
		}
		assert.Equal(t, all, attributes(got[i].Event), "record %d: the record's key adds no attribute", i)
		assert.Equal(t, want.data, got[i].Event.Data(), "record %d", i)
	}
	m := got[4].Malformed
	require.NotNil(t, m)
	require.ErrorContains(t, m.Reason, `"id" is there twice`)
	assert.Nil(t, m.Key)
	assert.Equal(t, leat.Header{Name: "ce_id", Value: nil}, m.Headers[5])
	assert.Equal(t, leat.Header{Name: "ce_id", Value: []byte("2")}, m.Headers[4])
}

func TestJavaReadsOurRecords(t *testing.T) {
	t.Parallel()
	tp := newTopic(t, 1)
	at := someTime()
	events := []leat.Event{
		newEvent(t, leat.EventOptions{
			ID: "1", Source: "urn:a:b", Time: at, Subject: "Köln %20 日本🚀", Key: "ключ", DataContentType: "text/plain", Data: []byte("ü"),
			Extensions: map[string]any{"abool": true, "bint": -5},
		}),
		newEvent(t, leat.EventOptions{ID: "2", Source: "urn:a:b", Time: at}),
		newEvent(t, leat.EventOptions{ID: "3", Source: "urn:a:b", Time: at, Data: []byte{}}),
	}
	tp.publish(t, kafka.Options{}, events...)
	tp.publish(t, kafka.Options{NoRecordKey: true, Structured: true}, events[0])
	const when = "2026-01-02T03:04:05.678901234+02:00"
	required := func(id string) string {
		return "ce_specversion:1.0|ce_id:" + id + "|ce_source:urn:a:b|ce_type:com.example.t|ce_time:" + when
	}
	assert.Equal(t, []string{
		"Partition:0\t" + required("1") +
			"|content-type:text/plain|ce_subject:Köln %20 日本🚀|ce_abool:true|ce_bint:-5|ce_partitionkey:ключ\tключ\tü",
		"Partition:0\t" + required("2") + null + null,
		"Partition:0\t" + required("3") + "\tNULL\t",
		"Partition:0\tcontent-type:application/cloudevents+json; charset=UTF-8\tNULL\t" +
			`{"specversion":"1.0","id":"1","source":"urn:a:b","type":"com.example.t","time":"` + when + `","datacontenttype":"text/plain",` +
			`"subject":"Köln %20 日本🚀","partitionkey":"ключ","abool":true,"bint":-5,"data":"ü"}`,
	}, consumeWithJava(t, tp, 4))
}
