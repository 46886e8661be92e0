"""The real Prometheus, scraping whatever its configuration text names."""

import http.client
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.support.peers import free_port, require
from tests.support.programs import Program


class Prometheus(Program):
    """A server at `url`, from the text of a prometheus.yml; files that text names are looked up in `folder`."""

    host = "127.0.0.1"

    def __init__(self, folder: Path, config: str) -> None:
        program = require("prometheus")
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        (folder / "prometheus.yml").write_text(config)
        command = [
            program,
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address={self.host}:{self.port}",
            "--log.level=warn",
        ]
        super().__init__("prometheus", command, folder=folder, ready=self._answers)

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def query(self, expr: str) -> list[dict[str, Any]]:
        """The instant vector of an expression: `{"metric": {...}, "value": [time, "text"]}` each.

        AssertionError with Prometheus' own words when it refuses the expression.
        """
        status, answer = self._get("/api/v1/query?" + urlencode({"query": expr}))
        assert status == 200, f"Prometheus refuses {expr!r}: {answer.get('error')}"
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result

    def value(self, expr: str) -> float | None:
        """The value of the expression's only series; None when there is none."""
        result = self.query(expr)
        assert len(result) <= 1, f"{expr!r} gives {len(result)} series, not one"
        return float(result[0]["value"][1]) if result else None

    def targets(self) -> list[dict[str, Any]]:
        """The active targets with their health and last error."""
        active: list[dict[str, Any]] = self._get("/api/v1/targets?state=active")[1]["data"]["activeTargets"]
        return active

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=2)
        try:
            connection.request("GET", "/-/ready")
            return connection.getresponse().status == 200
        finally:
            connection.close()

    def _get(self, path: str) -> tuple[int, dict[str, Any]]:
        # http.client and not urllib: a proxy from the environment must not stand between two loopback programs.
        connection = http.client.HTTPConnection(self.host, self.port, timeout=10)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            answer: dict[str, Any] = json.loads(response.read())
            return response.status, answer
        finally:
            connection.close()
