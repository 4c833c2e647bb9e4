"""Schemas: the short form, the traps of draft 2020-12, hostile input, and text that keeps its own characters."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from llmcli.errors import UserError
from llmcli.schema import Fault, Fit, Shape, choice, shape_from
from llmcli.schema.json_text import JSONTextError, parse


def fit(shape: Shape, text: str) -> Fit:
    found = shape.judge(text)
    assert isinstance(found, Fit), found
    return found


def fault(shape: Shape, text: str) -> Fault:
    found = shape.judge(text)
    assert isinstance(found, Fault), found
    return found


def schema(spec: str, **more: Any) -> Any:
    return shape_from(spec, **more).schema


def closed(properties: dict[str, Any], *optional: str) -> dict[str, Any]:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def test_short_form_reads_types_marks_and_descriptions() -> None:
    assert schema("name, age int, kind cat|dog, tags[], note?: any remark, scores[] int") == closed(
        {
            "name": {"type": "string"},
            "age": {"type": "integer"},
            "kind": {"type": "string", "enum": ["cat", "dog"]},
            "tags": {"type": "array", "items": {"type": "string"}},
            "note": {"type": "string", "description": "any remark"},
            "scores": {"type": "array", "items": {"type": "integer"}},
        },
        "note",
    )


def test_short_form_with_lines_keeps_commas_of_a_description() -> None:
    found = schema("name, ok bool\n bio: short, but kind \nheight float\n\n")
    assert found["properties"]["bio"] == {"type": "string", "description": "short, but kind"}
    assert list(found["properties"]) == ["name", "ok", "bio", "height"]


def test_brackets_and_multi_wrap_in_items() -> None:
    assert (
        schema("[name]") == schema("name", multi=True) == closed({"items": {"type": "array", "items": schema("name")}})
    )
    assert schema("tags[]")["properties"]["tags"]["type"] == "array"


@pytest.mark.parametrize(
    "spec",
    ["", " ", ",", "age integer", "a b c", "name, name", "[name", "name]", "kind a|", "kind a|a", "na:me: x, :y"],
)
def test_broken_short_form_is_wrong_use(spec: str) -> None:
    with pytest.raises(UserError):
        shape_from(spec)


def test_schema_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "cat.json"
    file.write_text(json.dumps({"type": "object", "properties": {"a": {"type": "integer"}}}))
    assert schema(str(file)) == schema(f"@{file}") == json.loads(file.read_text())


@pytest.mark.parametrize(
    "spec",
    [
        '{"type": "strin"}',
        '{"type": "object"',
        '{"a": 1, "a": 2}',
        "@/no/such/file",
        "none.json",
        "@",
        '{"pattern": "("}',
        '{"properties": {"a": {"minimum": "x"}}}',
        '{"$ref": "http://127.0.0.1:9/x"}',
        '{"$defs": {"a": {"$ref": "file:///etc/passwd"}}}',
        '{"$schema": "http://127.0.0.1:9/meta"}',
        '{"$ref": "#/$defs/none"}',
        '{"pattern": "(a{1000}){1000}"}',
        '{"properties": {"a": ' * 150 + "{}" + "}}" * 150,
        '{"properties": {"a": ' * 5000 + "{}" + "}}" * 5000,
    ],
)
def test_broken_schema_is_wrong_use(spec: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        shape_from(spec)
    assert len(caught.value.message) < 1000


TRAPS: tuple[tuple[str, Any, str, bool], ...] = (
    ("multipleOf is exact", {"multipleOf": 0.01}, "0.07", True),
    ("multipleOf is exact for others", {"multipleOf": 0.01}, "0.075", False),
    ("1.0 is an integer", {"type": "integer"}, "1.0", True),
    ("1e2 is an integer", {"type": "integer"}, "1e2", True),
    ("large numbers keep their last digit", {"const": 9007199254740992}, "9007199254740993", False),
    ("a number beyond a double is larger than one", {"maximum": 1e308}, "1e400", False),
    ("\\d takes ASCII digits only", {"pattern": "^\\d+$"}, '"٣"', False),
    ("\\p{L} takes letters of every script", {"pattern": "^\\p{L}+$"}, '"é"', True),
    ("a pattern is not anchored", {"pattern": "b"}, '"abc"', True),
    ("length counts code points", {"maxLength": 1}, '"🐟"', True),
    ("true is not 1", {"enum": [1]}, "true", False),
    ("1 and true are unique", {"uniqueItems": True}, "[1, true]", True),
    ("1 and 1.0 are not unique", {"uniqueItems": True}, "[1, 1.0]", False),
    ("items follow prefixItems", {"prefixItems": [{"type": "string"}], "items": False}, '["a", 1]', False),
    ("minContains 0 needs none", {"contains": {"const": 1}, "minContains": 0}, "[]", True),
    ("a sibling of $ref counts", {"$defs": {"a": {}}, "$ref": "#/$defs/a", "type": "string"}, "1", False),
    (
        "unevaluatedProperties sees through allOf",
        {"allOf": [{"properties": {"a": {}}}], "unevaluatedProperties": False},
        '{"a": 1}',
        True,
    ),
    ("unevaluatedItems sees contains", {"contains": {"const": 1}, "unevaluatedItems": False}, "[1, 2]", False),
    ("dependentRequired", {"dependentRequired": {"a": ["b"]}}, '{"a": 1}', False),
    ("format is an annotation", {"format": "email"}, '"no mail"', True),
    (
        "$dynamicRef reaches the outermost",
        {
            "$id": "https://example.com/outer",
            "$ref": "tree",
            "$dynamicAnchor": "node",
            "$defs": {
                "tree": {
                    "$id": "tree",
                    "$dynamicAnchor": "node",
                    "properties": {"children": {"items": {"$dynamicRef": "#node"}}},
                }
            },
            "unevaluatedProperties": False,
        },
        '{"children": [{"daat": 1}]}',
        False,
    ),
)


@pytest.mark.parametrize(("rule", "of", "text", "fits"), TRAPS, ids=[trap[0] for trap in TRAPS])
def test_traps_of_draft_2020_12(rule: str, of: Any, text: str, fits: bool) -> None:
    assert isinstance(Shape(of).judge(text), Fit) == fits


@pytest.mark.parametrize(
    "pattern",
    ["^(a+)+$", "^(?=a)(a|aa)+(?!c)$", r"^(a*)*\1b$", r"(?=a)" + "(.*)" * 30 + r"\1\2z$", r"(?=(a+)+)\1*((a*)*)*$"],
)
@pytest.mark.parametrize("size", [40, 20_000, 1_000_000])
def test_hostile_pattern_ends_soon(pattern: str, size: int) -> None:
    shape = Shape({"pattern": pattern})
    begun = time.monotonic()
    shape.judge(json.dumps("a" * size + "b"))
    assert time.monotonic() - begun < 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "ends"),
        ("NaN", "no JSON value"),
        ("Infinity", "no JSON value"),
        ("01", "after the JSON"),
        ("{'a': 1}", "quotes"),
        ('{"a": 1,}', "quotes"),
        ("[1,]", "no JSON value"),
        ('{"a": 1} {"a": 2}', "after the JSON"),
        ('{"a": 1, "a": 2}', "twice"),
        ('"\\ud800"', "surrogate"),
        ('"a\nb"', "does not end"),
        ("[" * 100_000, "deeper"),
        ("1" * 2000, "more than 1000"),
        ("٣", "no JSON value"),
        ("Sure! {}", "no JSON value"),
    ],
)
def test_text_that_is_no_json_is_a_fault(text: str, said: str) -> None:
    found = fault(Shape({}), text)
    assert (found.rule, found.path) == ("json", "")
    assert said in found.message


def test_parser_agrees_with_the_one_of_python() -> None:
    whole = ' {"a": [1, -2.5e3, true, false, null, {}, [], "x\\n\\u00e9\\ud83d\\ude00é"], "": {"b": 0}} '
    assert parse(whole).data() == json.loads(whole)
    with pytest.raises(JSONTextError, match="line 2, column 3"):
        parse("[1,\n  x]")


def test_fault_names_path_and_rule() -> None:
    shape = shape_from("[name, age int]")
    found = fault(shape, '{"items": [{"name": "a", "age": 1}, {"name": "b", "age": "x"}]}')
    assert (found.path, found.rule) == ("items.1.age", "type")
    assert "items.1.age" in found.message
    assert len(fault(shape, json.dumps({"items": "x" * 10_000})).message) < 500


def test_text_keeps_its_own_characters() -> None:
    text = '{ "n": 1.10000000000000000000001E+2,\n  "s": "\\u00e9\\/" }'
    assert fit(Shape({"type": "object"}), f"\n{text}\n\n").printed == text
    assert fit(Shape({}), "[{ }, [ ]]").printed == "[{ }, [ ]]"


@pytest.mark.parametrize("fence", ["```json\n{}\n```", "```\n\n{}\n\n```\n", "~~~~ json\r\n{}\r\n~~~~", "\ufeff{}"])
def test_one_enclosing_fence_is_forgiven(fence: str) -> None:
    assert fit(Shape({"type": "object"}), fence).printed == "{}"


@pytest.mark.parametrize("text", ["```json\n{}\n```\nDone.", "Here:\n```json\n{}\n```", "```json\n{}", "````\n{}\n```"])
def test_other_text_around_is_not(text: str) -> None:
    fault(Shape({"type": "object"}), text)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ('{"name": "a", "note": null}', '{"name": "a"}'),
        ('{"note": null, "name": "a"}', '{ "name": "a"}'),
        ('{"name": "a", "note": null, "age": null}', '{"name": "a"}'),
        ('{"note":null,"name":"a","age":null}', '{"name":"a"}'),
        ('{\n  "note": null,\n  "name": "a"\n}', '{\n  "name": "a"\n}'),
    ],
)
def test_null_of_an_optional_property_is_left_out(text: str, left: str) -> None:
    found = fit(shape_from("name, note?, age? int"), text)
    assert json.loads(found.printed) == json.loads(left) == found.data == {"name": "a"}
    assert found.printed.replace("{ ", "{") == left.replace("{ ", "{")


def test_null_is_left_out_below_references_and_in_arrays() -> None:
    of = {
        "$defs": {"n": {"type": "object", "properties": {"a": {"type": "string"}, "n": {"$ref": "#/$defs/n"}}}},
        "type": "array",
        "items": {"anyOf": [{"$ref": "#/$defs/n"}, {"type": "null"}]},
    }
    found = fit(Shape(of), '{"response": [{"a": null, "n": {"a": "x", "n": null}}, null, {"a": null}]}')
    assert found.printed == '[{ "n": {"a": "x"}}, null, {}]'


def test_null_of_a_required_property_stays() -> None:
    of = {"type": "object", "properties": {"a": {"type": ["string", "null"]}}, "required": ["a"]}
    assert fit(Shape(of), '{"a": null, "other": null}').printed == '{"a": null, "other": null}'


def test_get_prints_one_value() -> None:
    found = fit(Shape({}), '{"a": {"b": [1.50, "x\\ny", {"c.d": [ 1 ]}]}, "t": true}')
    assert found.get("a.b.0") == "1.50"
    assert found.get("a.b.1") == "x\ny"
    assert found.get("a.b.2.c.d") == "[ 1 ]"
    assert found.get("t") == "true"
    for path in ("a.b.3", "a.x", "t.x", "a.b.-1", "", "a.b.\u0660", "a.b.99999999999999999999"):
        missing = found.get(path)
        assert isinstance(missing, Fault), path
        assert missing.path == path


def test_get_of_a_property_that_cannot_be_is_wrong_use() -> None:
    shape = shape_from("[name, age int]")
    shape.check_path("items.0.age")
    with pytest.raises(UserError, match="agee"):
        shape.check_path("items.0.agee")


def test_choice_takes_a_bare_word_a_string_and_the_object_that_was_sent() -> None:
    shape = choice(["yes", "no", "not now"])
    for text in ("yes", '"yes"', '{"response": "yes"}', '```json\n{"response": "yes"}\n```', "\nyes\n"):
        found = fit(shape, text)
        assert (found.printed, found.data) == ("yes", "yes")
    for text in ("Yes", "yes.", "maybe", '{"no": "yes"}', "yes or no"):
        fault(shape, text)


@pytest.mark.parametrize("words", [[], ["yes"], ["yes", ""], ["yes", "yes "]])
def test_choice_needs_two_words(words: list[str]) -> None:
    with pytest.raises(UserError):
        choice(words)


def test_what_is_sent_is_an_object() -> None:
    plain = {"type": "object", "properties": {}}
    assert Shape(plain).sent is plain
    tree = {"type": "array", "items": {"anyOf": [{"$ref": "#"}, {"$ref": "#/$defs/a"}]}, "$defs": {"a": {"const": 1}}}
    shape = Shape(tree)
    assert shape.sent == closed(
        {"response": {"type": "array", "items": {"anyOf": [{"$ref": "#/properties/response"}, {"$ref": "#/$defs/a"}]}}}
    ) | {"$defs": {"a": {"const": 1}}}
    assert fit(shape, '{"response": [[1], 1]}').printed == fit(shape, "[[1], 1]").printed == "[[1], 1]"
    assert isinstance(Shape(shape.sent).judge('{"response": [[1], 1]}'), Fit)
    assert Shape({"type": "object", "anyOf": [{}]}).wrapped


def test_multi_mends_references() -> None:
    tree = '{"type": "object", "properties": {"a": {"$ref": "#"}, "b": {"$ref": "#/$defs/b"}}, '
    tree += '"$defs": {"b": {"const": 1}}}'
    shape = shape_from(tree, multi=True)
    fit(shape, '{"items": [{"a": {"a": {}, "b": 1}}]}')
    fault(shape, '{"items": [{"a": {"a": {"b": 2}}}]}')
