"""Writes and reads records with Confluent's serializers: a request is a line of JSON, and so is its answer."""
import json
import sys

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient, header_schema_id_serializer, topic_subject_name_strategy
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer, ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory


def order():
    """Returns the class that protoc would generate for the message Order."""
    field = descriptor_pb2.FieldDescriptorProto
    message = descriptor_pb2.DescriptorProto(name="Order", field=[
        field(name="id", number=1, label=field.LABEL_OPTIONAL, type=field.TYPE_STRING),
        field(name="total", number=2, label=field.LABEL_OPTIONAL, type=field.TYPE_INT32)])
    file = descriptor_pb2.FileDescriptorProto(name="order.proto", package="shop", syntax="proto3", message_type=[message])
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("shop.Order"))


ORDER = order()


def write(ask, client):
    conf = {"auto.register.schemas": False, "use.latest.version": True, "subject.name.strategy": topic_subject_name_strategy}
    if ask["header"]:
        conf["schema.id.serializer"] = header_schema_id_serializer
    kind, value, headers = ask["kind"], ask["value"], []
    if kind == "AVRO":
        serialize = AvroSerializer(client, ask["schema"], conf=conf)
    elif kind == "JSON":
        serialize = JSONSerializer(ask["schema"], client, conf=conf)
    else:
        serialize, value = ProtobufSerializer(ORDER, client, conf), json_format.ParseDict(value, ORDER())
    data = serialize(value, SerializationContext(ask["topic"], MessageField.VALUE, headers))
    producer = Producer({"bootstrap.servers": ask["brokers"]})
    producer.produce(ask["topic"], data, headers=headers)
    if producer.flush(30):
        raise TimeoutError("the record was not confirmed")
    return {}


def read(ask, client):
    conf = {"subject.name.strategy": topic_subject_name_strategy}
    if ask["kind"] == "AVRO":
        deserialize = AvroDeserializer(client, conf=conf)
    elif ask["kind"] == "JSON":
        deserialize = JSONDeserializer(None, conf=conf, schema_registry_client=client)
    else:
        deserialize = ProtobufDeserializer(ORDER, conf, client if ask["lookup"] else None)
    consumer = Consumer({"bootstrap.servers": ask["brokers"], "group.id": "unused", "enable.auto.commit": False})
    consumer.assign([TopicPartition(ask["topic"], 0, 0)])
    values = []
    while len(values) < ask["count"]:
        record = consumer.poll(30)
        if record is None:
            raise TimeoutError("no record came")
        if record.error():
            raise KafkaException(record.error())
        value = deserialize(record.value(), SerializationContext(ask["topic"], MessageField.VALUE, record.headers() or []))
        values.append(json_format.MessageToDict(value) if ask["kind"] == "PROTOBUF" else value)
    consumer.close()
    return {"values": values}


def answer(ask):
    client = SchemaRegistryClient({"url": ask["url"], "max.retries": 0})
    try:
        return write(ask, client) if ask["do"] == "write" else read(ask, client)
    except Exception as error:  # whatever goes wrong is for the test to say
        return {"error": f"{type(error).__name__}: {error}"}


for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))), flush=True)
