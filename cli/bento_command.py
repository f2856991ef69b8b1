"""``kizashi bento``: the code and the champion as one package, which BentoML serves and puts into a container."""

from __future__ import annotations

import re
import tempfile
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

import click

from cli.options import DONE, command_options, open_workspace
from cli.output import TerminalProgress, print_json, print_paragraph
from cli.packed_commands import MODULES
from crm.packed import Packed
from serving.packing import Built, build_bento, write_context, write_dockerfile

__all__ = ["bento"]

NAME = "kizashi"
_TAG = re.compile(r"(?P<name>{part})(?::(?P<version>{part}))?".format(part=r"[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?"))


class _Tag(click.ParamType):
    """A bento's name, with or without a version."""

    name = "tag"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str | None]:  # fmt: skip
        found = _TAG.fullmatch(str(value))
        if not found:
            self.fail(f"'{value}' is no tag; expected, for example, {NAME} or {NAME}:2026-11-02", param, ctx)
        return found["name"], found["version"]


@click.command()
@click.option(
    "--version", "alias", default="champion", show_default=True, metavar="ALIAS", help="Version of the model to pack."
)
@click.option(
    "--tag",
    type=_Tag(),
    default=NAME,
    metavar="NAME[:VERSION]",
    help=f"Of the bento. Services of one name share their state on a machine.  [default: {NAME}, version by BentoML]",
)
@click.option(
    "--context",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write the build context to this empty folder and stop; 'bentoml build DIR' builds from it.",
)
@click.option(
    "--dockerfile",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="OUT",
    help="Also write the recipe that 'bentoml containerize' would use.",
)
@command_options
def bento(
    folder: Path,
    as_json: bool,
    alias: str,
    tag: tuple[str, str | None],
    context: Path | None,
    dockerfile: Path | None,
) -> int:
    """Pack the champion with the code that serves it, as a bento.

    The champion is verified first. The bento holds its files, kizashi.toml as it is (secrets stay ${NAME}), and the
    versions of the libraries that are installed here. It starts without this folder and without MLflow:
    'bentoml serve NAME' serves it, 'bentoml containerize NAME' makes an image of it.
    """
    if context is not None and dockerfile is not None:
        raise click.UsageError("--context writes no bento, which --dockerfile needs; name one of them.")
    workspace = open_workspace(folder)
    name, version = tag
    progress = TerminalProgress(quiet=as_json)
    with tempfile.TemporaryDirectory(prefix="kizashi-bento-") as made:
        target = context or Path(made) / "context"
        with progress.step("Packing the champion") as step:
            packed = write_context(
                workspace,
                target,
                name=name,
                alias=alias,
                cli_modules=MODULES,
                kizashi_version=installed_version("kizashi"),
            )
            step.note(f"version {packed.model_version}")
        if context is not None:
            return _show_context(packed, context, as_json)
        with progress.step("Building the bento") as step:
            built = build_bento(target, version)
            step.note(f"{built.size_bytes / 1e6:.1f} MB")
    if dockerfile is not None:
        write_dockerfile(built.tag, dockerfile)
    return _show_built(packed, built, dockerfile, as_json)


def _show_context(packed: Packed, context: Path, as_json: bool) -> int:
    if as_json:
        print_json({"context": str(context), **_said(packed)})
    else:
        print_paragraph(f"{context} is written. Build from it with: bentoml build {context}")
    return DONE


def _show_built(packed: Packed, built: Built, dockerfile: Path | None, as_json: bool) -> int:
    if as_json:
        where = {"tag": built.tag, "folder": str(built.folder), "size_bytes": built.size_bytes}
        print_json({**where, "dockerfile": None if dockerfile is None else str(dockerfile), **_said(packed)})
        return DONE
    print_paragraph(
        f"""
{built.tag} is built, with version {packed.model_version} of the model and its line.
Serve it:         KIZASHI_API_KEY=... bentoml serve {built.tag} --host 127.0.0.1
As a container:   bentoml containerize {built.tag}"""
    )
    if dockerfile is not None:
        print_paragraph(f"Its recipe is {dockerfile}; the build context is {built.folder}.")
    return DONE


def _said(packed: Packed) -> dict[str, str]:
    return {
        "name": packed.name,
        "model_version": packed.model_version,
        "line_version": packed.line_version,
        "kizashi_version": packed.kizashi_version,
    }
