#!/usr/bin/env python3
"""Writes config/examples/sparkplug.messages with Google's protobuf library, so that what the program reads was encoded
by somebody else. Message and field numbers are those of sparkplug_b.proto as the Sparkplug 3.0 specification prints it.

    pip install protobuf==7.36.2
    python3 tests/sparkplug/messages.py > config/examples/sparkplug.messages
"""

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

FIELD = descriptor_pb2.FieldDescriptorProto
NOON = 1_772_366_400_000  # 2026-03-01T12:00:00Z
INT8, INT32, UINT16, UINT64, FLOAT, DOUBLE, BOOLEAN = 1, 3, 6, 8, 9, 10, 11
GOOD, STALE = 192, 500

MESSAGES = {
    "PropertyValue": [("type", 1, "uint32"), ("is_null", 2, "bool"), ("int_value", 3, "uint32")],
    "PropertySet": [("keys", 1, "string*"), ("values", 2, "PropertyValue*")],
    "Metric": [
        ("name", 1, "string"), ("alias", 2, "uint64"), ("timestamp", 3, "uint64"), ("datatype", 4, "uint32"),
        ("is_historical", 5, "bool"), ("is_transient", 6, "bool"), ("is_null", 7, "bool"),
        ("properties", 9, "PropertySet"), ("int_value", 10, "uint32"), ("long_value", 11, "uint64"),
        ("float_value", 12, "float"), ("double_value", 13, "double"), ("boolean_value", 14, "bool"),
        ("string_value", 15, "string"),
    ],
    "Payload": [("timestamp", 1, "uint64"), ("metrics", 2, "Metric*"), ("seq", 3, "uint64")],
}


def messages():
    """The classes of the messages."""
    file = descriptor_pb2.FileDescriptorProto(name="sparkplug_b", package="spb", syntax="proto2")
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, kind in fields:
            label = FIELD.LABEL_REPEATED if kind.endswith("*") else FIELD.LABEL_OPTIONAL
            kind = kind.rstrip("*")
            added = message.field.add(name=field, number=number, label=label)
            if kind in MESSAGES:
                added.type, added.type_name = FIELD.TYPE_MESSAGE, f".spb.{kind}"
            else:
                added.type = getattr(FIELD, f"TYPE_{kind.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"spb.{name}")) for name in MESSAGES}


CLASSES = messages()


def show(topic, seq, metrics, second=0):
    """Prints one message, as `mosquitto_sub -F '%t %x'` would."""
    payload = CLASSES["Payload"](timestamp=NOON + second * 1000, metrics=metrics)
    if seq is not None:
        payload.seq = seq
    print(f"spBv1.0/plant/{topic} {payload.SerializeToString().hex()}")


def metric(quality=None, **fields):
    """One metric."""
    if quality is not None:
        value = CLASSES["PropertyValue"](type=INT32, int_value=quality)
        fields["properties"] = CLASSES["PropertySet"](keys=["Quality"], values=[value])
    return CLASSES["Metric"](**fields)


def main():
    """Prints all messages of the example."""
    print("# Payloads in hexadecimal, as mosquitto_sub -F '%t %x' prints them; made by tests/sparkplug/messages.py.")
    at = {"timestamp": NOON}
    print("# Data before any BIRTH: nobody knows what alias 11 is; the node is asked for its BIRTH.")
    show("DDATA/edge1/cooler-1", 41, [metric(alias=11, float_value=21.25, **at)])
    print("# The node's BIRTH and one of each device: names, aliases, data types.")
    node = [metric(name="bdSeq", datatype=UINT64, long_value=4, **at),
            metric(name="Node Control/Rebirth", datatype=BOOLEAN, boolean_value=False, **at)]
    show("NBIRTH/edge1", 0, node)
    air = metric(name="Cooler/Air In", alias=11, datatype=FLOAT, float_value=70.25, **at)
    device = [air,
              metric(name="UCWIT", alias=12, datatype=DOUBLE, double_value=7.125, **at),
              metric(name="Cooler/Water Flow", alias=13, datatype=UINT16, int_value=861, **at),
              metric(name="AMBT", alias=14, datatype=INT8, int_value=0x100 - 5, **at),
              metric(name="UCOM", alias=15, datatype=BOOLEAN, boolean_value=True, **at),
              metric(name="Controller/Firmware", alias=16, datatype=12, string_value="2.7.1", **at)]
    show("DBIRTH/edge1/cooler-1", 1, device)
    show("DBIRTH/edge1/fan-9", 2, [metric(name="Speed", alias=21, datatype=INT32, int_value=900, **at)])
    print("# What has changed, by alias; the message's time counts for a metric without its own.")
    show("DDATA/edge1/cooler-1", 3, [metric(alias=11, float_value=70.5, timestamp=NOON + 30_000),
                                     metric(alias=14, int_value=0xFFFFFFFA, timestamp=NOON + 30_000),
                                     metric(alias=12, double_value=7.25)], 30)
    print("# A value that is stale at its source, one that is none, and one that was recorded before the last one.")
    show("DDATA/edge1/cooler-1", 4, [metric(alias=11, float_value=71, quality=STALE, timestamp=NOON + 40_000),
                                     metric(alias=13, is_null=True, timestamp=NOON + 40_000),
                                     metric(alias=12, double_value=7.5, is_historical=True, timestamp=NOON + 10_000),
                                     metric(alias=14, int_value=0xFA, quality=GOOD, timestamp=NOON + 40_000)], 40)
    print("# Message 5 was missed: it may have been a BIRTH.")
    show("DDATA/edge1/cooler-1", 6, [metric(alias=11, float_value=72, timestamp=NOON + 50_000)], 50)
    print("# The node again, a command of somebody else, and the node's end.")
    show("NBIRTH/edge1", 0, node, 55)
    show("DBIRTH/edge1/cooler-1", 1, device, 55)
    show("NCMD/edge1", None, [metric(name="Node Control/Rebirth", datatype=BOOLEAN, boolean_value=True)], 56)
    show("DDATA/edge1/cooler-1", 2, [metric(alias=11, float_value=72.5, timestamp=NOON + 60_000)], 60)
    show("NDEATH/edge1", None, [metric(name="bdSeq", datatype=UINT64, long_value=4)], 61)
    show("DDATA/edge1/cooler-1", 3, [metric(alias=11, float_value=73, timestamp=NOON + 70_000)], 70)


if __name__ == "__main__":
    main()
