"""Planning a sweep: Hydra's own composition, done once for each set of group choices."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from nnlab import runner
from nnlab.compose import Job, job_from
from nnlab.errors import NnlabError
from nnlab.explanation import explain
from nnlab.sweep import hydra_record
from nnlab.sweep.composition import Composer
from nnlab.sweep.plan import name, plan
from tests.sweep.sweeps import QUICK, master, planned

SWEEP = Path("sweep").resolve()
OVERRIDES = [
    "dataset=moons",
    "activation=relu",
    "activation@architecture.output_activation=identity",
    "+activation@architecture.activations.1=relu",
    "+initializer@initializer.layers.0=zeros",
    "initializer@initializer.bias=constant",
    "optimizer=adam",
    "optimizer.lr=1e-3",
    "architecture.hidden_sizes=[7,3]",
    "schedule=cosine",
    "schedule.warmup=3",
    "experiment_name='a b=c'",
    "experiment_name=${dataset._target_}",
    "experiment=s1-wine-13-5-5-3",
    "training.diagnostics=[grad_norm]",
    "checkpoint.every=null",
    "nonsense=1",
    "optimizer.lrr=1",
    "activation=nonsense",
    "activation@nowhere=relu",
    "~activation",
    "seed=",
]


@pytest.fixture(scope="module")
def composer() -> Iterator[Composer]:
    """One for all tests, as for all jobs of a sweep; what one leaves behind must not reach the next."""
    with master() as (composer, _):
        yield composer


@pytest.fixture(autouse=True)
def same_place(composer: Composer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stay where the composer was made: the current directory is a part of what Hydra records."""
    monkeypatch.chdir(composer.master.hydra.runtime.cwd)


def container(composed: DictConfig) -> dict[str, Any]:
    found = OmegaConf.to_container(composed, enum_to_str=True)
    assert isinstance(found, dict)
    return {str(key): value for key, value in found.items()}


def by_hydra(composer: Composer, number: int, overrides: Sequence[str]) -> DictConfig:
    """Compose a job as Hydra's basic launcher does."""
    composed: DictConfig = composer.loader.load_sweep_config(composer.master, list(overrides))
    with read_write(composed), open_dict(composed):
        composed.hydra.job.num = composed.hydra.job.id = number
    return composed


def outcome(compose: Callable[[], DictConfig], overrides: Sequence[str]) -> tuple[dict[str, Any], Job] | str:
    """Return the whole tree and the job, or what is said of the error."""
    try:
        composed = compose()
        return container(composed), job_from(composed)
    except NnlabError as error:
        return str(error)
    except (HydraException, OmegaConfBaseException) as error:
        return str(explain(error, overrides))


def same(composer: Composer, overrides: Sequence[str]) -> None:
    wanted = outcome(lambda: by_hydra(composer, 3, overrides), overrides)
    assert outcome(lambda: composer.compose(3, overrides).config, overrides) == wanted


@pytest.mark.parametrize("override", OVERRIDES)
def test_each_kind_of_override_gives_what_hydra_gives(composer: Composer, override: str) -> None:
    same(composer, ["seed=1", override, "training.epochs=2"])


@pytest.mark.parametrize(
    "overrides",
    [
        ["optimizer.lr=0.5", "~optimizer.lr"],
        ["~optimizer.lr", "optimizer.lr=0.5"],
        ["optimizer.lr=0.5", "++optimizer.lr=0.25", "optimizer=adam"],
        ["optimizer={lr: 0.125}", "optimizer.lr=0.5", "seed=3", "dataset=moons"],
        ["+more.of=this", "more.of=that", "++more.than=that"],
        ["+activation@architecture.activations.1=relu", "architecture.activations.1.derivative_at_zero=1"],
    ],
)
def test_overrides_take_effect_in_the_order_in_which_they_are_given(composer: Composer, overrides: list[str]) -> None:
    same(composer, overrides)


def test_hydras_own_settings_are_those_of_hydra() -> None:
    named = ["hydra.sweep.subdir=x-${hydra:job.override_dirname}"]
    named += ["hydra.job.config.override_dirname.exclude_keys=[seed]"]
    with master(named) as (composer, _):
        same(composer, ["seed=4", "activation=relu"])
    first, second = planned([["seed=4", "activation=relu"], ["seed=4", "activation=tanh"]], [], named)
    assert first.job is not None
    assert second.job is not None
    assert (first.job.directory.name, second.job.directory.name) == ("x-activation=relu", "x-activation=tanh")


def test_a_folder_of_the_users_own_is_searched(tmp_path: Path) -> None:
    (tmp_path / "activation").mkdir()
    (tmp_path / "activation" / "mine.yaml").write_text(
        "_target_: nnlab.nn.activations.LeakyReLU\nnegative_slope: 0.3\n"
    )
    with master(["activation=mine"], tmp_path) as (composer, _):
        composed = composer.compose(0, ["activation=mine", "activation.negative_slope=0.4"]).config
        assert job_from(composed).config.activation.arguments == {"negative_slope": 0.4}


def test_a_job_is_named_by_what_was_swept() -> None:
    overrides = ["tracking=none", "seed=3", "architecture.hidden_sizes=[5,5]", "activation=relu"]
    swept = ["activation", "architecture.hidden_sizes"]
    assert name(overrides, swept) == "activation=relu architecture.hidden_sizes=[5,5]"


def test_jobs_are_numbered_named_and_checked(composer: Composer) -> None:
    jobs = [[*QUICK, f"activation={activation}", f"seed={seed}"] for activation in ("relu", "tanh") for seed in (0, 1)]
    found = plan(jobs, ["activation", "seed"], composer.compose, SWEEP)
    assert [each.number for each in found] == [0, 1, 2, 3]
    assert [each.name for each in found][:2] == ["activation=relu seed=0", "activation=relu seed=1"]
    assert [each.job.config.seed for each in found if each.job] == [0, 1, 0, 1]
    assert [each.job.directory.name for each in found if each.job] == ["0", "1", "2", "3"]
    assert len({each.data_hash for each in found}) == 1
    assert all(each.is_to_train for each in found)


def test_the_directories_of_jobs_are_absolute() -> None:
    (each,) = planned([[*QUICK]], [], ["hydra.sweep.dir=my/sweep"])
    assert each.job is not None
    assert each.job.directory == Path("my/sweep/0").absolute()


def test_what_differs_only_in_its_seed_is_built_once(composer: Composer, monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[Job] = []
    monkeypatch.setattr(runner, "check", checked.append)
    jobs = [[*QUICK, f"optimizer.lr={lr}", f"seed={seed}"] for lr in (0.1, 0.2) for seed in range(5)]
    plan(jobs, [], composer.compose, SWEEP)
    assert [job.config.optimizer.arguments["lr"] for job in checked] == [0.1, 0.2]


def test_every_job_that_cannot_run_says_why(composer: Composer) -> None:
    refused = plan(
        [
            [*QUICK, "seed=0"],
            [*QUICK, "training.batch_size=-1"],
            [*QUICK, "activation=none_such"],
            [*QUICK, "optimizer.lrr=1"],
            [*QUICK, "architecture.out_features=2", "seed=0"],
            [*QUICK, "architecture.out_features=2", "seed=1"],
        ],
        [],
        composer.compose,
        SWEEP,
    )
    problems = [each.problem for each in refused]
    assert problems[0] is None
    assert "training.batch_size=-1" in str(problems[1])
    assert "activation=none_such: there is no such choice; choose from elu," in str(problems[2])
    assert "optimizer.lrr: there is no such key in optimizer; did you mean lr?" in str(problems[3])
    assert "architecture.out_features=2 is too few" in str(problems[4])
    assert problems[5] == problems[4]
    assert all(each.job is None and not each.is_to_train for each in refused[1:])


def test_a_sweep_of_which_nothing_can_run_is_refused(composer: Composer) -> None:
    with pytest.raises(NnlabError, match=r"optimizer.lrr: .* \(and 1 other problems: no job can run\)"):
        plan([["optimizer.lrr=1"], ["optimizer.lrx=1"]], [], composer.compose, SWEEP)
    with pytest.raises(NnlabError, match="no jobs"):
        plan([], [], composer.compose, SWEEP)


@pytest.mark.parametrize("given", ["experiment=s1-wine-13-5-5-3", "experiment_name='1e3'"])
def test_hydras_record_of_a_job_is_what_hydra_would_write(composer: Composer, given: str, tmp_path: Path) -> None:
    overrides = ["tracking=none", "optimizer.lr=1e-5", given]
    wanted = container(by_hydra(composer, 0, overrides))
    (each,) = plan([overrides], [], composer.compose, SWEEP)
    hydra_record.write(tmp_path / "0", each)
    read = {path.name: OmegaConf.to_container(OmegaConf.load(path)) for path in (tmp_path / "0/.hydra").iterdir()}
    hydra = wanted.pop("hydra")
    hydra["runtime"]["output_dir"] = str(tmp_path / "0")
    assert read == {"config.yaml": wanted, "hydra.yaml": {"hydra": hydra}, "overrides.yaml": overrides}


def test_hydras_record_is_left_out_where_the_user_wants_none(tmp_path: Path) -> None:
    (each,) = planned([[*QUICK]], [], ["hydra.output_subdir=null"])
    hydra_record.write(tmp_path / "0", each)
    assert not (tmp_path / "0").exists()
