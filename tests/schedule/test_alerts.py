"""Alerts by file, command and webhook; one that fails is kept and shown and hides nothing."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from crm_lab.schedule.alerts import Alert, send_alert
from crm_lab.schedule.declared import AlertDeclared

ALERT = Alert(
    event="failure",
    text="Shop: 'base' failed.",
    company="Shop",
    entry="base",
    report="customer_base",
    slot="2026-11-03T06:00:00Z",
    at="2026-11-03T06:01:00Z",
    status="failed",
    reason="error",
    about="ValueError",
)


class Receiver(ThreadingHTTPServer):
    """A webhook on the loopback that keeps what it was sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Hook)
        self.received: list[tuple[str, Any]] = []
        self.released = threading.Event()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Hook(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((self.path, json.loads(body)))
        if self.path == "/slow":
            self.server.released.wait(5)
        code = {"/bad": 500, "/moved": 302}.get(self.path, 204)
        self.send_response(code)
        if code == 302:
            self.send_header("Location", f"{self.server.address}/elsewhere")
        self.end_headers()

    do_GET = do_POST  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.released.set()
        server.shutdown()
        thread.join()


def send(folder: Path, *ways: dict[str, Any], alert: Alert = ALERT) -> tuple[str, ...]:
    return send_alert(alert, [AlertDeclared.model_validate(way) for way in ways], folder=folder)


def test_a_file_gets_one_line_for_each_alert(tmp_path):
    assert send(tmp_path, {"file": "deep/alerts.txt"}, {"file": "a.jsonl"}) == ()
    assert send(tmp_path, {"file": "deep/alerts.txt"}) == ()
    text = (tmp_path / "deep/alerts.txt").read_text("utf-8")
    assert text == "2026-11-03T06:01:00Z  Shop: 'base' failed.\n" * 2
    assert json.loads((tmp_path / "a.jsonl").read_text("utf-8"))["about"] == "ValueError"


def test_a_command_gets_the_sentence_and_the_facts_and_no_shell(tmp_path):
    program = (
        "import os, sys, pathlib; pathlib.Path('told.txt').write_text("
        "sys.stdin.read() + os.environ['CRM_LAB_ALERT_ENTRY'] + sys.argv[1])"
    )
    assert send(tmp_path, {"command": [sys.executable, "-c", program, "$(touch x); `id`"]}) == ()
    told = (tmp_path / "told.txt").read_text("utf-8")
    assert told == "Shop: 'base' failed.\nbase$(touch x); `id`"
    assert not (tmp_path / "x").exists()


def test_a_webhook_gets_json(tmp_path, receiver):
    assert send(tmp_path, {"webhook": f"{receiver.address}/hook?key=1"}) == ()
    [(path, body)] = receiver.received
    assert path == "/hook?key=1"
    assert (body["text"], body["event"], body["slot"]) == (ALERT.text, "failure", ALERT.slot)


def test_the_address_of_a_webhook_may_stand_in_the_environment(tmp_path, receiver, monkeypatch):
    way = {"webhook_variable": "SHOP_HOOK"}
    monkeypatch.setenv("SHOP_HOOK", f"{receiver.address}/hook")
    assert send(tmp_path, way) == ()
    monkeypatch.setenv("SHOP_HOOK", "file:///etc/passwd")
    assert "holds no http(s) address" in send(tmp_path, way)[0]
    monkeypatch.delenv("SHOP_HOOK")
    assert "SHOP_HOOK holds no http(s) address" in send(tmp_path, way)[0]
    assert len(receiver.received) == 1


def test_every_failure_of_an_alert_is_told_without_its_address_and_stops_no_other(
    tmp_path, receiver
):
    (tmp_path / "folder").mkdir()
    secret = "token=SECRET"
    faults = send(
        tmp_path,
        {"file": "folder"},
        {"command": ["no-such-program"]},
        {"command": [sys.executable, "-c", "raise SystemExit(9)"]},
        {"command": [sys.executable, "-c", "import time; time.sleep(9)"], "timeout": "0.2s"},
        {"webhook": f"{receiver.address}/bad"},
        {"webhook": f"{receiver.address}/moved"},
        {"webhook": f"{receiver.address}/slow", "timeout": "0.2s"},
        {"webhook": f"http://127.0.0.1:1/x?{secret}"},
        {"webhook": f"http://no such host/?{secret}".replace(" ", "%20")},
        {"file": "last.txt"},
    )
    assert [fault.split("): ", 1)[1] for fault in faults] == [
        "Is a directory",
        "cannot be started (No such file or directory)",
        "exit code 9",
        "no end within 0.2 seconds",
        "answered 500 Internal Server Error",
        "answered 302 Found",
        "no answer within 0.2 seconds",
        "cannot be reached",
        "cannot be reached",
    ]
    assert "SECRET" not in "".join(faults)
    assert "/elsewhere" not in [path for path, _ in receiver.received]
    assert (tmp_path / "last.txt").exists()


def test_a_nul_in_a_command_or_a_name_is_a_failed_alert_like_any_other(tmp_path):
    faults = send(tmp_path, {"command": ["echo", "a\0b"]}, {"file": "a\0b"}, {"file": "last.txt"})
    assert [fault.split("): ", 1)[1] for fault in faults] == [
        "cannot be started (embedded null byte)",
        "embedded null byte",
    ]
    assert (tmp_path / "last.txt").exists()


def test_a_command_that_does_not_end_is_ended_with_all_that_it_started(tmp_path):
    child = "import os, time; open('child.txt', 'w').write(str(os.getpid())); time.sleep(60)"
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    way = {"command": [sys.executable, "-c", program], "timeout": "2s"}
    assert "no end within 2 seconds" in send(tmp_path, way)[0]
    pid = (tmp_path / "child.txt").read_text("utf-8")
    until(lambda: not is_alive(int(pid)))


def is_alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status")
    return status.exists() and "State:\tZ" not in status.read_text("utf-8")


def until(condition: Callable[[], bool]) -> None:
    for _ in range(200):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("it did not come")


def test_only_those_who_want_to_know_are_told(tmp_path):
    assert send(tmp_path, {"file": "r.txt", "on": ["recovery"]}) == ()
    assert not (tmp_path / "r.txt").exists()


def test_an_alert_that_fails_is_kept_and_shown_and_the_failure_stays(night):
    n = night(
        "entries: {base: {report: x, cron: '0 6 * * *'}}\nalerts: [{command: [no-such-program]}]"
    )
    n.bad = {"base"}
    done = n.at("03 06:00").keeper.run_due()
    assert [item.is_good for item in done] == [False]
    record = n.record("base")
    assert (record.status, record.alert) == ("failed", "")
    assert "no-such-program" not in record.alert_faults[0]
    assert n.events("base")[-2:] == ["failed", "alert_failed"]
    assert "cannot be started" in n.keeper.status().card_frame()["reason"][0]
    n.bad = set()
    done = n.at("04 06:00").keeper.run_due()
    assert [item.is_good for item in done] == [False]  # good, but nobody could be told


def test_an_alert_that_a_killed_process_did_not_send_is_sent_by_the_next(night):
    n = night("entries: {base: {report: x, cron: '0 6 * * *'}}\nalerts: [{file: told.txt}]")
    n.bad = {"base"}
    n.at("03 06:00").run_due()
    told = n.keeper.settings.folder / "told.txt"
    told.unlink()
    state = n.state("base")
    n.keeper.folder.write(
        state.with_record(n.record("base").model_copy(update={"alert": "failure"}))
    )
    n.run_due()
    assert told.read_text("utf-8").count("failed") == 1
    n.run_due()
    assert told.read_text("utf-8").count("failed") == 1
