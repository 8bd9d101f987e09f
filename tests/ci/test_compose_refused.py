"""Compose files that are refused: each with one error that names file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from ci.compose import ComposeError, read_compose

TOP = [
    ("networks: {n: {external: true}}", "1: network n: 'external' is not supported."),
    ("networks: {n: {driver: macvlan}}", "1: network n: the only driver is bridge."),
    ("volumes:\n  v:\n    driver: nfs", "3: volume v: 'driver' is not supported."),
    ("volumes: {v: {external: true}}", "1: volume v: 'external' is not supported."),
    (
        "volumes: {'a b': }",
        "1: a volume's name is of letters, digits, '.', '_', '-', not 'a b'.",
    ),
    ("include: [other.yaml]", "1: top-level: 'include' is not supported."),
    ("models: {m: {model: ai}}", "1: top-level: 'models' is not supported."),
    ("name: x\nsevrices: {}", "2: top-level: 'sevrices' is not supported."),
    ("services: [a]", "1: a mapping is wanted here."),
    ("[a]", "1: a mapping is wanted here."),
    (
        "services:\n  'a b': {image: i}",
        "2: a service's name is of letters, digits, '.', '_', '-', not 'a b'.",
    ),
    ("services:\n  a: {user: x}", "2: service a has neither 'image' nor 'build'."),
    ("services:\n  a:", "2: service a has neither 'image' nor 'build'."),
    ("services:\n  a: [\n", "3: expected the node content, but found '<stream end>'."),
    ("services: {}\n---\nservices: {}", "2: but found another document."),
    ("services:\n  a: *gone", "2: found undefined alias 'gone'."),
    ("x-a: &a\n  b: *a\nservices: {}", "1: an anchor holds itself."),
    ("services:\n  a: {image: i}\n  a: {image: j}", "3: 'a' is written twice."),
    ("services:\n  ? [a]\n  : {image: i}", "2: a key is a single word."),
    (
        "services:\n  a:\n    <<: text\n    image: i",
        "2: '<<' wants a mapping, or a list of mappings.",
    ),
    ("configs: {c: {content: x, file: y}}", "1: config c wants one of file, environment, content."),
    ("configs: {c: {external: true}}", "1: config c: 'external' is not supported."),
    ("secrets: {s: {}}", "1: secret s wants one of file, environment."),
    ("secrets: {s: {content: x}}", "1: secret s: 'content' is not supported."),
    ("secrets: {s: {environment: GONE}}", "1: variable GONE is not set."),
    (
        "secrets:\n  s:\n    file: gone.txt",
        "3: gone.txt cannot be read: No such file or directory.",
    ),
    (
        "services:\n  b: {image: i}\n  a: {image: i, depends_on: [c]}",
        "3: service a depends on 'c', which is not declared or belongs to a profile that is not"
        " chosen.",
    ),
    (
        "services:\n  b: {image: i, profiles: [more]}\n  a: {image: i, depends_on: [b]}",
        "3: service a depends on 'b', which is not declared or belongs to a profile that is not"
        " chosen.",
    ),
    (
        "services:\n  b: {image: i}\n"
        "  a: {image: i, depends_on: {b: {condition: service_healthy}}}",
        "3: service a waits for 'b' to be healthy, which has no healthcheck.",
    ),
    (
        "services:\n  a: {image: i, depends_on: [b]}\n  b: {image: i, depends_on: [a]}",
        "2: depends_on goes in a circle: a → b → a.",
    ),
    (
        "services:\n  a: {extends: b}\n  b: {extends: {service: a}}",
        "3: extends goes in a circle: a → b → a.",
    ),
    ("services:\n  a: {extends: b}", "2: service a extends 'b', which is not declared."),
    (
        "services:\n  a: {extends: {service: b, file: other.yaml}}",
        "2: extends: 'file' is not supported.",
    ),
    (
        "services:\n  b: {image: i, environment: {A: '1'}}\n  a:\n    extends: b\n"
        "    environment: [B=2]",
        "5: 'environment' is written in one form here and in another where it is extended:"
        " write both alike.",
    ),
]

# Lines of a service with an image; the first of them is line 4.
SERVICE = [
    ("network_mode: host", "4: service a: 'network_mode' is not supported."),
    ("privileged: true", "4: service a: 'privileged' is not supported."),
    ("deploy: {replicas: 2}", "4: service a: 'deploy' is not supported."),
    ("comand: x", "4: service a: 'comand' is not supported."),
    ("command: !reset null", "4: the tag '!reset' is not supported."),
    ("ports: !override ['1:1']", "4: the tag '!override' is not supported."),
    ("command: {x: y}", "4: a single value is wanted here."),
    ('command: "it\'s"', "4: the command cannot be split: No closing quotation."),
    *(
        (f"command: {line}", f"4: no shell reads '{sign}' here: write a list, as [sh, -c, \"…\"].")
        for line, sign in (("a; b", ";"), ("a > f", ">"), ("get h/?a=1&b=2", "&"), ("a $$(b)", "("))
    ),
    ("command: [run, 5]", "4: a text is wanted here: write '5' in quotes."),
    ("command: [run, null]", "4: a value is wanted here, and none is written."),
    *(
        (
            f"environment: {{X: {text}}}",
            f"4: Compose takes {text} for a number or a day: write it in quotes.",
        )
        for text in ("0022", "1.50", "1.0", "0x1F", "1_000", "1e3", "0.00001", ".5", "2026-11-30")
    ),
    ("user: 1000", "4: a text is wanted here: write '1000' in quotes."),
    ("working_dir: [/srv]", "4: a single value is wanted here."),
    ("user: ${U:?give one}", "4: U must be set: give one."),
    ("user: ${U:-${V?give V}}", "4: V must be set: give V."),
    (
        "labels:\n  say: cost ${5}",
        "5: '${' starts no variable in 'cost ${5}': write '$$' for a dollar sign.",
    ),
    ("environment: {A: {B: c}}", "4: a single value is wanted here."),
    ("environment: A=1", "4: a list is wanted here."),
    ("env_file: gone.env", "4: gone.env cannot be read: No such file or directory."),
    ("env_file: [{required: false}]", "4: an env_file in long form wants path."),
    ("env_file: [{path: a, format: json}]", "4: the only format of an env_file is raw."),
    ("volumes: ['v:/v']", "4: volume 'v' is not declared."),
    ("volumes:\n  - ./x:y", "5: a volume's target is an absolute path without blanks, not 'y'."),
    ("volumes: [data]", "4: a volume's target is an absolute path without blanks, not 'data'."),
    (
        "volumes: ['./x:/a b']",
        "4: a volume's target is an absolute path without blanks, not '/a b'.",
    ),
    ("volumes: ['./x:/x:exec']", "4: volume mode 'exec' is not supported."),
    ("volumes: ['~/x:/x']", "4: '~' is not supported: write the path of the folder."),
    (
        "volumes: ['a:b:c:d']",
        "4: a volume is written target, source:target or source:target:mode.",
    ),
    ("volumes: [{type: npipe, source: a, target: /b}]", "4: volume type 'npipe' is not supported."),
    ("volumes: [{type: bind, target: /b}]", "4: a bind mount wants source."),
    ("volumes: [{source: a}]", "4: a volume in long form wants target, type."),
    (
        "volumes: [{type: bind, source: a, target: /b, bind: {propagation: shared}}]",
        "4: volumes: bind: 'propagation' is not supported.",
    ),
    ("tmpfs: run", "4: a volume's target is an absolute path without blanks, not 'run'."),
    ("tmpfs: /run:noexec", "4: tmpfs option 'noexec' is not supported."),
    ("tmpfs: /run:size=big", "4: a size such as 64m is wanted here, not 'big'."),
    ("ports: [a]", "4: a port is written [[address:]published:]target, not 'a'."),
    ("ports: ['1-2:1-3']", "4: 2 published ports do not fit 3 of the container."),
    ("ports: ['70000']", "4: ports are from 1 to 65535, and a range grows, not '70000'."),
    ("ports: ['9-8']", "4: ports are from 1 to 65535, and a range grows, not '9-8'."),
    ("ports: ['53/icmp']", "4: protocol 'icmp' is neither tcp nor udp."),
    ("ports: [{published: 80}]", "4: a port in long form wants 'target'."),
    ("ports: [{target: http}]", "4: a whole number is wanted here, not 'http'."),
    ("expose: ['80:80']", "4: expose names ports of the container alone, not '80:80'."),
    (
        "healthcheck:\n  test: [RUN, x]",
        "5: a test is a text, or a list that starts with CMD, CMD-SHELL or NONE.",
    ),
    ("healthcheck:\n  interval: 5s", "4: a healthcheck without 'test' is not supported."),
    (
        "healthcheck:\n  test: x\n  interval: 5",
        "6: a duration such as 1m30s is wanted here, not '5'.",
    ),
    ("healthcheck: {test: x, retries: many}", "4: a whole number is wanted here, not 'many'."),
    ("healthcheck: {disable: maybe}", "4: true or false is wanted here, not 'maybe'."),
    (
        "depends_on: {b: {condition: ready}}",
        "4: condition 'ready' is none of service_started, service_healthy,"
        " service_completed_successfully.",
    ),
    (
        "depends_on: {b: }",
        "4: depends_on b wants 'condition': one of service_started, service_healthy,"
        " service_completed_successfully.",
    ),
    ("networks: [back]", "4: network 'back' is not declared."),
    (
        "networks: {default: {ipv4_address: 10.0.0.2}}",
        "4: networks default: 'ipv4_address' is not" " supported.",
    ),
    ("configs: [c]", "4: config 'c' is not declared."),
    ("secrets: [{target: /x}]", "4: a secret in long form wants source."),
    ("build: {context: ., ssh: [default]}", "4: build: 'ssh' is not supported."),
    ("build: https://example.org/x.git", "4: a build context is a folder beside this file."),
    ("profiles: more", "4: a list is wanted here."),
]


@pytest.mark.parametrize(
    ("text", "message"),
    [pytest.param(text, message, id=message[3:60]) for text, message in TOP]
    + [
        pytest.param(
            "services:\n  a:\n    image: i\n" + "".join(f"    {x}\n" for x in lines.split("\n")),
            message,
            id=message[3:60],
        )
        for lines, message in SERVICE
    ],
)
def test_what_is_not_taken_is_one_error_with_file_and_line(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "stack.yaml"
    path.write_text(text)
    with pytest.raises(ComposeError) as caught:
        read_compose(path, {})
    assert str(caught.value) == f"stack.yaml:{message}"
    assert caught.value.failure.exit_code == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("A B=1", "line 2: 'A B=1' sets no variable"),
        ("A='open", "line 2: the quoted value of A does not end"),
        ("A=${B?say B}", "line 2: B must be set: say B"),
    ],
)
def test_a_bad_line_of_an_env_file_is_named_too(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "app.env").write_text(f"# first\n{line}\n")
    path = tmp_path / "stack.yaml"
    path.write_text("services:\n  a:\n    image: i\n    env_file: app.env\n")
    with pytest.raises(ComposeError) as caught:
        read_compose(path, {})
    assert str(caught.value) == f"stack.yaml:4: app.env, {message}."


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "stack.yaml"
    path.write_bytes(b"services: \xff\xfe")
    with pytest.raises(ComposeError, match="stack.yaml cannot be read: it is not UTF-8"):
        read_compose(path, {})
    path.write_bytes(b"services: \x00")
    with pytest.raises(ComposeError, match="stack.yaml is no YAML"):
        read_compose(path, {})
