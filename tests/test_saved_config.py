"""Somebody else's config.yaml: what is refused, in one line each, and that nothing of it leaves a trace."""

import copy
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import nnlab
from nnlab import paths
from nnlab.build import build
from nnlab.cli import main
from nnlab.config import GROUPS, Config
from nnlab.errors import NnlabError
from nnlab.saved_config import MAX_BYTES, check_plain, load_config, load_yaml, recorded_choices, used_threads
from tests.jobs import job

TANH = "nnlab.nn.activations.Tanh"
SECRET = "hunter2"  # noqa: S105 - that is the point

Change = dict[str, Any] | str | bytes
"""Dotted keys -> values that replace those of a good config; or text behind it; or a whole file."""

HOSTILE: dict[str, tuple[Change, list[str]]] = {
    # targets: what they would do needs no importing to be refused
    "os.system": ({"optimizer._target_": "os.system"}, ["optimizer._target_", "os.system", "does not ship", "--trust"]),
    "subprocess": ({"optimizer": {"_target_": "subprocess.run", "args": "touch x"}}, ["optimizer", "subprocess.run"]),
    "numpy.load": ({"dataset": {"_target_": "numpy.load", "file": "evil.npy"}}, ["dataset._target_", "numpy.load"]),
    "addpackage": ({"loss._target_": "site.addpackage"}, ["loss._target_", "site.addpackage"]),
    "eval": ({"schedule._target_": "builtins.eval"}, ["schedule._target_", "builtins.eval"]),
    "antigravity": ({"augmentation._target_": "antigravity.geohash"}, ["augmentation._target_", "antigravity.geohash"]),
    "module in cwd": ({"activation._target_": "boobytrap.Quiet"}, ["activation._target_", "boobytrap.Quiet"]),
    "through ours": ({"optimizer._target_": "nnlab.checkpoint.np.save"}, ["optimizer._target_", "np.save"]),
    "through a layer": ({"activation._target_": "nnlab.nn.activations.np.save"}, ["activation._target_", "np.save"]),
    "our own writer": ({"dataset._target_": "nnlab.checkpoint.remove"}, ["dataset._target_", "checkpoint.remove"]),
    "prefix": ({"activation._target_": f"{TANH}.__init__.__globals__.x"}, ["activation._target_", "__globals__"]),
    "case": ({"activation._target_": "nnlab.nn.activations.tanh"}, ["activation._target_"]),
    "space": ({"activation._target_": f"{TANH} "}, ["activation._target_"]),
    "empty target": ({"activation._target_": ""}, ["activation._target_"]),
    "target is a list": ({"activation._target_": [TANH]}, ["activation._target_", "string"]),
    "target with a newline": ({"activation._target_": "os\nsystem"}, ["activation._target_", "control characters"]),
    "another group's": ({"dataset._target_": TANH}, ["dataset._target_", "such a choice of dataset"]),
    "a loss for a bias": ({"initializer.bias._target_": "nnlab.nn.losses.MSE"}, ["initializer.bias._target_", "MSE"]),
    "activations.1": ({"architecture.activations": {"1": {"_target_": "os.mkdir"}}}, ["architecture.activations.1"]),
    "initializer.layers": ({"initializer.layers": {"0": {"_target_": "os.mkdir"}}}, ["initializer.layers.0._target_"]),
    "output_activation": ({"architecture.output_activation._target_": "os.abort"}, ["architecture.output_activation"]),
    "nested target": ({"optimizer.lr": {"_target_": "os.getcwd"}}, ["optimizer.lr", "number"]),
    "_args_": ({"optimizer._args_": ["touch x"]}, ["optimizer._args_", "no such key"]),
    "_partial_": ({"optimizer._partial_": True}, ["optimizer._partial_", "no such key"]),
    # what Hydra and OmegaConf would act upon
    "hydra": ("hydra:\n  run: {dir: /tmp/x}\n", ["hydra:", "remove it"]),
    "hydra below": ({"training.hydra": {"job": "x"}}, ["training.hydra", "remove it"]),
    "hydra/launcher": ("hydra/launcher: joblib\n", ["hydra/launcher", "remove it"]),
    "defaults": ("defaults:\n- override hydra/launcher: joblib\n", ["override hydra/launcher"]),
    "environment": ({"experiment_name": "${oc.env:SECRET}"}, ["experiment_name", "${oc.env:SECRET}"]),
    "environment in a list": ({"architecture.hidden_sizes": ["${oc.env:SECRET}"]}, ["hidden_sizes[0]", "SECRET"]),
    "decoded": ({"seed": "${oc.decode:${oc.env:SECRET}}"}, ["seed", "${oc.decode:"]),
    "hydra's resolver": ({"experiment_name": "x-${hydra:runtime.cwd}"}, ["experiment_name"]),
    "key": ('"${oc.env:SECRET}": 1\n', ["${oc.env:SECRET}"]),
    # output paths
    "absolute": ({"experiment_name": "/tmp/x"}, ["experiment_name", "folder"]),  # noqa: S108
    "drive": ({"experiment_name": "C:/x"}, ["experiment_name", "folder"]),
    "share": ({"experiment_name": "//host/x"}, ["experiment_name", "folder"]),
    "backslash": ({"experiment_name": "..\\x"}, ["experiment_name", "folder"]),
    "up": ({"experiment_name": "a/../../x"}, ["experiment_name", "folder"]),
    "dot": ({"experiment_name": "."}, ["experiment_name", "folder"]),
    "dots": ({"experiment_name": ".."}, ["experiment_name", "folder"]),
    "null byte": ({"experiment_name": "a\0b"}, ["experiment_name", "control characters"]),
    "escape sequence": ({"experiment_name": "\x1b[2J"}, ["experiment_name", "control characters"]),
    "output directory": ("directory: /tmp/x\n", ["directory", "no such key"]),
    # YAML that makes objects, or memory
    "apply": ('x: !!python/object/apply:os.system ["touch x"]\n', ["python/object/apply:os.system", "plain value"]),
    "new": ("x: !!python/object/new:os.mkdir [x]\n", ["python/object/new:os.mkdir"]),
    "name": ("x: !!python/name:os.system\n", ["python/name:os.system"]),
    "module": ("x: !!python/module:antigravity\n", ["python/module:antigravity"]),
    "binary": ("x: !!binary aGVsbG8=\n", ["binary"]),
    "set": ("x: !!set {a, b}\n", ["tag:yaml.org,2002:set"]),
    "omap": ("x: !!omap [a: 1]\n", ["omap"]),
    "explicit text": ("x: !!str 1\n", ["tag:yaml.org,2002:str"]),
    "local tag": ("x: !Mine {a: 1}\n", ["!Mine"]),
    "bare tag": ("x: ! a\n", ["tag '!'"]),
    "date": ("x: 2024-02-30\n", ["x=2024-02-30", "timestamp", "quotes"]),
    "laughs": (
        b"a: &a [x, x]\n" + b"".join(b"%c: &%c [*%c, *%c]\n" % (n + 1, n + 1, n, n) for n in range(97, 121)),
        ["line 1", "alias &a"],
    ),
    "alias of itself": ("x: &x [*x]\n", ["alias &x"]),
    "unknown alias": ("x: *y\n", ["alias *y"]),
    "merge": ("<<: {seed: 1}\n", ["merge key <<", "line"]),
    "merge below": (b"training:\n  <<: {epochs: 1}\n", ["merge key <<", "in training", "line 2"]),
    "twice": ("seed: 7\n", ["'seed'", "twice"]),
    "twice below": (b"training: {epochs: 1, epochs: 2}\n", ["'epochs'", "in training", "twice"]),
    "number as key": ("1: 2\n", ["'1'", "no text"]),
    "null as key": ("~: 2\n", ["'~'", "no text"]),
    "boolean as key": ("on: 2\n", ["'on'", "no text"]),
    "list as key": ("? [a, b]\n: 1\n", ["of several values", "no text"]),
    "newline in a key": ('"a\\nb": 1\n', ["'a\\nb'", "no key"]),
    "long key": (f"{'k' * 900}: 1\n", ["no key", "too long"]),
    "two documents": ("---\nseed: 1\n", ["second document"]),
    "deep list": (b"[" * 100_000, ["line 1", "20 deep"]),
    "deep map": (b"a:\n" + b"".join(b" " * n + b"a:\n" for n in range(1, 900)), ["20 deep"]),
    "deep sequence": (b"x:\n" + b"- " * 50_000, ["20 deep"]),
    "many nodes": (b"x: [" + b"1," * 20_000 + b"]\n", ["10,000 values"]),
    "long text": ({"experiment_name": "x" * 5000}, ["experiment_name", "5,000 characters"]),
    "too long by the schema": ({"experiment_name": "x" * 300}, ["experiment_name", "250"]),
    "nan": ("x: .nan\n", ["x=.nan", "finite"]),
    "infinity": ({"optimizer.lr": float("-inf")}, ["optimizer.lr=-.inf", "finite"]),
    "overflow": ("x: 1.0e+999\n", ["x=1.0e+999", "finite"]),
    "huge integer": ({"seed": 10**100}, ["seed=1000", "128 bits"]),
    "400 digits": ({"training.epochs": 10**400}, ["training.epochs", "401 characters"]),
    "5000 digits": (f"x: {'9' * 4090}\ny: {'9' * 4400}\n", ["x is a number of 4,090 characters"]),
    "no number": ("x: 0x_\n", ["x=0x_", "no number"]),
    # files that are none
    "empty": (b"", ["no config"]),
    "comment": (b"# nothing\n", ["no config"]),
    "list": (b"- seed: 1\n", ["no config"]),
    "text": (b"just words\n", ["no config"]),
    "unfinished": (b"seed: [1, 2\n", ["no YAML", "line"]),
    "unfinished text": (b'seed: "1\n', ["no YAML", "line"]),
    "tab": (b"seed:\n\t- 1\n", ["no YAML", "line 2"]),
    "latin": ("name: caf\xe9\n".encode("latin-1"), ["no UTF-8", "byte 9"]),
    "utf-16": ("seed: 1\n".encode("utf-16"), ["no UTF-8", "byte 0"]),
    "zeros": (b"seed: 1\0\0\0\n", ["no YAML"]),
    "pickle": (b"\x80\x04\x95\x1d\x00", ["no UTF-8"]),
    "version": (b"%YAML 3.0\n---\nseed: 1\n", ["no YAML"]),
    "large": (b"#" * (MAX_BYTES + 1), ["1,000,001 bytes"]),
    # the schema
    "unknown key": ("sed: 1\n", ["sed", "did you mean seed?"]),
    "missing": (b"seed: 1\n", ["is missing"]),
    "section": ({"training": 3}, ["training", "section"]),
    "boolean for a number": ({"seed": True}, ["seed=true", "integer"]),
    "text for a number": ({"optimizer.lr": "0.1"}, ["optimizer.lr", "number"]),
    "below the range": ({"training.batch_size": -1}, ["training.batch_size=-1", "1"]),
}


@pytest.fixture(scope="module")
def good() -> Config:
    config: Config = job("seed=3").config
    return config


@pytest.fixture(autouse=True)
def promptly() -> Iterator[None]:
    """End a test that waits for something that never comes."""

    def late(*_: object) -> None:
        raise TimeoutError("10 s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(10)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def boobytrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module in the current directory that leaves a file when it is imported."""
    source = "import pathlib, nnlab.nn.activations\npathlib.Path('imported').touch()\n"
    source += "class Quiet(nnlab.nn.activations.Identity): pass\nclass Loud(Quiet): pass\n"
    module = tmp_path / "work" / "boobytrap.py"
    module.write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path / "work"))
    monkeypatch.setenv("SECRET", SECRET)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return module


def text_of(config: Config) -> str:
    return yaml.safe_dump(config.to_dict(), sort_keys=False)


def content(good: Config, change: Change) -> bytes:
    if isinstance(change, bytes):
        return change
    if isinstance(change, str):
        return (text_of(good) + change).encode()
    node = copy.deepcopy(good.to_dict())
    for key, value in change.items():
        *sections, last = key.split(".")
        inside = node
        for section in sections:
            inside = inside[section]
        inside[last] = value
    return yaml.safe_dump(node, sort_keys=False).encode()


def write(good: Config, change: Change, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "config.yaml"
    path.write_bytes(content(good, change))
    return path


def tree(root: Path) -> dict[str, tuple[int, int, int]]:
    found = {}
    for path in root.rglob("*"):
        status = path.lstat()
        found[str(path)] = (status.st_mode, status.st_size, status.st_mtime_ns)
    return found


def refusal(path: Path, tmp_path: Path, trusted: tuple[str, ...] = ()) -> str:
    """Return the message of a refusal, when nothing was made, changed or imported by it."""
    before, modules = tree(tmp_path), set(sys.modules)
    with pytest.raises(NnlabError) as refused:
        load_config(path, trusted)
    message = str(refused.value)
    assert tree(tmp_path) == before
    assert set(sys.modules) == modules
    assert refused.value.exit_code == 2
    assert message.isprintable()  # so there is no line break either
    assert len(message) < 1100
    assert SECRET not in message
    assert str(path) in message
    return message


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_file_is_one_line_and_leaves_no_trace(
    case: str, good: Config, tmp_path: Path, boobytrap: Path
) -> None:
    change, parts = HOSTILE[case]
    load_config(write(good, {}, tmp_path / "good"))  # imports what a good one takes
    message = refusal(write(good, change, tmp_path / "run"), tmp_path)
    for part in parts:
        assert part in message


def test_there_are_enough_of_them() -> None:
    assert len(HOSTILE) >= 40


def test_only_regular_files_are_read(good: Config, tmp_path: Path) -> None:
    load_config(write(good, {}, tmp_path / "good"))
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "to_pipe").symlink_to(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "nowhere").symlink_to(tmp_path / "nothing")
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(2**40)
    for name, part in {
        "pipe": "named pipe",
        "to_pipe": "named pipe",
        "/dev/zero": "a device",
        "/dev/tty": "a device",
        "home": "a folder",
        "nothing": "No such file",
        "nowhere": "No such file",
        "loop": "symbolic links",
        "sparse": "1,099,511,627,776 bytes",
    }.items():
        assert part in refusal(tmp_path / name, tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "good" / "config.yaml")
    assert load_config(tmp_path / "link") == good


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"optimizer._target_": "os.system"}, "optimizer._target_"),
        ({"activation._target_": "boobytrap.Quiet"}, "boobytrap.Quiet"),
        ("hydra: {}\n", "hydra"),
        ({"seed": "${oc.env:SECRET}"}, "seed"),
        ("x: !!python/object/apply:os.system [touch x]\n", "os.system"),
        ({"experiment_name": "../x"}, "experiment_name"),
        ({"architecture.hidden_sizes": [10**9]}, "memory"),
        (b"[" * 100_000, "deep"),
    ],
)
def test_the_command_line_says_the_same(
    change: Change, part: str, good: Config, tmp_path: Path, boobytrap: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(good, change, tmp_path / "run")
    before = tree(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", str(path.parent)])
    assert ended.value.code == 2
    assert tree(tmp_path) == before
    assert "boobytrap" not in sys.modules
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("nnlab: ")
    assert said.err.count("\n") == 1
    assert part in said.err


def test_a_checkpoint_that_is_not_the_configs(good: Config, tmp_path: Path) -> None:
    (row,) = nnlab.run(["tracking=none", "training.epochs=1"]).to_dict("records")
    directory = Path(row["directory"])
    nnlab.evaluate(directory)
    write(good, {"architecture.hidden_sizes": [7]}, directory)
    with pytest.raises(NnlabError, match=r"^\S+: its checkpoint is not that of its config\.yaml: \S.*$"):
        nnlab.evaluate(directory)


CHOICES = {group: sorted(path.stem for path in (paths.conf_dir() / group).glob("*.yaml")) for group in GROUPS}


@pytest.mark.parametrize("turn", range(max(len(names) for names in CHOICES.values())))
def test_what_a_run_saves_of_every_shipped_choice_is_read_as_it_was(turn: int, tmp_path: Path) -> None:
    some = {group: names[turn % len(names)] for group, names in CHOICES.items()}
    initializer, activation = some["initializer"], some["activation"]
    overrides = [f"{group}={name}" for group, name in some.items() if group != "tracking"]
    overrides += [
        f"initializer@initializer.bias={initializer}",
        f"+initializer@initializer.layers.2={initializer}",
        f"activation@architecture.output_activation={activation}",
        f"+activation@architecture.activations.1={activation}",
        f"tracking={some['tracking']}",
        f"seed={2**127}",
    ]
    config = job(*overrides).config
    assert load_config(write(config, {}, tmp_path / "run")) == config


@pytest.mark.parametrize("path", sorted(paths.experiments_dir().glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_experiments_are_plain(path: Path) -> None:
    check_plain(load_yaml(path), str(path))


@pytest.mark.parametrize(
    "name", ["it's mine, really", "1e5", "2024-02-29", "yes", "team/mine", "Zürich 😀", "=", "a..b"]
)
def test_names_that_yaml_would_take_for_something_else(name: str, good: Config, tmp_path: Path) -> None:
    path = write(good, {"experiment_name": name}, tmp_path / "run")
    assert load_config(path).experiment_name == name
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())  # as Windows' editor begins a file
    assert load_config(path).experiment_name == name


def test_trust_is_for_one_target(good: Config, tmp_path: Path, boobytrap: Path) -> None:
    load_config(write(good, {}, tmp_path / "good"))
    path = write(good, {"activation": {"_target_": "boobytrap.Quiet"}}, tmp_path / "run")
    for trusted in ((), ("boobytrap",), ("boobytrap.",), ("boobytrap.Loud",), ("boobytrap.quiet",), ("boobytrap.*",)):
        assert "activation._target_" in refusal(path, tmp_path, trusted)
    two = {"activation": {"_target_": "boobytrap.Quiet"}, "optimizer": {"_target_": "boobytrap.Loud"}}
    assert "optimizer._target_" in refusal(write(good, two, tmp_path / "two"), tmp_path, ("boobytrap.Quiet",))
    assert not Path("imported").exists()
    try:
        assert load_config(path, ["boobytrap.Quiet"]).activation.target == "boobytrap.Quiet"
        assert Path("imported").exists()  # which shows that the trap works
    finally:
        sys.modules.pop("boobytrap", None)


@pytest.mark.parametrize(
    ("overrides", "part"),
    [
        (["architecture.hidden_sizes=[1000000000]"], "architecture"),
        (["architecture.hidden_sizes=[1000000,1000000]"], "architecture"),
        (["architecture.hidden_sizes=[2000000]", "architecture.batch_norm=true"], "architecture, with training"),
        ([f"architecture.hidden_sizes=[{10**100}]"], "architecture"),
        (["architecture.out_features=1000000000000"], "architecture"),
        (["architecture=lenet", "dataset=digits", "architecture.channels=[100000000]"], "architecture"),
        (
            ["architecture=lenet", "dataset=digits", "architecture.channels=[1]", "architecture.kernel_size=4000"],
            "architecture: ",
        ),
        (["architecture=lenet", "dataset=digits", "architecture.channels=[20000]"], "architecture, with training"),
        (["dataset=moons", "dataset.samples=1000000000000"], "dataset.samples"),
        (["dataset=circles", f"dataset.samples={2**100}"], "dataset.samples"),
    ],
)
def test_what_no_machine_holds_is_refused_before_it_is_tried(
    overrides: list[str], part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nnlab.machine_memory.machine_bytes", lambda: 2**30)
    with pytest.raises(NnlabError, match=r"GiB of memory, this machine has 1\.0") as refused:
        build([job(*overrides).config])
    assert str(refused.value).startswith(part)
    assert str(refused.value).isprintable()


def test_what_fits_is_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    fits = job("architecture.hidden_sizes=[1000,1000]").config  # 1.0 million parameters of 4 bytes, 3 times
    monkeypatch.setattr("nnlab.machine_memory.machine_bytes", lambda: 20_000_000)
    build([fits])
    monkeypatch.setattr("nnlab.machine_memory.machine_bytes", lambda: 12_000_000)
    with pytest.raises(NnlabError, match="memory"):
        build([fits])
    monkeypatch.setattr("nnlab.machine_memory.machine_bytes", lambda: None)  # a system that doesn't say
    build([fits])


def test_the_estimate_draws_and_follows_nothing() -> None:
    config = job("architecture.dropout=0.5", "architecture.batch_norm=true", "architecture.hidden_sizes=[4]").config
    stack = build([config])
    layers = stack.network.layers
    assert all(layer.training for layer in layers)
    fresh = {"1.running_mean": 0.0, "1.running_var": 1.0}
    assert all((stack.network.state_dict()[name] == value).all() for name, value in fresh.items())
    assert stack.streams[0].dropout.random() == build([config]).streams[0].dropout.random()


def test_choices_that_were_recorded_are_taken_where_they_are_names(good: Config) -> None:
    names = {"activation": "mine/relu-2", "initializer.bias": "zeros", "experiment": "wine_seeds.v1"}
    no_names = {"dataset": "a b", "loss": "x" * 201, "optimizer": "", "schedule": "${oc.env:HOME}"}
    no_places = {"seed": 3, "optimizer.lr": 0.1, "hydra/launcher": "basic"}
    found = recorded_choices({**names, **no_names, **no_places}, good)
    assert found == names


@pytest.mark.parametrize("recorded", [0, -1, 1025, 1.0, True, "", "null", "1e3", "0x10", [1], "9" * 5000])
def test_what_is_no_number_of_threads_is_refused(recorded: object) -> None:
    with pytest.raises(NnlabError, match="is no number of threads"):
        used_threads({"training.blas_threads": recorded})


@pytest.mark.parametrize(("recorded", "threads"), [(1, 1), ("16", 16), (1024, 1024), (None, None)])
def test_threads_are_read_from_a_journal_and_from_a_store(recorded: object, threads: int | None) -> None:
    assert used_threads({"training.blas_threads": recorded}) == threads
