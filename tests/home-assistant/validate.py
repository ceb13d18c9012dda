"""Takes recorded discovery documents through Home Assistant's own code: parsing, schemas, templates.

Usage: validate.py DISCOVERY.jsonl; run.sh beside it makes the environment. Exits with 1 and every complaint when
anything is refused.
"""

import asyncio
import copy
import json
import logging
import sys
import tempfile
from unittest.mock import MagicMock

import voluptuous as vol
from homeassistant.components.binary_sensor import DEVICE_CLASSES_SCHEMA as BINARY_CLASSES
from homeassistant.components.mqtt import binary_sensor, discovery, sensor
from homeassistant.components.mqtt.const import CONF_COMPONENTS
from homeassistant.components.mqtt.schemas import DEVICE_DISCOVERY_SCHEMA
from homeassistant.components.sensor.const import DEVICE_CLASS_STATE_CLASSES, DEVICE_CLASS_UNITS
from homeassistant.const import __version__
from homeassistant.core import HomeAssistant
from homeassistant.helpers import frame

PLATFORMS = {"sensor": sensor.DISCOVERY_SCHEMA, "binary_sensor": binary_sensor.DISCOVERY_SCHEMA}

# What the daemon publishes, with the names of the reference bundle.
PREDICTION = {
    "schema": 1, "time": "2026-03-01T12:00:00Z", "unit": "u", "seq": 1, "UCAOT": 14.5, "UCWOT": 12.25, "UCAF": 868.0,
    "T": 1.5, "quality": "good", "reasons": [], "residuals": {"UCAOT": -0.25},
}
STATES = [
    # payload, quality, alarm, available
    ({"state": "predicting", "quality": "good", "reasons": [], "time": "t"}, "good", "OFF", "online"),
    ({"state": "withheld", "quality": "bad", "reasons": ["silent"], "time": "t", "alarms": ["unit_silent"]},
     "bad", "ON", "offline"),
    # Removed when the unit is forgotten.
    ("", "None", "OFF", "offline"),
]
HEALTH = {
    "version": "1", "uptime_s": 5, "rates": {"messages_per_s": 1.0, "predictions_per_s": 0.5},
    "units": {"good": 1, "uncertain": 2, "bad": 3}, "alarms": {"standing": ["source_silent"]},
    "latency_us": {"p99": 7}, "rss_bytes": 1000, "bundle": {"id": "b", "version": "2"},
    "broker": {"state": "connected", "problem": None},
}

hass = None
complaints = []
counts = {"documents": 0, "components": 0, "removals": 0, "templates": 0}


def complain(line, text):
    complaints.append(f"{line['about']}: {line['topic']}: {text}")


class Warnings(logging.Handler):
    """Home Assistant drops what it does not like with a warning."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.seen = []

    def emit(self, record):
        self.seen.append(record.getMessage())


def rendered(template, payload):
    """What Home Assistant makes of a payload, as its MQTT integration does."""
    counts["templates"] += 1
    text = payload if isinstance(payload, str) else json.dumps(payload)
    template.hass = hass
    return template.async_render_with_possible_json_value(text, error_value="(error)", parse_result=False)


def expect(line, what, template, payload, wanted):
    got = rendered(template, payload)
    if got != wanted:
        complain(line, f"{what}: {template.template!r} gives {got!r} instead of {wanted!r} for {payload!r}")


def check_templates(line, name, config):
    template = config["value_template"]
    if name.startswith("prediction_"):
        target = name.removeprefix("prediction_")
        expect(line, name, template, PREDICTION, str(PREDICTION[target]))
    elif name.startswith("residual_"):
        target = name.removeprefix("residual_")
        expect(line, name, template, PREDICTION, str(PREDICTION["residuals"].get(target)))
    elif config["state_topic"].endswith("/state"):
        for payload, quality, alarm, _ in STATES:
            expect(line, name, template, payload, quality if name == "quality" else alarm)
            if "json_attributes_template" in config:
                attributes = json.loads(rendered(config["json_attributes_template"], payload))
                if payload and attributes["reasons"] != payload["reasons"]:
                    complain(line, f"{name}: attributes {attributes}")
    elif name.startswith("alarm_"):
        wanted = "ON" if name.removeprefix("alarm_") in HEALTH["alarms"]["standing"] else "OFF"
        expect(line, name, template, HEALTH, wanted)
    elif rendered(template, HEALTH) in ("", "(error)", "None"):
        complain(line, f"{name}: {template.template!r} gives nothing")
    for topic in config["availability"]:
        if "value_template" in topic:
            for payload, _, _, available in STATES:
                expect(line, f"{name}: availability", topic["value_template"], payload, available)


def check_units(line, name, config):
    device_class, unit = config.get("device_class"), config.get("unit_of_measurement")
    if device_class in DEVICE_CLASS_UNITS and unit not in DEVICE_CLASS_UNITS[device_class]:
        complain(line, f"{name}: device class {device_class} has no unit {unit}")
    state_class = config.get("state_class")
    if state_class and device_class and state_class not in DEVICE_CLASS_STATE_CLASSES.get(device_class, ()):
        complain(line, f"{name}: device class {device_class} has no state class {state_class}")


def check(line, warnings):
    counts["documents"] += 1
    object_id = line["topic"].split("/")[-2]
    trimmed = line["topic"].removeprefix("homeassistant/")
    if not discovery.TOPIC_MATCHER.match(trimmed):
        complain(line, "is no topic of discovery")
    payload = json.dumps(line["payload"])
    device = discovery._parse_device_payload(MagicMock(), payload, object_id, None)
    if not device:
        complain(line, f"is refused: {warnings.seen}")
        return
    DEVICE_DISCOVERY_SCHEMA(copy.deepcopy(dict(device)))
    seen = set()
    for name, component in device[CONF_COMPONENTS].items():
        platform = component.pop("platform")
        if not component:
            counts["removals"] += 1
            continue
        counts["components"] += 1
        merged = discovery.MQTTDiscoveryPayload(component)
        merged["device"], merged["origin"] = device["device"], device["origin"]
        discovery._merge_common_device_options(merged, device)
        try:
            config = PLATFORMS[platform](dict(merged))
        except vol.Invalid as error:
            complain(line, f"{name}: {error}")
            continue
        if config["unique_id"] in seen:
            complain(line, f"{name}: its unique_id stands twice")
        seen.add(config["unique_id"])
        # The schema leaves out keys that it does not know.
        for key in set(merged) - set(config):
            complain(line, f"{name}: {key} is no option of a {platform}")
        if platform == "binary_sensor" and "device_class" in config:
            BINARY_CLASSES(config["device_class"])
        check_units(line, name, config)
        if "value_template" in config:
            check_templates(line, name, config)


async def main():
    global hass
    # The templates ask for it; nothing of it is started.
    hass = HomeAssistant(tempfile.mkdtemp())
    frame.async_setup(hass)
    warnings = Warnings()
    logging.getLogger("homeassistant").addHandler(warnings)
    with open(sys.argv[1], encoding="utf-8") as lines:
        for text in lines:
            line = json.loads(text)
            warnings.seen.clear()
            check(line, warnings)
            for warning in warnings.seen:
                complain(line, f"Home Assistant warns: {warning}")
    if counts["components"] < 50 or counts["removals"] < 1 or counts["templates"] < 200:
        complaints.append(f"too little was looked at: {counts}")
    for complaint in complaints:
        print(complaint)
    print(f"Home Assistant {__version__}: {counts}, {len(complaints)} complaints")
    return 1 if complaints else 0


sys.exit(asyncio.run(main()))
