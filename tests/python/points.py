"""Point lists read by the parsers of others: CSV, BACnet's names (bacpypes3), Haystack (phable), Brick (rdflib).

Usage: points.py [--program target/debug/cooltwin]. Exits with 1 and what is wrong.
"""

import argparse
import csv
import importlib.util
import io
import json
import pathlib
import re
import subprocess
import sys

import rdflib
from bacpypes3.basetypes import EngineeringUnits
from bacpypes3.primitivedata import ObjectIdentifier
from phable.io.ph_json import ph_from_json
from phable.kinds import Grid, Marker, Ref

UNITS = ["cooler-01", "Kühlraum 3 (Süd), neu", "a_b.c"]
BRICK = rdflib.Namespace("https://brickschema.org/schema/Brick#")
REF = rdflib.Namespace("https://brickschema.org/schema/Brick/ref#")
UNIT = rdflib.Namespace("http://qudt.org/vocab/unit/")
BACNET = rdflib.Namespace("http://data.ashrae.org/bacnet/2020#")
# Units of QUDT (https://qudt.org/vocab/unit) that Brick has no use for; PERMILLE is there since 3.1.7.
NOT_IN_BRICK = ["GAL_US-PER-MIN", "REV-PER-MIN", "FT-PER-MIN", "PERMILLE"]
# Three targets: three predictions, the quality, three residuals, one alarm.
OUTPUTS = 8
# The sensors, and what measures each target.
INPUTS = 20 + 3

complaints = []


def expect(is_right, text):
    if not is_right:
        complaints.append(text)


def listed(program, form, *arguments):
    names = [part for unit in UNITS for part in ("--unit", unit)]
    command = [program, "points", "--format", form, "--inputs", *names, *arguments]
    return subprocess.run(command, check=True, capture_output=True, encoding="utf-8").stdout


def check_csv(text):
    rows = list(csv.DictReader(io.StringIO(text), strict=True))
    expect(len(rows) == len(UNITS) * (OUTPUTS + INPUTS), f"csv: {len(rows)} rows")
    expect([row["unit"] for row in rows[:: OUTPUTS + INPUTS]] == UNITS, "csv: units")
    first = [(row["bacnet_type"], row["bacnet_instance"]) for row in rows[:4]]
    expect(first == [("analog-value", str(number)) for number in range(4)], f"csv: {first}")
    numbers, names = set(), set()
    for row in rows:
        if row["kind"] == "input":
            expect(not row["bacnet_type"], f"csv: an input is a BACnet object: {row}")
            expect(row["topic"] == f"hvac/{row['unit']}/sensors/{row['point']}", f"csv: topic of an input: {row}")
            expect(row["topic"] in row["sources"], f"csv: sources: {row}")
            continue
        identifier = ObjectIdentifier(f"{row['bacnet_type']},{row['bacnet_instance']}")
        expect(identifier not in numbers, f"csv: {identifier} twice")
        expect(row["bacnet_name"] not in names, f"csv: {row['bacnet_name']} twice")
        numbers.add(identifier)
        names.add(row["bacnet_name"])
        if row["bacnet_units"]:
            EngineeringUnits(row["bacnet_units"])
    units = {row["bacnet_units"] for row in rows}
    expect({"degrees-celsius", "cubic-meters-per-hour", "delta-degrees-kelvin"} <= units, f"csv: {units}")
    return rows


def check_json(text, rows):
    points = json.loads(text)["points"]
    expect([point["topic"] for point in points] == [row["topic"] for row in rows], "json: other topics than csv")
    expect(len({point["id"] for point in points}) == len(points), "json: ids are shared")


def check_haystack(text):
    grid = ph_from_json(text)
    expect(isinstance(grid, Grid), "haystack: no grid")
    expect(len(grid.rows) == len(UNITS) * (1 + OUTPUTS + INPUTS), f"haystack: {len(grid.rows)} rows")
    columns = {column.name for column in grid.cols}
    equipment = {row["id"] for row in grid.rows if row.get("equip") == Marker()}
    expect(len(equipment) == len(UNITS), "haystack: equipment")
    ids = [row["id"] for row in grid.rows]
    expect(len(set(ids)) == len(ids), "haystack: ids are shared")
    for row in grid.rows:
        expect(isinstance(row["id"], Ref) and set(row) <= columns, f"haystack: {row}")
        legal = all(c.isascii() and (c.isalnum() or c in "_:-.~") for c in row["id"].val)
        expect(legal, f"haystack: {row['id']}")
        if "point" in row:
            expect(row["equipRef"] in equipment, f"haystack: {row['id']} of no equipment")
            expect(row["kind"] in ("Number", "Str", "Bool"), f"haystack: {row}")
            expect(row["mqttTopic"] and ("mqttSources" in row) == (row["cooltwinKind"] == "input"), f"haystack: {row}")


def ontologies():
    package = pathlib.Path(importlib.util.find_spec("brickschema").origin).parent
    return package / "ontologies"


def brick_units():
    """Every unit of QUDT that any version of Brick or an extension of it names."""
    found = set(NOT_IN_BRICK)
    for path in ontologies().rglob("*.ttl"):
        text = path.read_text(encoding="utf-8")
        found.update(re.findall(r"\bunit:([A-Za-z][\w-]*)", text))
        found.update(re.findall(r"<http://qudt.org/vocab/unit/([\w-]+)>", text))
    return found


def check_spellings(units):
    """The whole table of units, and not only those that the reference bundle has."""
    source = pathlib.Path(__file__).parents[2] / "src" / "domain" / "spelling.rs"
    rows = re.findall(r'^    \("[^"]+", "[^"]+", (?:None|Some\("\w+"\)), \d, "([^"]+)", "[^"]+", "([^"]+)"\),$',
                      source.read_text(encoding="utf-8"), re.MULTILINE)
    expect(len(rows) >= 30, f"spellings: only {len(rows)} rows found")
    for bacnet, qudt in rows:
        try:
            EngineeringUnits(bacnet)
        except ValueError:
            complaints.append(f"spellings: BACnet has no units {bacnet}")
        expect(qudt in units, f"spellings: QUDT, as Brick uses it, has no {qudt}")


def check_brick(text):
    brick = rdflib.Graph().parse(ontologies() / "1.4" / "Brick.ttl", format="turtle")
    known = brick_units()
    check_spellings(known)
    graph = rdflib.Graph().parse(data=text, format="turtle")
    points = set(graph.objects(predicate=BRICK.hasPoint))
    expect(len(points) == len(UNITS) * (OUTPUTS + INPUTS), f"brick: {len(points)} points")
    for subject, kind in graph.subject_objects(rdflib.RDF.type):
        if kind == REF.BACnetReference:
            identifier = str(graph.value(subject, BACNET["object-identifier"]))
            ObjectIdentifier(identifier)
            continue
        expect((kind, rdflib.RDF.type, rdflib.OWL.Class) in brick, f"brick: there is no class {kind}")
        above = set(brick.transitive_objects(kind, rdflib.RDFS.subClassOf))
        root = BRICK.Point if subject in points else BRICK.Equipment
        expect(root in above, f"brick: {kind} is no {root}")
    units = set(graph.objects(predicate=BRICK.hasUnit))
    expect(len(units) >= 5, f"brick: {units}")
    for unit in units:
        expect(unit.removeprefix(UNIT) in known, f"brick: there is no unit {unit}")
    labels = {str(label) for label in graph.objects(predicate=rdflib.RDFS.label)}
    expect(set(UNITS) <= labels, f"brick: {labels}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", default="target/debug/cooltwin")
    program = parser.parse_args().program
    rows = check_csv(listed(program, "csv"))
    check_json(listed(program, "json"), rows)
    check_haystack(listed(program, "haystack"))
    check_brick(listed(program, "brick"))
    moved = list(csv.DictReader(io.StringIO(listed(program, "csv", "--first", "700"))))
    expect(moved[0]["bacnet_instance"] == "700", "csv: --first")
    for complaint in complaints:
        print(complaint)
    print(f"point lists of {len(UNITS)} units, {len(rows)} points: {len(complaints)} complaints")
    sys.exit(1 if complaints else 0)


main()
