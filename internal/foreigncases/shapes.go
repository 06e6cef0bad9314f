package foreigncases

import "github.com/leatgo/leat"

// kafka makes a record of headers, which are names and values in turn.
func kafka(producer, shape string, want Outcome, body string, headers ...string) Case {
	return Case{Producer: producer, Shape: shape, Transport: Kafka, Want: want, Headers: pairs(headers), Body: bytesOf(body)}
}

// rabbit makes a message of RabbitMQ.
func rabbit(producer, shape string, want Outcome, contentType, body string, headers ...string) Case {
	return Case{Producer: producer, Shape: shape, Transport: RabbitMQ, Want: want, ContentType: contentType, Headers: pairs(headers),
		Body: bytesOf(body)}
}

func pairs(texts []string) []leat.Header {
	var headers []leat.Header
	for i := 0; i < len(texts); i += 2 {
		headers = append(headers, leat.Header{Name: texts[i], Value: []byte(texts[i+1])})
	}
	return headers
}

func bytesOf(body string) []byte {
	if body == "" {
		return nil
	}
	return []byte(body)
}

// required returns the headers of an event with a prefix, with more after them.
func required(prefix string, more ...string) []string {
	return append([]string{prefix + "specversion", "1.0", prefix + "id", "1", prefix + "source", "/shop", prefix + "type", "com.example.t"},
		more...)
}

// event returns an event in JSON, with more members at the end.
func event(more string) string {
	if more != "" {
		more = "," + more
	}
	return `{"specversion":"1.0","id":"1","source":"/shop","type":"com.example.t"` + more + `}`
}

const (
	structured = "application/cloudevents+json"
	batch      = "application/cloudevents-batch+json"
	plainJSON  = "application/json"
	object     = `{"a":1}`
)

// other is a structured record of Kafka.
func other(producer, shape string, want Outcome, body string) Case {
	return kafka(producer, shape, want, body, "content-type", structured)
}

// producers returns what other producers write, by their documentation and source.
func producers() []Case {
	const goSDK, knative, azure, springFunction = "CloudEvents SDK for Go", "Knative", "Azure Event Grid", "Spring Cloud Function"
	return []Case{
		kafka(goSDK, "binary, sarama", Reads, object, required("ce_", "content-type", plainJSON)...),
		other(goSDK, "structured", Reads, event(`"datacontenttype":"application/json","data":{"a":1}`)),
		kafka(goSDK, "binary, confluent, headers that begin with ce-", Lenient, object, required("ce-", "content-type", plainJSON)...),
		rabbit(goSDK, "binary, AMQP, headers that begin with cloudEvents:", Reads, plainJSON, object, required("cloudEvents:")...),
		rabbit("CloudEvents SDK for C#", "binary, AMQP, headers that begin with cloudEvents_", Reads, plainJSON, object,
			required("cloudEvents_")...),
		rabbit(knative, "binary", Reads, plainJSON, object, required("ce-")...),
		rabbit(knative, "binary with the content type of structured mode, as in an example of its specification", Lenient, structured,
			object, required("ce-", "ce-time", "2018-04-05T17:31:00Z")...),
		rabbit("Dapr", "structured as text/plain", Lenient, "text/plain", event(`"datacontenttype":"application/json","pubsubname":"p",`+
			`"topic":"orders","traceid":"","tracestate":"","data":{"a":1}`)),
		kafka("Wolverine", "structured as application/json", Lenient, event(`"data":{"a":1}`), "content-type", plainJSON),
		other(azure, "dataschema \"#\"", Lenient, event(`"dataschema":"#","subject":"blob","data":{"a":1}`)),
		other(azure, "an empty subject", Lenient, event(`"subject":"","data":{"a":1}`)),
		kafka(springFunction, "two content types, one with a charset", Lenient, object,
			required("ce_", "content-type", "application/json;charset=UTF-8", "ce_datacontenttype", plainJSON)...),
		kafka("spring-kafka", "with encodeStrings: all values in JSON quotes", Lenient, object, "ce_specversion", `"1.0"`, "ce_id", `"1"`,
			"ce_source", `"/shop"`, "ce_type", `"com.example.t"`, "content-type", `"application/json"`),
		other(".NET", "a byte order mark before the JSON", Lenient, "\ufeff"+event(`"data":{"a":1}`)),
		other(".NET", "an object of the SDK that is serialised without its formatter", Lenient,
			`{"Id":"1","Source":"/shop","Type":"com.example.t","SpecVersion":"1.0","DataContentType":"application/json","Data":{"a":1}}`),
	}
}

// times returns the forms of time that are seen.
func times() []Case {
	forms := []struct{ producer, shape, value string }{
		{"JavaScript, Date.now()", "milliseconds since 1970", "1732788930123"},
		{"Java, OffsetDateTime", "no seconds", "2024-11-28T10:15+01:00"},
		{"Java, ZonedDateTime", "a zone's name in brackets", "2024-11-28T10:15:30.5+01:00[Europe/Berlin]"},
		{"Java, SimpleDateFormat", "+0000", "2024-11-28T10:15:30.123+0000"},
		{"Java, Date", "GMT", "Thu Nov 28 10:15:30 GMT 2024"},
		{"HTTP and mail", "GMT", "Thu, 28 Nov 2024 10:15:30 GMT"},
		{"Python, datetime", "no zone", "2024-11-28T10:15:30.123456"},
		{"Python, str(datetime)", "a space", "2024-11-28 10:15:30.123456+00:00"},
		{"PostgreSQL", "a space and +00", "2024-11-28 10:15:30.123+00"},
		{"ISO 8601", "a comma", "2024-11-28T10:15:30,123Z"},
		{"ISO 8601", "GMT", "2024-11-28T10:15:30 GMT"},
		{"ISO 8601", "a zone's name", "2024-11-28T10:15:30 Europe/Berlin"},
	}
	var all []Case
	for _, f := range forms {
		all = append(all, kafka(f.producer, "time, "+f.shape+": `"+f.value+"`", Lenient, object, required("ce_", "ce_time", f.value)...))
	}
	return append(all,
		other("JavaScript, Date.now()", "time, a JSON number: `1732788930123`", Lenient, event(`"time":1732788930123`)),
		other("ISO 8601", "time, a day alone", Refuses, event(`"time":"2024-11-28"`)),
		other("various", "time, an abbreviation with more than one meaning: `10:15:30 IST`", Refuses, event(`"time":"2024-11-28T10:15:30 IST"`)),
	)
}

// shapes returns other deviations.
func shapes() []Case {
	const old, various = "CloudEvents 0.3", "various"
	return []Case{
		kafka(old, "binary, schemaurl", Lenient, object, "ce_specversion", "0.3", "ce_id", "1", "ce_source", "/shop", "ce_type", "com.example.t",
			"ce_schemaurl", "https://example.com/s", "content-type", plainJSON),
		other(old, "structured, datacontentencoding", Lenient, `{"specversion":"0.3","id":"1","source":"/shop","type":"com.example.t",`+
			`"datacontenttype":"image/png","datacontentencoding":"base64","data":"AP8="}`),
		other(various, "an integer of more than 32 bits", Lenient, event(`"sequenceno":5000000000`)),
		other(various, "a number with a fraction", Lenient, event(`"ratio":1.5`)),
		other(various, "an object as an extension", Lenient, event(`"labels":{"a":[1,2]}`)),
		other(various, "an array as an extension", Lenient, event(`"tags":["a","b"]`)),
		other(various, "a boolean and null as extensions", Reads, event(`"flag":true,"nothing":null`)),
		other(various, "id and specversion as numbers", Lenient, `{"specversion":1.0,"id":5,"source":"/shop","type":"com.example.t"}`),
		other(various, "specversion 1.0.2", Lenient, `{"specversion":"1.0.2","id":"1","source":"/shop","type":"com.example.t"}`),
		other(various, "names with - and _", Lenient, event(`"trace-id":"x","user_name":"y"`)),
		other(various, "a name longer than 20", Reads, event(`"averyveryverylongname":"x"`)),
		other(various, "two names that become one", Refuses, event(`"traceId":"x","traceid":"y"`)),
		other(various, "a relative dataschema", Lenient, event(`"dataschema":"schemas/order.json"`)),
		other(various, "a dataschema with a fragment", Lenient, event(`"dataschema":"https://example.com/s.json#order"`)),
		kafka(various, "content types that differ in case only", Lenient, object,
			required("ce_", "content-type", "Application/JSON", "ce_datacontenttype", plainJSON)...),
		kafka(various, "content types that contradict each other", Refuses, object,
			required("ce_", "content-type", "text/plain", "ce_datacontenttype", plainJSON)...),
		kafka(various, "a batch of one", Lenient, "["+event(`"data":{"a":1}`)+"]", "content-type", batch),
		kafka(various, "a batch of two", Refuses, "["+event(``)+","+event(``)+"]", "content-type", batch),
		rabbit(various, "headers in two spellings", Lenient, plainJSON, object, required("cloudEvents:", "ce-traceparent", "x")...),
		rabbit(various, "headers in two spellings that contradict each other", Refuses, plainJSON, object,
			required("cloudEvents:", "ce-id", "2")...),
	}
}

// refused returns what is not a CloudEvent, or is not to be read.
func refused() []Case {
	compressed := rabbit("various", "a compressed body", Refuses, plainJSON, "\x1f\x8b", required("ce-")...)
	compressed.Encoding = "gzip"
	return []Case{
		kafka("Watermill", "its plain messages", Refuses, object, "_watermill_message_uuid", "86d55db7-0e7f-eb3f-6cad-652fda548e8a"),
		kafka("various", "plain JSON", Refuses, `{"id":"1","type":"com.example.t"}`, "content-type", plainJSON),
		rabbit("various", "plain JSON", Refuses, plainJSON, `{"id":"1","type":"com.example.t"}`),
		kafka("various", "plain bytes", Refuses, "\x00\x01\x02"),
		kafka("Kafka Connect", "JSON with a schema", Refuses, `{"schema":{"type":"string"},"payload":"a"}`),
		kafka("various", "structured in Avro", Refuses, "\x00\x01", "content-type", "application/cloudevents+avro"),
		compressed,
		other("various", "no id", Refuses, `{"specversion":"1.0","source":"/shop","type":"com.example.t"}`),
		other("various", "JSON that is cut off", Refuses, `{"specversion":"1.0","id":"1"`),
		other("various", "specversion 2.0", Refuses, `{"specversion":"2.0","id":"1","source":"/shop","type":"com.example.t"}`),
	}
}
