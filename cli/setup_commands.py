"""``kizashi init``, ``demo``, ``ui`` and ``serve``."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

import click

from cli.batch import score_leads
from cli.options import DONE, REFUSED, command_options, open_workspace
from cli.output import TerminalProgress, print_json, print_paragraph
from cli.scoring_commands import show_scores
from cli.serve import serve as run_service
from cli.training_commands import show_result
from crm.errors import RegistryError, WorkspaceError
from crm.outcomes import leads_at_risk
from crm.workspace_tables import open_tables
from models.registry import load_model
from training.train import train as run_training

__all__ = ["demo", "init", "serve", "ui"]

DEMO_LEADS = 8_000
DEMO_SEED = 7
LEADS_PER_WEEKLY_SLOT = 320  # about what the simulated old rule hands over
SHOWN = 10


@click.command()
@command_options
def init(folder: Path, as_json: bool) -> int:
    """Write a kizashi.toml to start from; an existing one is left alone."""
    path = folder / "kizashi.toml"
    if path.exists():
        raise WorkspaceError(
            found=f"'{path}', which exists already",
            expected="a folder without a kizashi.toml",
            fix="name another folder with --workspace; nothing was written",
        )
    text = files("cli").joinpath("workspace/kizashi.toml").read_text(encoding="utf-8")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise WorkspaceError(
            found=f"'{path}', which cannot be written ({error.strerror})",
            expected="a folder that can be written to",
            fix="name another folder with --workspace",
        ) from error
    if as_json:
        print_json({"written": str(path)})
    else:
        print_paragraph(f"{path} is written. Fill in the source and the SELECTs, then run 'kizashi check'.")
    return DONE


@click.command()
@click.option(
    "--leads", type=click.IntRange(2_000, 200_000), default=DEMO_LEADS, show_default=True, help="Simulated leads."
)
@click.option("--seed", type=int, default=DEMO_SEED, show_default=True, help="Seed of the simulation.")
@click.option("--language", type=click.Choice(["en", "ja"]), default="en", show_default=True, help="Of reasons.")
@command_options
def demo(folder: Path, as_json: bool, leads: int, seed: int, language: str) -> int:
    """Train on the embedded simulator and score its leads.

    Makes a workspace in ./demo, or in the folder that --workspace names.
    """
    folder = Path("demo") if folder == Path() else folder
    _write_demo(folder, leads, seed, language)
    workspace = open_workspace(folder)
    progress = TerminalProgress(quiet=as_json)
    now = datetime.now(UTC)
    if not as_json:
        print_paragraph(f"A simulated CRM with {leads:,} leads, in {folder}/. Learning which of them buy.\n")
    result = run_training(workspace, as_of=None, now=now, progress=progress)
    if not as_json:
        show_result(result)
        print_paragraph("")
    model = load_model(workspace, alias=result.model_version)
    moment = result.data.seen.observed_until
    with open_tables(workspace, now, TerminalProgress(quiet=True)) as tables:
        found = score_leads(workspace, tables, model, leads_at_risk(tables, moment), now, progress)
    best = sorted(found.records, key=lambda record: -record["expected_value"])[:SHOWN]
    if as_json:
        print_json({**result.to_json(), "scores": best})
        return DONE
    print_paragraph("")
    show_scores(f"The ten leads to call first, of {len(found.records):,} at risk on {moment:%Y-%m-%d}", best)
    _say_next(folder, result.run_id)
    return DONE if result.is_champion or _has_champion(folder) else REFUSED


def _has_champion(folder: Path) -> bool:
    try:
        load_model(open_workspace(folder))
    except RegistryError:
        return False
    return True


def _write_demo(folder: Path, leads: int, seed: int, language: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    text = files("cli").joinpath("workspace/demo.toml").read_text(encoding="utf-8")
    filled = text.format(
        leads=leads,
        seed=seed,
        language=language,
        capacity=max(leads // LEADS_PER_WEEKLY_SLOT, 2),
    )
    path = folder / "kizashi.toml"
    if path.exists() and "demo://" not in path.read_text(encoding="utf-8"):
        raise WorkspaceError(
            found=f"'{path}', which is no demo's",
            expected="an empty folder, or a demo's",
            fix="name another folder with --workspace; nothing was changed",
        )
    path.write_text(filled, encoding="utf-8")


def _say_next(folder: Path, run_id: str) -> None:
    command = "kizashi" if sys.prefix == sys.base_prefix else str(Path(sys.executable).with_name("kizashi"))
    command = shlex.quote(os.path.relpath(command) if Path(command).is_absolute() else command)
    workspace = shlex.quote(str(folder))
    print_paragraph(
        f"""
Open the model report:  {command} ui --workspace {workspace}
                        then run '{run_id[:8]}', Artifacts, report.en.html or report.ja.html
Call the service:       export KIZASHI_API_KEY=$(python3 -c 'import secrets; print(secrets.token_urlsafe(32))')
                        {command} serve --workspace {workspace} &    # wait for 'Ready'
                        curl -H "Authorization: Bearer $KIZASHI_API_KEY" -H 'Content-Type: application/json' \\
                        -d '{{"lead": {{"lead_id": "new-1", "created_at": "2026-06-29T09:00:00Z"}}, "touches": []}}' \\
                        http://127.0.0.1:3000/v1/score
Score every lead:       {command} score --workspace {workspace} --as-of 2026-07-01 --out scores.csv"""
    )


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), default=5000, show_default=True, help="Port to listen on.")
@command_options
def ui(folder: Path, as_json: bool, host: str, port: int) -> int:
    """Open the workspace's MLflow: runs, model reports, registered versions."""
    del as_json
    workspace = open_workspace(folder)
    if not (workspace.folder / "mlruns" / "mlflow.db").is_file():
        raise RegistryError(
            found="no runs in this workspace", expected="a trained model", fix="run 'kizashi train' first"
        )
    print_paragraph(f"MLflow shows this workspace at http://{host}:{port} (stop with Ctrl-C).")
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", workspace.tracking_uri]
    command += ["--host", host, "--port", str(port), "--workers", "1"]
    environ = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    return subprocess.run(command, env=environ, check=False).returncode  # noqa: S603 - our own arguments


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port to listen on.  [default: [serve] port, 3000]")
@command_options
def serve(folder: Path, as_json: bool, host: str, port: int | None) -> int:
    """Serve scores over HTTP; needs a champion, and a key: of 'kizashi keys create', or in KIZASHI_API_KEY."""
    del as_json
    workspace = open_workspace(folder)
    return run_service(workspace, host=host, port=port or workspace.config.serve.port, environ=os.environ)
