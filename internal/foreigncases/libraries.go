package foreigncases

const (
	javaSDK     = "CloudEvents SDK for Java 4.0.1"
	springKafka = "spring-kafka 3.2.4"
	springAMQP  = "spring-amqp 3.1.6"
	debeziumPG  = "Debezium 3.2.0, PostgreSQL"
	pythonSDK   = "CloudEvents SDK for Python 1.13"
)

func java() []Case {
	return []Case{
		{Name: "java json BINARY", Producer: javaSDK, Shape: "binary", Want: Reads},
		{Name: "java nodata BINARY", Producer: javaSDK, Shape: "binary, no data", Want: Reads},
		{Name: "java noct BINARY", Producer: javaSDK, Shape: "binary, no content type", Want: Reads},
		{Name: "java exts BINARY", Producer: javaSDK, Shape: "binary, extensions of all types", Want: Reads},
		{Name: "java text BINARY", Producer: javaSDK, Shape: "binary, text", Want: Reads},
		{Name: "java json STRUCTURED", Producer: javaSDK, Shape: "structured", Want: Reads},
		{Name: "java nodata STRUCTURED", Producer: javaSDK, Shape: "structured, no data", Want: Reads},
		{Name: "java exts STRUCTURED", Producer: javaSDK, Shape: "structured, extensions of all types", Want: Reads},
		{Name: "java text STRUCTURED", Producer: javaSDK, Shape: "structured, text", Want: Reads},
		{Name: "java noct STRUCTURED", Producer: javaSDK, Want: Refuses,
			Shape: "structured, text without a content type, which makes invalid JSON"},
		{Name: "spring-kafka DefaultKafkaHeaderMapper default", Producer: springKafka, Shape: "source in JSON quotes, time as a number",
			Want: Lenient},
		{Name: "spring-kafka DefaultKafkaHeaderMapper zeroseconds", Producer: springKafka, Shape: "the same at a full minute", Want: Lenient},
		{Name: "spring-kafka SimpleKafkaHeaderMapper default", Producer: springKafka,
			Shape: "with SimpleKafkaHeaderMapper, which drops the attributes", Want: Refuses},
		{Name: "spring-kafka SimpleKafkaHeaderMapper zeroseconds", Producer: springKafka,
			Shape: "with SimpleKafkaHeaderMapper, at a full minute", Want: Refuses},
	}
}

func spring() []Case {
	return []Case{
		{Name: "spring-amqp default", Producer: springAMQP, Shape: "content type application/octet-stream beside the real one", Want: Lenient},
		{Name: "spring-amqp zeroseconds", Producer: springAMQP, Shape: "the same, time without seconds", Want: Lenient},
	}
}

func debezium() []Case {
	const (
		json      = "serializer.type=json"
		data      = "data.serializer.type=json"
		schemas   = "json.schemas.enable=false"
		extension = "extension.attributes.enable=false"
	)
	return []Case{
		{Name: "debezium test_server {" + data + ", " + schemas + ", " + json + "}", Producer: debeziumPG, Want: Lenient,
			Shape: "JSON without its content type, capital letters in a name"},
		{Name: "debezium test_server {" + json + ", " + data + "}", Producer: debeziumPG, Shape: "the same, data with a schema", Want: Lenient},
		{Name: "debezium test_server {" + data + ", " + extension + ", " + schemas + ", " + json + "}", Producer: debeziumPG,
			Shape: extension, Want: Lenient},
		{Name: "debezium test server {" + data + ", " + schemas + ", " + json + "}", Producer: debeziumPG,
			Shape: "a space in the server's name", Want: Lenient},
		{Name: "debezium test server {" + json + ", " + data + "}", Producer: debeziumPG,
			Shape: "a space in the server's name, data with a schema", Want: Lenient},
		{Name: "debezium test server {" + data + ", " + extension + ", " + schemas + ", " + json + "}", Producer: debeziumPG,
			Shape: "a space in the server's name, " + extension, Want: Lenient},
		{Name: "debezium tombstone", Producer: debeziumPG, Shape: "a tombstone", Want: Lenient},
	}
}

func python() []Case {
	return []Case{
		{Name: "python1 json binary", Producer: pythonSDK, Shape: "binary", Want: Reads},
		{Name: "python1 text binary", Producer: pythonSDK, Shape: "binary, text", Want: Reads},
		{Name: "python1 json structured", Producer: pythonSDK, Shape: "structured, content type application/json", Want: Lenient},
		{Name: "python1 text structured", Producer: pythonSDK, Shape: "structured, content type text/plain", Want: Lenient},
		{Name: "python1 bytes structured", Producer: pythonSDK, Shape: "structured, content type application/octet-stream", Want: Lenient},
		{Name: "python1 no content type structured", Producer: pythonSDK, Shape: "structured, no content type", Want: Lenient},
		{Name: "python1 none structured", Producer: pythonSDK, Shape: "structured, data None", Want: Lenient},
		{Name: "python1 empty dict structured", Producer: pythonSDK, Shape: "structured, data {}", Want: Lenient},
		{Name: "python1 key structured", Producer: pythonSDK, Shape: "structured, a key", Want: Lenient},
		{Name: "python1 int ext structured", Producer: pythonSDK, Shape: "structured, an extension that is an integer", Want: Lenient},
		{Name: "python1 bool ext structured", Producer: pythonSDK, Shape: "structured, an extension that is a boolean", Want: Lenient},
		{Name: "python1 float ext structured", Producer: pythonSDK, Shape: "structured, an extension that is a float", Want: Lenient},
		{Name: "python1 none ext structured", Producer: pythonSDK, Shape: "structured, an attribute that is None", Want: Lenient},
	}
}
