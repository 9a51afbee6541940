"""The command line: one verb a function; each imports only what it needs."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from nnlab import output
from nnlab.errors import NnlabError, describe, naming
from nnlab.one_line import one_line
from nnlab.output import say
from nnlab.signals import interruptible

_DESCRIPTION = "Experiment-tracking research harness for neural networks in plain NumPy."
_EPILOG = """examples:
  nnlab train dataset=moons activation=relu                  one run
  nnlab train -m activation=tanh,relu seed='range(5)'        a sweep: every combination
  nnlab train --help                                         every group, choice and key
  nnlab resume outputs/sweeps/DIR                            go on where a sweep was stopped
  nnlab compare                                              mean and spread over seeds
  nnlab reproduce all --quick                                re-earn the published figures
  nnlab export outputs/sweeps/DIR -o sweep.zip               take it to another machine: `nnlab import sweep.zip`
  nnlab ui                                                   look at the runs in MLflow
  nnlab doctor                                               what is wrong here, and what to do
"""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0, 1 if a run failed, 2 if the input was wrong, 130 on Ctrl-C."""
    with interruptible():
        _main(argv)


def _main(argv: Sequence[str] | None) -> None:
    arguments = list(sys.argv[1:] if argv is None else argv)
    output.open_missing()
    try:
        code = _dispatch(arguments)
        output.check()
        sys.exit(code)
    except NnlabError as error:
        sys.stderr.write(f"nnlab: {one_line(str(error))}\n")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.stderr.write("nnlab: interrupted\n")
        sys.exit(130)
    except OSError as error:
        sys.stderr.write(f"nnlab: {one_line(describe(error))}\n")
        sys.exit(1)


def _dispatch(arguments: list[str]) -> int:
    if arguments[:1] == ["train"]:  # its arguments are Hydra's
        return _train(arguments[1:])
    if arguments[:1] in (["-sc"], ["--shell-completion"]):  # the shell's completion calls us without the verb
        os.environ["COMP_LINE"] = os.environ.get("COMP_LINE", "").replace(" train ", " ", 1)
        return _train(arguments)
    try:
        options = _parser().parse_args(arguments)
    except SystemExit:  # --help has been printed, or could not be
        return 0
    code: int = options.function(options)
    return code


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise NnlabError(f"{message}; `{self.prog} --help` says more")

    def print_help(self, file: object = None) -> None:  # noqa: ARG002 - argparse's own swallows errors
        output.write(self.format_help())


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="nnlab", description=_DESCRIPTION, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(required=True, metavar="verb")
    verbs.add_parser("train", help="compose a configuration, train, record (-m for a sweep)", add_help=False)

    resume = verbs.add_parser("resume", help="finish a sweep or a run that was interrupted")
    resume.add_argument("directory", type=Path, metavar="DIR", help="of a sweep or a run")
    resume.add_argument("--retry-failed", action="store_true", help="train the jobs that failed again")
    resume.add_argument(
        "--trust", action="append", default=[], metavar="TARGET", help="a _target_ of your own that a saved file names"
    )
    resume.set_defaults(function=_resume)

    sync = verbs.add_parser("sync", help="mirror runs into MLflow")
    sync.add_argument("--follow", action="store_true", help="go on, mirroring runs as they train")
    sync.add_argument("--exit-when-idle", action="store_true", help="with --follow: end when nothing is left to do")
    sync.set_defaults(function=_sync)

    compare = verbs.add_parser("compare", help="mean and 95 %% interval of a metric for each setting, and what differs")
    compare.add_argument("where", nargs="*", metavar="DIR", help="sweeps or runs; default: the newest run's experiment")
    compare.add_argument("--experiment", metavar="NAME", help="only the runs of this experiment")
    compare.add_argument(
        "--filter", metavar="FILTER", help="ask MLflow: the runs of the store that match, as its UI does"
    )
    compare.add_argument("--metric", help="accuracy, loss or a recorded metric's full name; default: accuracy")
    compare.add_argument("--split", choices=("train", "val", "test"), help="of accuracy or loss; default: test")
    compare.add_argument("--by", metavar="KEY[,KEY]", help="group by these settings only; default: all that differ")
    compare.add_argument("--format", choices=("table", "csv", "markdown", "latex", "json"), default="table")
    compare.add_argument("--json", type=Path, metavar="FILE", help="write the result there as well")
    compare.set_defaults(function=_compare)

    evaluate = verbs.add_parser("evaluate", help="loss and accuracy of a run's checkpoint on a split")
    evaluate.add_argument("directory", type=Path, metavar="DIR", help="of a run")
    evaluate.add_argument("--split", choices=("train", "val", "test"), default="test")
    evaluate.add_argument("--checkpoint", default="last", metavar="WHICH", help="last (default), best or an epoch")
    evaluate.set_defaults(function=_evaluate)

    reproduce = verbs.add_parser("reproduce", help="re-earn published figures, or train a past run again and compare")
    reproduce.add_argument(
        "what", metavar="WHAT", help="all, own, an experiment's name or file, a run's directory, or an MLflow run id"
    )
    reproduce.add_argument("--quick", action="store_true", help="only the experiments that cost less than a minute")
    reproduce.add_argument("--json", type=Path, metavar="FILE", help="write the result there as well")
    reproduce.add_argument("--markdown", type=Path, metavar="FILE", help="write the table of experiments there as well")
    reproduce.add_argument("--rtol", type=float, help="of a past run's losses, for WITHIN TOLERANCE (default: 1e-5)")
    reproduce.add_argument(
        "--trust", action="append", default=[], metavar="TARGET", help="a _target_ of your own that a saved file names"
    )
    reproduce.set_defaults(function=_reproduce)

    export = verbs.add_parser("export", help="write runs and sweeps into one file, to be taken to another machine")
    export.add_argument("what", nargs="+", metavar="WHAT", help="directories of runs or sweeps, or ids of runs")
    export.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="to be made: NAME.zip")
    export.set_defaults(function=_export)

    arrive = verbs.add_parser("import", help="bring such a file's runs into the outputs root and into MLflow")
    arrive.add_argument("file", type=Path, metavar="FILE", help="that `nnlab export` has made")
    arrive.set_defaults(function=_import)

    ui = verbs.add_parser("ui", help="open MLflow's UI on the runs")
    ui.add_argument("--port", type=int, help="default: the next free one from 5000")
    ui.add_argument("--no-browser", action="store_true", help="only print the URL")
    ui.set_defaults(function=_ui)

    doctor = verbs.add_parser("doctor", help="what is wrong here, if anything, and what to do about it")
    doctor.set_defaults(function=_doctor)

    data = verbs.add_parser("data", help="fetch, list or verify data sets")
    actions = data.add_subparsers(required=True, metavar="action")
    fetch = actions.add_parser("fetch", help="download and verify a data set")
    fetch.add_argument("name", help="mnist")
    fetch.set_defaults(function=_data_fetch)
    actions.add_parser("list", help="which data sets there are, and where").set_defaults(function=_data_list)
    actions.add_parser("verify", help="check every file's SHA-256").set_defaults(function=_data_verify)
    return parser


def _train(arguments: list[str]) -> int:
    from nnlab.app import train

    train(arguments)
    return 0


def _resume(options: argparse.Namespace) -> int:
    from nnlab.sweep.resumption import resume

    return resume(options.directory, retry_failed=options.retry_failed, trusted=options.trust)


def _sync(options: argparse.Namespace) -> int:
    from nnlab import paths
    from nnlab.tracking import store, sync

    if options.exit_when_idle and not options.follow:
        raise NnlabError("--exit-when-idle goes with --follow")
    outputs = paths.outputs_dir()
    say(f"outputs {outputs}")
    say(f"store   {store.shown(store.uri(outputs))}")
    if options.follow:
        return sync.follow(outputs, say, exit_when_idle=options.exit_when_idle)
    return 1 if sync.sync(outputs, say) else 0


def _compare(options: argparse.Namespace) -> int:
    from nnlab import tables
    from nnlab.comparison import compare

    if options.json and not options.json.resolve().parent.is_dir():
        raise NnlabError(f"--json {options.json}: there is no such folder")
    if options.json and options.json.is_dir():
        raise NnlabError(f"--json {options.json}: it is a folder; give the name of a file")
    result = compare(
        *options.where,
        experiment=options.experiment,
        metric=options.metric,
        split=options.split,
        by=options.by or (),
        filter=options.filter,
    )
    if options.format == "table":
        tables.print_comparison(result)
    else:
        say(tables.as_text(result, options.format))
    if options.json:
        with naming(options.json):
            options.json.write_text(tables.as_text(result, "json") + "\n", encoding="utf-8")
        if options.format == "table":
            say(f"written to {options.json.resolve()}")
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    from nnlab.api import evaluate

    loss, accuracy, samples = evaluate(options.directory, split=options.split, checkpoint=options.checkpoint)
    say(f"{options.split}  loss {loss:.6f}  accuracy {accuracy:.6f}  ({samples} samples)")
    return 0


def _reproduce(options: argparse.Namespace) -> int:
    from nnlab.reproduction.reproduce import reproduce

    return reproduce(
        options.what,
        quick=options.quick,
        rtol=options.rtol,
        trusted=options.trust,
        json_file=options.json,
        markdown_file=options.markdown,
    )


def _export(options: argparse.Namespace) -> int:
    from nnlab.portable.export import export

    return export(options.what, options.output)


def _import(options: argparse.Namespace) -> int:
    from nnlab.portable.importing import bring_in

    return bring_in(options.file)


def _ui(options: argparse.Namespace) -> int:
    from nnlab import paths
    from nnlab.ui import ui

    return ui(paths.outputs_dir(), say, port=options.port, browser=not options.no_browser)


def _doctor(options: argparse.Namespace) -> int:  # noqa: ARG001 - every verb takes its options
    from nnlab.doctor.examination import doctor

    return doctor(say)


def _data_fetch(options: argparse.Namespace) -> int:
    from nnlab.data import registry

    registry.fetch(options.name, say)
    return 0


def _data_list(options: argparse.Namespace) -> int:  # noqa: ARG001 - every verb takes its options
    from nnlab.data import registry

    for row in registry.status():
        size = f"{row.bytes / 1e6:.1f} MB" if row.bytes else ""
        say(f"{row.name:13} {'present' if row.present else 'absent':8} {size:>8}  {row.path}")
    return 0


def _data_verify(options: argparse.Namespace) -> int:  # noqa: ARG001 - every verb takes its options
    from nnlab.data import registry

    rows = registry.verify()
    for row in rows:
        say(f"{row.name:13} {row.state:8} {row.file}")
    return 1 if any(row.state == "wrong" for row in rows) else 0
