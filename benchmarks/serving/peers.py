"""The peers that are only a model behind HTTP: BentoML and FastAPI, with a handler that predicts one row.

    python benchmarks/serving/peers.py bentoml|fastapi MODEL.txt PORT

Both take ``{"row": [...]}`` and run under the uvicorn that ``kizashi serve`` starts, with its settings; the BentoML
service has those of ``serving/service.py`` but for its guards.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

os.environ["BENTOML_DO_NOT_TRACK"] = "True"

import bentoml
import lightgbm as lgb
import numpy as np
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from serving.server import BACKLOG
from serving.service import THREADS, TIMEOUT_SECONDS


class Row(BaseModel):
    row: list[float | None]


def predict(booster: lgb.Booster, row: list[float | None]) -> float:
    predicted = booster.predict(np.array([row], dtype=np.float64), num_threads=1)
    return float(np.asarray(predicted)[0])


def bentoml_app(booster: lgb.Booster) -> Any:
    @bentoml.service(
        name="peer",
        workers=1,
        threads=THREADS,
        traffic={"timeout": TIMEOUT_SECONDS},
        metrics={"enabled": False},
        logging={"access": {"enabled": False}},
        tracing={"excluded_urls": ".*"},
    )
    class Peer:
        @bentoml.api(route="/v1/score")
        async def score(self, row: list[float | None]) -> float:
            return predict(booster, row)

    return Peer.to_asgi()


def fastapi_app(booster: lgb.Booster) -> FastAPI:
    app = FastAPI()

    @app.get("/livez")
    async def livez() -> str:
        return "ok"

    @app.post("/v1/score")
    async def score(body: Row) -> float:
        return predict(booster, body.row)

    return app


def main() -> None:
    kind, model, port = sys.argv[1:]
    booster = lgb.Booster(model_file=str(Path(model)))
    app = {"bentoml": bentoml_app, "fastapi": fastapi_app}[kind](booster)
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(port),
        http="h11",
        lifespan="on",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
    )


if __name__ == "__main__":
    main()
