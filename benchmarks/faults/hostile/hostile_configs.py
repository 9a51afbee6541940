"""Hostile configs: saved ones, and experiments."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.faults.hostile import scene as at
from benchmarks.faults.hostile.hostile_case import Hostile, evaluate, experiment, reproduce, resume
from benchmarks.faults.hostile.scene import Scene

_DOORS = (reproduce, evaluate)
_LAUGHS = b"a: &a [x, x, x, x, x, x, x, x, x]\n" + b"".join(
    b"%c: &%c [%s]\n" % (98 + n, 98 + n, b", ".join([b"*%c" % (97 + n)] * 9)) for n in range(12)
)

_TEXTS: dict[str, bytes] = {
    "YAML tag that calls": b"x: !!python/object/apply:os.mkdir ['%CANARY%']\n",
    "YAML tag that makes an object": b"x: !!python/object/new:os.mkdir ['%CANARY%']\n",
    "YAML tag that imports": b"x: !!python/module:antigravity\n",
    "YAML tag that names a function": b"optimizer: {_target_: !!python/name:os.mkdir '', path: '%CANARY%'}\n",
    "YAML tag of its own, spelt out": b"x: !<tag:yaml.org,2002:python/object/apply:os.mkdir> ['%CANARY%']\n",
    "YAML aliases: a billion laughs": _LAUGHS,
    "YAML alias that holds itself": b"x: &x [*x]\n",
    "YAML merge key": b"optimizer:\n  <<: {_target_: os.mkdir, path: '%CANARY%'}\n",
    "YAML nested 100,000 deep": b"[" * 100_000,
    "YAML mappings nested 50,000 deep": b"{a: " * 50_000,
    "YAML of a million values": b"x: [" + b"1, " * 300_000 + b"1]\n",
    "YAML of two documents": b"seed: 0\n---\nseed: 1\n",
    "a whole number of a million digits": b"seed: " + b"9" * 900_000 + b"\n",
    "a sexagesimal number of many parts": b"seed: 1" + b":59" * 60 + b"\n",
    "null bytes": b"seed: 0\n\0\n",
    "UTF-16": "seed: 0\n".encode("utf-16"),
    "Hydra's own section": b"hydra: {run: {dir: '%CANARY%'}}\n",
    "Hydra's launcher in a defaults list": b"defaults:\n  - override hydra/launcher: basic\n",
    "Hydra's callbacks": b"hydra: {callbacks: {x: {_target_: os.mkdir, path: '%CANARY%'}}}\n",
    "Hydra's search path": b"hydra: {searchpath: ['file://%CANARY%']}\n",
    "a key with an escape sequence": b'"\\e[2Jx": 1\n',
}
_TARGETS: dict[str, Any] = {
    "a function of the system": {"_target_": "os.mkdir", "path": "%CANARY%"},
    "a shipped module's NumPy": {"_target_": "nnlab.nn.sequential.np.save", "file": "%CANARY%", "arr": [1]},
    "a prefix of a shipped one": {"_target_": "nnlab.optim.sgd.SGDx"},
    "NumPy's own loader": {"_target_": "numpy.load", "file": "%CANARY%", "allow_pickle": True},
    "dunder walking": {"_target_": "nnlab.optim.sgd.SGD.__init__.__globals__"},
    "an import with side effects": {"_target_": "antigravity.geohash"},
    "a component of another group": {"_target_": "nnlab.data.csv", "path": "%SECRET%", "target": "x"},
    "Hydra's instantiate": {"_target_": "hydra.utils.instantiate", "config": {"_target_": "os.mkdir"}},
    "Hydra's _args_": {"_target_": "nnlab.optim.sgd.SGD", "_args_": ["%CANARY%"], "lr": 1.0},
    "Hydra's _partial_": {"_target_": "nnlab.optim.sgd.SGD", "_partial_": True, "lr": 1.0},
    "a target within an argument": {"_target_": "nnlab.optim.sgd.SGD", "lr": {"_target_": "os.mkdir"}},
    "a target that is a list": {"_target_": ["os.mkdir"]},
    "a target with an escape sequence": {"_target_": "\x1b[2Jos.mkdir"},
}
_VALUES: dict[str, dict[str, Any]] = {
    "environment looked up": {"experiment_name": "${oc.env:SECRET}"},
    "text decoded": {"seed": "${oc.decode:'{_target_: os.mkdir}'}"},
    "Hydra's runtime looked up": {"experiment_name": "${hydra:runtime.cwd}"},
    "an unknown resolver": {"seed": "${x:1}"},
    "an experiment's name that leads out": {"experiment_name": "../../../../x"},
    "an absolute experiment's name": {"experiment_name": "/x"},
    "a layer of a billion units": {"architecture__hidden_sizes": [10**9, 10**9]},
    "a batch of any size": {"training__batch_size": 10**18},
    "more numbers than there are": {"seed": 2**4000},
    "an address in place of a file": {"dataset": {"_target_": "nnlab.data.csv", "path": "file://%SECRET%"}},
    "a web address in place of a file": {"dataset": {"_target_": "nnlab.data.csv", "path": "http://localhost:1/x"}},
    "a device in place of a file": {"dataset": {"_target_": "nnlab.data.csv", "path": "/dev/zero", "target": "x"}},
    "points by the billion": {"dataset": {"_target_": "nnlab.data.moons", "samples": 10**13}},
    "weights from a device": {"initializer__from": "/dev"},
    "a path with a null byte": {"initializer__from": "a\0b"},
}
_LEADS_OUT = b"defaults: [../../private/secret]\n"


def cases() -> Iterator[Hostile]:
    """Yield them."""
    for name, text in _TEXTS.items():
        yield Hostile(f"config: {name}", _text(text), _DOORS)
    for name, node in _TARGETS.items():
        yield Hostile(f"config: {name}", _values({"optimizer": node}), _DOORS)
    for name, values in _VALUES.items():
        yield Hostile(f"config: {name}", _values(values), _DOORS)
    yield Hostile("config: named pipe", lambda scene: at.pipe(scene.config), _DOORS)
    yield Hostile("config: endless device", lambda scene: at.link(scene.config, "/dev/zero"), _DOORS)
    yield Hostile("config: folder", lambda scene: at.folder(scene.config), _DOORS)
    yield Hostile("config: link to itself", lambda scene: at.link(scene.config, scene.config), _DOORS)
    yield Hostile("config: a terabyte", lambda scene: at.sparse(scene.config, 2**40), _DOORS)
    yield Hostile("config, to be resumed: a function of the system", _interrupted, (resume,))
    for name in ("YAML tag that calls", "YAML aliases: a billion laughs", "Hydra's callbacks", "Hydra's search path"):
        yield Hostile(f"experiment: {name}", _experiment(_TEXTS[name]), (experiment,))
    yield Hostile(
        "experiment: defaults that lead out", _experiment(b"defaults: [../../private/secret]\n"), (experiment,)
    )
    looks = b"claim: {metric: test/accuracy, value: 1}\nexperiment_name: ${oc.env:HOME}\n"
    yield Hostile("experiment: environment looked up", _experiment(looks), (experiment,))
    yield Hostile("experiment: named pipe", lambda scene: at.pipe(scene.folder / "work" / "evil.yaml"), (experiment,))


def _filled(value: Any, scene: Scene) -> Any:
    """Put the scene's paths where a case wants them."""
    if isinstance(value, dict):
        return {key: _filled(each, scene) for key, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, scene) for each in value]
    if isinstance(value, str):
        return value.replace("%CANARY%", str(scene.canary)).replace("%SECRET%", str(scene.secret))
    return value


def _text(text: bytes) -> Callable[[Scene], object]:
    """Return what puts a text in front of the config's own lines."""

    def make(scene: Scene) -> None:
        own = scene.config.read_bytes()
        scene.config.write_bytes(text.replace(b"%CANARY%", str(scene.canary).encode()) + own)

    return make


def _values(values: dict[str, Any]) -> Callable[[Scene], object]:
    return lambda scene: scene.set_config(**_filled(values, scene))


def _interrupted(scene: Scene) -> None:
    scene.interrupt()
    scene.set_config(optimizer=_filled(_TARGETS["a function of the system"], scene))


def _experiment(text: bytes) -> Callable[[Scene], object]:
    def make(scene: Scene) -> None:
        content = text.replace(b"%CANARY%", str(scene.canary).encode())
        (scene.folder / "work" / "evil.yaml").write_bytes(content)

    return make
