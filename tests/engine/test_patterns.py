"""The patterns of recorded sessions, and .dockerignore lists, applied to small trees."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.patterns import (
    Glob,
    Matched,
    PathFilter,
    PatternError,
    PatternList,
    read_ignore_file,
)

TREE = ("a.txt", "b.md", "d/c.txt", "d/e/f.txt", "d/e/g.md", "empty/")
ALL = ["a.txt", "b.md", "d/", "d/c.txt", "d/e/", "d/e/f.txt", "d/e/g.md", "empty/"]
GLOBBED = (
    *("a.txt", "b.md", ".h.txt", "d/c.txt", "d/e/f.txt", "d/e/g.md"),
    *("x1", "x2", "xy", "empty/"),
)


def children(tree: tuple[str, ...], directory: str) -> list[tuple[str, bool]]:
    """The paths directly in `directory` of `tree`, and which are directories."""
    prefix = f"{directory}/" if directory else ""
    found: dict[str, bool] = {}
    for path in tree:
        if path.startswith(prefix):
            name, slash, _ = path[len(prefix) :].partition("/")
            if name:
                found[prefix + name] = bool(slash)
    return sorted(found.items())


def filtered(
    tree: tuple[str, ...],
    include: list[str] | None = None,
    exclude: list[str] | None = None,
) -> list[str]:
    """What the filter leaves of `tree`, as a walk of the engine finds it."""
    rules = PathFilter(include or (), exclude or ())
    kept: dict[str, None] = {}

    def walk(directory: str, state: tuple[Matched, Matched] | None, above: list[str]) -> None:
        for path, is_directory in children(tree, directory):
            step = rules.step(path, directory=is_directory, parent=state)
            shown = f"{path}/" if is_directory else path
            if step.keep:
                kept.update(dict.fromkeys([*above, shown]))
            if step.descend:
                walk(path, step.state, [*above, shown])

    walk("", None, [])
    return list(kept)


def globbed(tree: tuple[str, ...], pattern: str) -> list[str]:
    """What `pattern` names in `tree`."""
    glob = Glob(pattern)
    found: list[str] = []

    def walk(directory: str) -> None:
        for path, is_directory in children(tree, directory):
            if glob.matches(path):
                found.append(f"{path}/" if is_directory else path)
            if is_directory:
                walk(path)

    walk("")
    return found


@pytest.mark.parametrize(
    ("include", "exclude", "expected"),
    [
        pytest.param([], [], ALL, id="all"),
        pytest.param(["*.txt"], [], ["a.txt"], id="inc *.txt"),
        pytest.param(
            ["**/*.txt"],
            [],
            ["a.txt", "d/", "d/c.txt", "d/e/", "d/e/f.txt"],
            id="inc **/*.txt",
        ),
        pytest.param(["d"], [], ALL[2:7], id="inc d"),
        pytest.param(["d/"], [], ALL[2:7], id="inc d/"),
        pytest.param(["d/e"], [], ["d/", "d/e/", "d/e/f.txt", "d/e/g.md"], id="inc d/e"),
        pytest.param(["d/*"], [], ALL[2:7], id="inc d/*"),
        pytest.param(["empty"], [], ["empty/"], id="inc empty"),
        pytest.param(["none"], [], [], id="inc none"),
        pytest.param([], ["*.txt"], ALL[1:], id="exc *.txt"),
        pytest.param([], ["d"], ["a.txt", "b.md", "empty/"], id="exc d"),
        pytest.param([], ["d/"], ["a.txt", "b.md", "empty/"], id="exc d/"),
        pytest.param([], ["**"], [], id="exc **"),
        pytest.param([], ["**/*.md"], [p for p in ALL if p[-2:] != "md"], id="exc **/*.md"),
        pytest.param(
            [],
            ["d", "!d/e/f.txt"],
            ["a.txt", "b.md", "d/", "d/e/", "d/e/f.txt", "empty/"],
            id="exc d !d/e/f.txt",
        ),
        pytest.param(
            [],
            ["d/*", "!d/c.txt"],
            ["a.txt", "b.md", "d/", "d/c.txt", "empty/"],
            id="exc d/* !d/c.txt",
        ),
        pytest.param(
            ["d"],
            ["**/*.md"],
            ["d/", "d/c.txt", "d/e/", "d/e/f.txt"],
            id="inc d exc **/*.md",
        ),
        pytest.param(["d"], ["**/e"], ["d/", "d/c.txt"], id="inc d exc **/e"),
    ],
)
def test_include_and_exclude_leave_what_was_recorded(
    include: list[str], exclude: list[str], expected: list[str]
) -> None:
    assert filtered(TREE, include, exclude) == expected


@pytest.mark.parametrize(
    ("include", "exclude", "expected"),
    [
        (["d/e"], [], ["d/", "d/e/", "d/e/f.txt", "d/e/g.md"]),
        ([], ["d/e"], ["a.txt", "d/", "d/c.txt"]),
        (["**/*.txt"], ["d/*.txt"], ["a.txt", "d/", "d/e/", "d/e/f.txt"]),
        ([], [], ["a.txt", "d/", "d/c.txt", "d/e/", "d/e/f.txt", "d/e/g.md"]),
    ],
)
def test_filter_leaves_what_was_recorded(
    include: list[str], exclude: list[str], expected: list[str]
) -> None:
    assert filtered(("a.txt", "d/c.txt", "d/e/f.txt", "d/e/g.md"), include, exclude) == expected


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*", [".h.txt", "a.txt", "b.md", "d/", "empty/", "x1", "x2", "xy"]),
        (
            "**",
            [
                *(".h.txt", "a.txt", "b.md", "d/", "d/c.txt", "d/e/", "d/e/f.txt"),
                *("d/e/g.md", "empty/", "x1", "x2", "xy"),
            ],
        ),
        ("*.txt", [".h.txt", "a.txt"]),
        ("**/*.txt", [".h.txt", "a.txt", "d/c.txt", "d/e/f.txt"]),
        ("d/*", ["d/c.txt", "d/e/"]),
        ("d/**", ["d/c.txt", "d/e/", "d/e/f.txt", "d/e/g.md"]),
        ("x?", ["x1", "x2", "xy"]),
        ("x[0-9]", ["x1", "x2"]),
        ("*.{txt,md}", []),
        ("d", ["d/"]),
        ("none*", []),
        ("**/e", ["d/e/"]),
        ("/*.md", []),
        ("./*.md", ["b.md"]),
        ("d/", ["d/"]),
        ("x[^0-9]", ["xy"]),
        ("d/e/f.txt", ["d/e/f.txt"]),
    ],
)
def test_glob_finds_what_was_recorded(pattern: str, expected: list[str]) -> None:
    assert globbed(GLOBBED, pattern) == expected


def test_odd_names_match_and_an_escaped_star_is_a_star() -> None:
    names = ("new\nline", "back\\slash", "star*", "starry", "n\u00e9", "ne\u0301", "\udcff")
    assert globbed(names, "star\\*") == ["star*"]
    assert globbed(names, "back\\\\*") == ["back\\slash"]
    assert globbed(names, "n?") == ["n\u00e9"]
    assert globbed(names, "new*") == ["new\nline"]
    assert globbed(names, "?") == ["\udcff"]
    assert filtered(("a\nb/c",), exclude=["**/c"]) == ["a\nb/"]


@pytest.mark.parametrize(
    ("patterns", "path", "named"),
    [
        (["a"], "a/b/c", True),
        (["a/b"], "a", False),
        (["/a"], "a", False),
        (["a/../b//c/"], "b/c", True),
        (["**/x"], "x", True),
        (["**x"], "d/prefix", True),
        (["x**"], "x/y", True),
        (["a/**/z"], "a/z", True),
        (["a/**/z"], "a/b/c/z", True),
        (["*"], "d/e", True),
        (["*", "!d"], "d/e", False),
        (["*", "!d/e"], "d/e", False),
        (["!d", "d"], "d", True),
        (["d", "!d/e", "d/e/f"], "d/e/f", True),
        (["[a-c]/[^x]"], "b/y", True),
        (["[]-]"], "x", None),
        ([" a "], "a", True),
        (["", "  "], "a", False),
        (["."], "a", False),
        (["a+b(c)"], "a+b(c)", True),
        (["a[^x]b"], "a/b", True),
    ],
)
def test_a_dockerignore_list_names_paths(
    patterns: list[str], path: str, named: bool | None
) -> None:
    if named is None:
        with pytest.raises(PatternError):
            PatternList(patterns)
    else:
        assert PatternList(patterns).matches(path) is named


@pytest.mark.parametrize("pattern", ["[a", "a\\", "[]", "[a-]", "[b-a]", "!"])
def test_a_malformed_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(PatternError, match="syntax error in pattern"):
        PatternList([pattern])


def test_a_walk_skips_directories_that_cannot_hold_anything_kept() -> None:
    def descends(path: str, include: list[str], exclude: list[str]) -> bool:
        return PathFilter(include, exclude).step(path, directory=True).descend

    assert not descends("node_modules", [], ["node_modules"])
    assert not descends("node_modules", ["src/app"], [])
    assert not descends("node_modules", [], ["node_modules", "!src/x"])
    assert descends("src", ["src/app/**"], [])
    assert descends("src", [], ["src", "!src/x"])
    assert descends("anything", ["**/*.py"], [])


def test_a_dockerignore_file_loses_comments_blanks_and_leading_slashes() -> None:
    text = "\ufeff# comment\n\n /a/ \n!/b/../c\n! d\n#e\n /\n\r\nf\r\n"
    assert read_ignore_file(text) == ["a", "!c", "!d", "/", "f"]


PIECES = st.sampled_from(["a", "b", "*", "**", "?", "/", "[", "]", "[a-c]", "^", "!", "\\", ".."])
LISTS = st.lists(st.lists(PIECES, max_size=6).map("".join), max_size=4)


@settings(max_examples=3 * settings().max_examples)
@given(LISTS, LISTS)
def test_a_walk_finds_what_asking_for_each_path_finds(
    include: list[str], exclude: list[str]
) -> None:
    """Skipping directories saves time and must change nothing."""
    # What `!` takes back depends on the way down, so only a walk can answer it.
    include = [text for text in include if not text.startswith("!")]
    exclude = [text for text in exclude if not text.startswith("!")]
    try:
        included, excluded = PatternList(include), PatternList(exclude)
    except PatternError:
        return

    def keeps(path: str) -> bool:
        return (included.matches(path) or not included.patterns) and not excluded.matches(path)

    tree = ("a", "b/a", "b/b/a", "b/c", "c/a/b", "..a")
    files = [path for path in filtered(tree, include, exclude) if not path.endswith("/")]
    assert files == [path for path in sorted(tree) if keeps(path)]


# What patterns mean, by names and without regular expressions.

LETTERS = st.sampled_from("ab.+")
# No `[^a]`: as moby has it, that takes a slash too.
SETS = st.sampled_from(["[ab]", "[a-b]", "[.+]", "[\\.]"])
NAMED_BY = {"[ab]": "ab", "[a-b]": "ab", "[.+]": ".+", "[\\.]": "."}
PARTS = st.lists(
    LETTERS | SETS | st.sampled_from(["?", "\\+"]) | st.just("*"), min_size=1, max_size=4
).filter(lambda parts: ("*", "*") not in zip(parts, parts[1:]) and set(parts) != {"."})
NAMES = st.text(LETTERS, min_size=1, max_size=3).filter(lambda name: set(name) != {"."})
PATHS = st.lists(NAMES, min_size=1, max_size=4)
SPELLED = st.lists(PARTS | st.just(["**"]), min_size=1, max_size=4)


def name_matches(parts: list[str], name: str) -> bool:
    """Whether the parts of a pattern between two slashes name `name`."""
    if not parts:
        return not name
    first, rest = parts[0], parts[1:]
    if first == "*":
        return any(name_matches(rest, name[at:]) for at in range(len(name) + 1))
    accepted = {"?": "ab.+", **NAMED_BY}.get(first, first[-1])
    return name[:1] != "" and name[0] in accepted and name_matches(rest, name[1:])


def path_matches(pattern: list[list[str]], names: list[str]) -> bool:
    """Whether a pattern, given by what is between its slashes, names a path, given by its names."""
    if not pattern or not names:
        return not pattern and not names
    if pattern[0] == ["**"]:
        rest = pattern[1:]
        return not rest or any(path_matches(rest, names[at:]) for at in range(len(names)))
    return name_matches(pattern[0], names[0]) and path_matches(pattern[1:], names[1:])


def spelled(pattern: list[list[str]]) -> str:
    return "/".join("".join(parts) for parts in pattern)


@settings(max_examples=2 * settings().max_examples)
@given(SPELLED, PATHS)
def test_a_pattern_names_what_its_parts_name(pattern: list[list[str]], names: list[str]) -> None:
    assert Glob(spelled(pattern)).matches("/".join(names)) is path_matches(pattern, names)


@settings(max_examples=2 * settings().max_examples)
@given(st.lists(st.tuples(st.booleans(), SPELLED), max_size=4), PATHS)
def test_the_last_pattern_that_names_a_path_or_what_it_is_in_decides(
    patterns: list[tuple[bool, list[list[str]]]], names: list[str]
) -> None:
    expected = False
    for back, pattern in patterns:
        if any(path_matches(pattern, names[:depth]) for depth in range(1, len(names) + 1)):
            expected = not back
    rules = PatternList("!" * back + spelled(pattern) for back, pattern in patterns)
    assert rules.matches("/".join(names)) is expected


@settings(max_examples=3 * settings().max_examples)
@given(SPELLED, PATHS)
def test_a_walk_finds_what_is_named(pattern: list[list[str]], names: list[str]) -> None:
    path, include = "/".join(names), [spelled(pattern)]
    assert (filtered((path,), include) != []) is PatternList(include).matches(path)
