"""Copies of a sweep's rows in PostgreSQL: many runs in a moment, each row but for its ids and one metric as it was."""

import random

from psycopg import sql

from benchmarks.team_server import TeamServer

_METRIC = "final/test_loss"


def copy_runs(server: TeamServer, *, experiment: str, sweep: str, count: int) -> dict[str, float]:
    """Give a new experiment a sweep with many runs, copies of the rows of one that was trained.

    Params, tags, inputs and every value of every metric are those of the sweep's runs in turn; run ids and names are
    new, each is started a second after the last, and ``final/test_loss`` is another in each.

    Args:
        server: with the sweep.
        experiment: the new one.
        sweep: the name of its parent run.
        count: of the copies.

    Returns:
        ``final/test_loss`` by the names of the copies.
    """
    values = random.Random(0).sample(range(1, 10 * count), count)
    losses = {f"copy {number}": value / (10 * count) for number, value in enumerate(values)}
    with server.connect() as connection:
        found = connection.execute("select experiment_id, run_uuid from runs where name = %s", (sweep,))
        ((source, old),) = found.fetchall()
        children = [
            run
            for (run,) in connection.execute(
                "select run_uuid from tags where key = 'mlflow.parentRunId' and value = %s order by run_uuid", (old,)
            )
        ]
        kept = "artifact_location, lifecycle_stage, creation_time, last_update_time, workspace"
        ((new,),) = connection.execute(
            f"insert into experiments (name, {kept}) select %s, {kept}"  # noqa: S608
            " from experiments where experiment_id = %s returning experiment_id",
            (experiment, source),
        ).fetchall()
        connection.execute(
            "insert into experiment_tags (key, value, experiment_id)"
            " select key, value, %s from experiment_tags where experiment_id = %s",
            (new, source),
        )
        connection.execute("create temp table copies (old text, new text, name text, loss float, number int)")
        rows: list[tuple[str, str, str, float | None, int]] = [(old, "f" * 32, sweep, None, 0)]
        rows += [
            (children[number % len(children)], f"{number:032x}", name, loss, number + 1)
            for number, (name, loss) in enumerate(losses.items())
        ]
        with connection.cursor() as cursor:
            cursor.executemany("insert into copies values (%s, %s, %s, %s, %s)", rows)
        replaced = {
            "run_uuid": "c.new",
            "destination_id": "c.new",
            "name": "c.name",
            "experiment_id": str(new),
            "start_time": "t.start_time + 1000 * c.number",
            "end_time": "t.end_time + 1000 * c.number",
            "input_uuid": "md5(t.input_uuid || c.new)",
        }
        changed = {
            "tags": "case t.key when 'mlflow.parentRunId' then repeat('f', 32)"
            " when 'mlflow.runName' then c.name else t.value end",
            "latest_metrics": f"case t.key when '{_METRIC}' then c.loss else t.value end",
            "metrics": f"case t.key when '{_METRIC}' then c.loss else t.value end",
        }
        for table in ("runs", "tags", "params", "latest_metrics", "metrics", "inputs"):
            columns = [
                column
                for (column,) in connection.execute(
                    "select column_name from information_schema.columns where table_name = %s", (table,)
                )
            ]
            taken = {**replaced, **({"value": changed[table]} if table in changed else {})}
            key = "destination_id" if table == "inputs" else "run_uuid"
            connection.execute(
                sql.SQL("insert into {} ({}) select {} from {} t join copies c on c.old = t.{}").format(
                    sql.Identifier(table),
                    sql.SQL(", ").join(map(sql.Identifier, columns)),
                    sql.SQL(", ").join(sql.SQL(taken.get(column, f't."{column}"')) for column in columns),
                    sql.Identifier(table),
                    sql.Identifier(key),
                )
            )
    return losses
