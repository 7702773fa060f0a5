"""Action types of tools nobody has seen: the table a person makes, the rules for the rest, and the drafted table."""

import re
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from places import ROOT

from specacts.bfcl.tasks import load_docs
from specacts.core.comparison import Rule
from specacts.core.episodes import Tool
from specacts.core.errors import UserError
from specacts.core.words import SPEAKING
from specacts.traces.tool_types import CALL_TYPES, MEANINGS, Drafted, Typed, TypeMap, draft, load_type_map, type_of

BFCL = ROOT / "configs/action_types/bfcl.yaml"
EMPTY = TypeMap({}, {})

quick = hypothesis_settings(max_examples=40, deadline=None, derandomize=True, database=None)
thorough = hypothesis_settings(max_examples=100, deadline=None, derandomize=True, database=None)


def tool(name: str, *parameters: str, description: str = "", required: tuple[str, ...] | None = None) -> Tool:
    schema = {"type": "object", "properties": {parameter: {"type": "string"} for parameter in parameters}}
    if required is not None:
        schema["required"] = list(required)
    return Tool(name=name, description=description, parameters=schema if parameters else {})


def default(*args, **kwargs) -> Typed:
    return type_of(tool(*args, **kwargs), EMPTY)


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


# -- the rules ------------------------------------------------------------------------------------------------


def test_a_call_can_have_every_type_that_neither_speaks_nor_repairs():
    assert set(CALL_TYPES) == {"tool_call", "retrieval", "file_read", "file_write", "verifier"}
    assert not SPEAKING.intersection(CALL_TYPES)
    assert set(MEANINGS) == set(CALL_TYPES)


@pytest.mark.parametrize(
    ("expected", "names"),
    [
        (
            "file_read",
            "read_file read_text_file list_directory directory_tree get_file_info search_files grep grep_search glob "
            "ls cat pwd Read Glob Grep NotebookRead fs.readFile FileReadTool mcp__filesystem__read_text_file",
        ),
        (
            "file_write",
            "write_file create_file delete_file move_file str_replace_editor str_replace_based_edit_tool text_editor "
            "edit Edit MultiEdit Write NotebookEdit apply_patch mkdir create_or_update_file FileWriterTool",
        ),
        (
            "retrieval",
            "web_search search_code WebFetch get_order_details find_user_id_by_email list_all_product_types "
            "query_database sql_query read_query vector_store.search lookup_policy get_weather users_list book_search "
            "mcp__github__search_code retriever fetch get_user_details search_direct_flight view_messages_sent",
        ),
        (
            "verifier",
            "run_tests run_unit_tests pytest lint validate_address check_inventory verify_identity compare_versions "
            "estimate_distance git_diff is_available has_access file_exists health_check get_login_status",
        ),
        (
            "tool_call",
            "bash execute_command run_terminal_cmd TodoWrite cancel_pending_order modify_pending_order_items calculate "
            "calculator think transfer_to_human_agents send_email browser_click page_goto create_issue write_query "
            "send_test_email book_test_drive check_out find_and_replace search_replace sort_list upload_file run_file "
            "return_delivered_order_items vector_store shopping_list confirm_booking frobnicate",
        ),
    ],
)
def test_names_that_agents_offer_say_what_a_call_is(expected, names):
    assert {name: type_of(Tool(name=name), EMPTY).type for name in names.split()} == dict.fromkeys(
        names.split(), expected
    )


def test_words_are_found_however_a_name_is_spelled():
    for name in ("search_code", "searchCode", "SearchCode", "SEARCH-CODE", "code.search", "code/search:v2", "search 2"):
        assert default(name)[:2] == ("retrieval", "name"), name


def test_the_namespace_of_a_name_does_not_count():
    assert default("mcp__search_server__send_email").type == "tool_call"
    assert default("search__").type == "retrieval"  # nothing follows: the whole name


def test_a_vague_name_with_a_path_is_a_file_tool_of_the_kind_its_verb_says():
    assert default("view", "path") == Typed("file_read", "schema", "takes a path")
    assert default("find", "path", "name").type == "file_read"
    assert default("sort", "file_name").type == "file_read"
    assert default("insert_line", "filePath", "insert_line").type == "file_write"
    assert default("undo", "path") == Typed("file_write", "schema", "takes a path")
    assert default("search", "path", "text").type == "file_read"


def test_a_path_beside_content_is_written_to():
    assert default("echo", "content", "file_name") == Typed("file_write", "schema", "takes a file_name and content")
    assert default("create_python_script", "path", "content").type == "file_write"
    assert default("artifact", "directory", "new_str").type == "file_write"


def test_a_clear_name_is_believed_whatever_the_schema_says():
    assert default("send_email", "path", "content").type == "tool_call"
    assert default("list_commits", "repo", "path").type == "retrieval"
    assert default("validate", "path").type == "verifier"


def test_a_query_alone_is_retrieval_if_the_name_says_nothing():
    assert default("knowledge_base", "query") == Typed("retrieval", "schema", "takes only a query")
    assert default("tavily", "query", "max_results", required=("query",)).type == "retrieval"
    assert default("tavily", "query", "topic", required=("query", "topic")).type == "tool_call"
    assert default("ask_human", "question").type == "tool_call"


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        ("Returns the forecast for a city.", "retrieval"),
        ("Look up a customer", "retrieval"),
        ("Use this tool to search the web.", "retrieval"),
        ("A tool that can be used for retrieving documents", "retrieval"),
        ("Queries the catalogue", "retrieval"),
        ("Read the given file", "file_read"),
        ("Creates a new folder.", "file_write"),
        ("Validates an address. Returns nothing.", "verifier"),
        ("Determines whether the user may act", "verifier"),
        ("Sends the report after searching it", "tool_call"),
        ("Something that we provide", "tool_call"),
        ("The this a", "tool_call"),
        ("", "tool_call"),
    ],
)
def test_a_description_counts_where_name_and_schema_say_nothing(description, expected):
    assert default("frobnicate", description=description).type == expected
    assert default("cancel_order", description=description)[:2] == ("tool_call", "name")


def test_every_rule_says_why():
    types = TypeMap({"a": "verifier"}, {"fs_*": "file_read"})
    assert type_of(Tool(name="a"), types) == Typed("verifier", "mapping", "mapped by hand")
    assert type_of(Tool(name="fs_x"), types) == Typed("file_read", "pattern", 'matches "fs_*"')
    assert default("web_search").why == 'its name says "search"'
    assert default("x", description="Returns a joke") == Typed("retrieval", "description", 'described as "Returns ..."')
    assert default("x") == Typed("tool_call", "default", "nothing in its name, schema or description says more")


@pytest.mark.parametrize(
    "name", ["", "__", "a__", "読む", "🦙" * 256, "{{ x }}{% y %}", "a b\nc", "[", "x" * 256, "123"]
)
def test_a_strange_name_is_a_tool_call(name):
    assert type_of(Tool(name=name), EMPTY).type == "tool_call"


nonsense = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["path", "query", "content"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["properties", "required", "type", "path", "query"]), inner, max_size=3)
    ),
    max_leaves=5,
)


@quick
@given(
    st.text(max_size=256),
    st.text(max_size=80),
    st.dictionaries(st.sampled_from(["properties", "required", "type"]), nonsense),
)
@example("x", "", {"properties": ["path"], "required": [["path"], {}]})
@example("x", "", {"properties": {"path": None, 3: {}}, "required": "path"})
def test_no_name_description_or_schema_fails(name, description, schema):
    typed = type_of(Tool.model_construct(name=name, description=description, parameters=schema), EMPTY)
    assert typed.type in CALL_TYPES
    assert typed.why.isprintable()


def test_the_rules_agree_with_most_reviewed_types_of_bfcl(bfcl):
    reviewed = yaml.safe_load(BFCL.read_text(encoding="utf-8"))
    tools = [each for tools in load_docs(bfcl).values() for each in tools]
    agreeing = sum(type_of(each, EMPTY).type == reviewed[each.name] for each in tools)
    by_name_alone = sum(type_of(Tool(name=each.name), EMPTY).type == reviewed[each.name] for each in tools)
    assert agreeing >= 124  # of 128; the others are odd: filter, notify and display verify or act there
    assert by_name_alone >= 121


# -- the table ------------------------------------------------------------------------------------------------


def test_a_table_tells_names_from_patterns(tmp_path):
    text = 'search: file_read\nfs_*: file_read\n"*": verifier\n"?[!a]": tool_call\n"run[*]": retrieval\n'
    types = load_type_map(written(tmp_path / "types.yaml", text))
    assert types.names == {"search": "file_read", "run*": "retrieval"}
    assert types.patterns == {"fs_*": "file_read", "*": "verifier", "?[!a]": "tool_call"}


def test_an_exact_name_wins_and_then_the_first_pattern(tmp_path):
    text = '"*": verifier\nget_*: retrieval\nget_x: file_read\n"run[*]": retrieval\n'
    types = load_type_map(written(tmp_path / "types.yaml", text))
    assert type_of(Tool(name="get_x"), types)[:2] == ("file_read", "mapping")
    assert type_of(Tool(name="get_y"), types)[:2] == ("verifier", "pattern")
    assert type_of(Tool(name="run*"), types)[:2] == ("retrieval", "mapping")


def test_patterns_mind_upper_and_lower_case():
    assert type_of(Tool(name="Get_x"), TypeMap({}, {"get_*": "verifier"})).rule == "name"


def test_the_reviewed_table_of_bfcl_is_one():
    assert len(load_type_map(BFCL).names) == 128


def test_a_tool_may_have_rules_for_its_arguments(tmp_path):
    text = (
        "send: {type: tool_call, compare: {body: {text: 0.6}, to: exact, items.price: {number: 1e-3}, id: ignore}}\n"
        'fs_*:\n  type: file_read\n  compare:\n    "": ignore\n"run[*]": {type: verifier, compare: {}}\n'
    )
    types = load_type_map(written(tmp_path / "types.yaml", text))
    assert types.names == {"send": "tool_call", "run*": "verifier"} and types.patterns == {"fs_*": "file_read"}
    assert type_of(Tool(name="send"), types).compare == {
        "body": Rule("text", 0.6),
        "items.price": Rule("number", 0.001),
        "id": Rule("ignore"),
    }
    assert type_of(Tool(name="fs_x"), types).compare == {"": Rule("ignore")}
    assert type_of(Tool(name="run*"), types).compare == type_of(Tool(name="other"), types).compare == {}


def test_a_file_of_comments_is_an_empty_table(tmp_path):
    assert load_type_map(written(tmp_path / "types.yaml", "# later\n")) == EMPTY


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: file_read\nb: reads\n", ":2: b: 'reads' is not one of tool_call, "),
        ("a: final_answer\n", ":1: a: 'final_answer' is not one of "),
        ("a: repair\n", ":1: a: 'repair' is not one of "),
        ("a: [file_read]\n", ":1: a: 'a sequence' is not one of "),
        ("a: {compare: {}}\n", ":1: a: has no `type`: one of tool_call, "),
        ("a: {type: look}\n", ":1: a: type: 'look' is not one of "),
        ("a: {type: tool_call, rules: {}}\n", ":1: a: rules: unknown; a tool has `type` and `compare`"),
        ("a:\n  type: tool_call\n  compare: [b]\n", ":3: a: compare: should map arguments to rules"),
        ("a: {type: tool_call, compare: {b: fuzzy}}\n", ":1: a: compare: b: 'fuzzy' is not a rule; write exact, "),
        ("a: {type: tool_call, compare: {b: text}}\n", ":1: a: compare: b: 'text' is not a rule; write exact, "),
        (
            "a: {type: tool_call, compare: {b: {like: 1}}}\n",
            ":1: a: compare: b: like: is not a rule with a value; write ",
        ),
        ("a: {type: tool_call, compare: {b: {}}}\n", ":1: a: compare: b: an argument has one rule; write exact, "),
        ("a: {type: tool_call, compare: {b: {text: 1, number: 1}}}\n", ":1: a: compare: b: an argument has one rule; "),
        (
            "a: {type: tool_call, compare: {b: {text: 1.01}}}\n",
            ":1: a: compare: b: text: '1.01' is not a share of words ",
        ),
        ("a: {type: tool_call, compare: {b: {text: 0}}}\n", ":1: a: compare: b: text: '0' is not a share of words "),
        (
            "a: {type: tool_call, compare: {b: {text: .nan}}}\n",
            ":1: a: compare: b: text: '.nan' is not a share of words ",
        ),
        ("a: {type: tool_call, compare: {b: {number: 5}}}\n", ":1: a: compare: b: number: '5' is not a share of the "),
        (
            "a: {type: tool_call, compare: {b: {number: -0.1}}}\n",
            ":1: a: compare: b: number: '-0.1' is not a share of ",
        ),
        (
            "a: {type: tool_call, compare: {b: {number: [1]}}}\n",
            ":1: a: compare: b: number: 'a sequence' is not a share",
        ),
        ("a: {type: tool_call, compare: {no: exact}}\n", ":1: a: compare: no: YAML does not read this as text; "),
        ("a: {type: tool_call, compare: {b: exact, b: ignore}}\n", ":1: a: compare: b: is listed a second time, "),
        ("a: {type: tool_call, compare: {[b]: exact}}\n", ":1: a: compare: a sequence: is no argument"),
        ("a:\n", ":1: a: '' is not one of "),
        ("a: file_read\n\nyes: file_read\n", ':3: yes: YAML does not read this as text; quote it: "yes"'),
        ("123: file_read\n", ':1: 123: YAML does not read this as text; quote it: "123"'),
        ("? [a, b]\n: file_read\n", ":1: a sequence: is no tool name"),
        ("a: file_read\nb: verifier\na: verifier\n", ":3: a: is listed a second time, first in line 1"),
        ("- a\n", ":1: should map tool names to action types"),
        ("file_read\n", ":1: should map tool names to action types"),
        ("a: b: c\n", ":1: not valid YAML ("),
        ("a: file_read\n*_read: file_read\n", ":2: not valid YAML ("),
        ('"\\UFFFFFFFF": file_read\n', ": not valid YAML ("),
        ("[" * 600, ": not valid YAML ("),
        ("a: file_read\n\x00", ": not valid YAML ("),
    ],
)
def test_a_wrong_table_is_refused_with_its_line(tmp_path, text, message):
    path = written(tmp_path / "types.yaml", text)
    with pytest.raises(UserError) as raised:
        load_type_map(path)
    assert str(raised.value).startswith(f"{path}{message}")
    assert "\n" not in str(raised.value)


def test_a_table_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        load_type_map(tmp_path / "missing.yaml")
    with pytest.raises(UserError, match="cannot be read"):
        load_type_map(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"\xe9: file_read\n")
    with pytest.raises(UserError, match="not valid YAML"):
        load_type_map(tmp_path / "latin.yaml")


# -- the draft ------------------------------------------------------------------------------------------------


def test_a_draft_lists_the_most_called_first_and_says_why():
    tools = [(tool("b"), 1), (tool("web_search"), 412), (tool("a"), 1), (tool("never"), 0)]
    text = draft(tools, EMPTY, "traces.jsonl")
    assert text.startswith("# Which action type a call of each tool is, drafted from traces.jsonl.")
    assert all(f"#   {action_type}" in text for action_type in CALL_TYPES)
    assert [line for line in text.splitlines() if line and not line.startswith("#")] == [
        'web_search: retrieval   # 412 calls; its name says "search"',
        "a: tool_call   # 1 call; nothing in its name, schema or description says more",
        "b: tool_call   # 1 call; nothing in its name, schema or description says more",
        "never: tool_call   # 0 calls; nothing in its name, schema or description says more",
    ]
    assert max(map(len, text.splitlines())) <= 120


def test_a_draft_holds_the_rules_that_were_found_and_those_made_by_hand(tmp_path):
    found = {
        "send": {"body": Drafted(Rule("text", 0.6), "12 texts"), "yes": Drafted(Rule("number", 0.001), "3 numbers")},
        "look": {"id": Drafted(Rule("ignore"), "9 values")},
    }
    by_hand = TypeMap({"look": "verifier"}, {}, {"look": {"a: b": Rule("text", 1.0), "#": Rule("ignore")}})
    text = draft([(tool("send"), 12), (tool("look"), 9)], by_hand, "here", found)
    assert "send:   # 12 calls; its name says " in text
    assert "  type: tool_call\n  compare:\n    body: {text: 0.6}   # 12 texts\n" in text
    loaded = load_type_map(written(tmp_path / "types.yaml", text))
    assert loaded.names == {"send": "tool_call", "look": "verifier"}
    assert loaded.compare == {"send": {n: one.rule for n, one in found["send"].items()}, **by_hand.compare}


def test_tools_of_one_name_share_a_line():
    text = draft([(tool("x", "path"), 2), (tool("y"), 3), (tool("x"), 2)], EMPTY, "here")
    assert re.findall("^[xy].*calls", text, re.MULTILINE) == ["x: file_read   # 4 calls", "y: tool_call   # 3 calls"]


def test_a_draft_without_tools_is_an_empty_table(tmp_path):
    assert load_type_map(written(tmp_path / "types.yaml", draft([], EMPTY, "nothing"))) == EMPTY


def test_nothing_breaks_out_of_a_comment(tmp_path):
    types = TypeMap({}, {"x*\nevil: verifier": "retrieval", "y\u2028evil: verifier*": "retrieval"})
    tools = [(Tool(name="x1\nevil: verifier"), 1), (Tool(name="y\u2028evil: verifier2"), 1)]
    loaded = load_type_map(written(tmp_path / "types.yaml", draft(tools, types, "a\nevil: verifier\x85\x00")))
    assert loaded.names == {each.name: "retrieval" for each, _ in tools}


names = st.text(max_size=40) | st.text(alphabet="*?[]!a-", max_size=6) | st.sampled_from(["get_x", "*x", "write_file"])
described = st.builds(
    tool,
    names,
    st.sampled_from(["path", "content", "query", "x"]),
    description=st.sampled_from(["Returns x", "Reads a file\nevil: verifier", "# x: y", ""]),
)


@thorough
@given(
    st.lists(st.tuples(described, st.integers(0, 9)), unique_by=lambda pair: pair[0].name, max_size=6),
    st.dictionaries(names, st.sampled_from(CALL_TYPES), max_size=2),
    st.dictionaries(names, st.sampled_from(CALL_TYPES), max_size=2),
)
@example(
    [(Tool(name=name), 1) for name in ("yes", "null", "123", "1.5", "<<", "=", "~", "", " ", "2020-01-01")], {}, {}
)
@example([(Tool(name=name), 1) for name in ("*a", "[*]", "[[]", "a]", "?", "? a", "- a", "&a", "!a", "@", "`")], {}, {})
@example(
    [(Tool(name=name), 1) for name in ("a\nb", "a\r\nb", "a: b", "a:", "a #b", "#", "'\"\\", "---", "\ufeff")], {}, {}
)
@example([(Tool(name=name), 1) for name in ("\x01" * 256, "🦙" * 256, "a b " * 600, "\x85", "\u2028\u2029")], {}, {})
@example([(Tool(name="*x"), 1), (Tool(name="yx"), 1)], {}, {"y*": "verifier"})
def test_a_draft_loads_back_to_the_same_types(tmp_path_factory, tools, exact, patterns):
    types = TypeMap(exact, patterns)
    path = written(tmp_path_factory.getbasetemp() / "types.yaml", draft(tools, types, "somewhere"))
    loaded = load_type_map(path)
    for each, _ in tools:
        assert type_of(each, loaded)[:2] == (type_of(each, types).type, "mapping")
    assert set(loaded.names) == {each.name for each, _ in tools}
    assert not loaded.patterns
