"""The shipped configs, their schema, and what identifies a config."""

import hashlib
import inspect
import json
from pathlib import Path

import pytest
import yaml

from nnlab import paths
from nnlab.components import locate, shipped_targets
from nnlab.compose import Job, compose_job, hydra_app
from nnlab.config import GROUPS, params, validate
from nnlab.errors import NnlabError

COMPONENTS = sorted(path for group in GROUPS for path in (paths.conf_dir() / group).glob("*.yaml"))


def job(*overrides: str) -> Job:
    with hydra_app(overrides) as app:
        return compose_job(app, overrides)


@pytest.mark.parametrize("path", COMPONENTS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_component_sets_every_argument_with_a_comment_each(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# ")
    node = yaml.safe_load(text)
    if "_target_" not in node:
        assert path.parent.name == "tracking"
        return
    signature = inspect.signature(locate(node.pop("_target_"), path.stem))
    configurable = {name for name, argument in signature.parameters.items() if argument.kind is argument.KEYWORD_ONLY}
    own = {"schedule": {"per", "warmup", "start"}, "loss": {"l1", "l2"}}.get(path.parent.name, set())
    assert own <= set(node)
    assert set(node) - own == configurable


@pytest.mark.parametrize("path", COMPONENTS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_choice_composes_and_validates(path: Path) -> None:
    composed = job(f"{path.parent.name}={path.stem}")
    assert composed.choices[path.parent.name] == path.stem


def test_an_experiment_is_overridden_by_the_command_line() -> None:
    config = job("experiment=mnist-mlp", "training.epochs=2", "activation=tanh")
    assert config.config.training.epochs == 2
    assert config.config.training.batch_size == 128
    assert config.choices["activation"] == "tanh"
    assert config.choices["initializer"] == "kaiming_normal"


def test_params_are_flat_and_name_each_choice() -> None:
    composed = job("activation=relu", "schedule=cosine")
    flat = params(composed.config, composed.choices)
    assert flat["activation"] == "relu"
    assert flat["activation.derivative_at_zero"] == 0
    assert flat["dataset"] == "wine"
    assert flat["initializer.bias"] == "zeros"
    assert flat["architecture.output_activation"] == "identity"
    assert flat["schedule"] == "cosine"
    assert flat["training.batch_size"] == 32
    assert flat["seed"] == 0
    assert not any("_target_" in name for name in flat)


def test_config_hash_is_of_groups_seed_and_training_and_nothing_else() -> None:
    composed = job()
    node = composed.config.to_dict()
    groups = "dataset augmentation architecture activation loss initializer optimizer schedule"
    kept = (*groups.split(), "seed", "training")
    decides = {name: node[name] for name in kept}
    decides["training"]["blas_threads"] = 2
    text = json.dumps(decides, sort_keys=True, separators=(",", ":"))
    assert composed.config.config_hash(2) == hashlib.sha256(text.encode()).hexdigest()
    same = job("tracking=none", "experiment_name=other", "checkpoint.every=3")
    assert same.config.config_hash(2) == composed.config.config_hash(2)
    for changed in ("seed=1", "optimizer.lr=0.2", "training.epochs=99", "activation=relu", "dataset.split=whole"):
        assert job(changed).config.config_hash(2) != composed.config.config_hash(2)
    assert composed.config.config_hash(1) != composed.config.config_hash(2)


def test_a_config_survives_yaml() -> None:
    config = job("initializer=kaiming_uniform", "training.batch_size=null").config
    assert validate(yaml.safe_load(yaml.safe_dump(config.to_dict()))) == config


def test_a_saved_config_may_name_only_what_conf_ships() -> None:
    node = job().config.to_dict()
    assert validate(node, shipped_only=True).optimizer.target in shipped_targets()
    for target in ("os.system", "nnlab.nn.sequential.np.save", "nnlab.optim.sgd.np"):
        node["optimizer"]["_target_"] = target
        with pytest.raises(NnlabError, match="does not ship"):
            validate(node, shipped_only=True)


def test_an_own_folder_of_configs_is_found_first(tmp_path: Path) -> None:
    own = tmp_path / "own" / "optimizer"
    own.mkdir(parents=True)
    (own / "careful.yaml").write_text("_target_: nnlab.optim.sgd.SGD\nlr: 0.001\n")
    overrides = ["optimizer=careful"]
    with hydra_app(overrides, config_dir=str(tmp_path / "own")) as app:
        assert compose_job(app, overrides).config.optimizer.arguments == {"lr": 0.001}


def test_places_stay_what_they_were_in_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    composed = job("dataset=csv", "dataset.path=tables/t.csv", "dataset.target=kind", "initializer.from=start")
    assert composed.config.dataset.arguments["path"] == str(tmp_path / "tables" / "t.csv")
    assert composed.config.initializer.from_ == str(tmp_path / "start")
