"""The command line as a whole: help, the model's options, errors, outputs that are closed."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import runtime
from runtime import cli
from runtime.cli.main import main
from runtime.model import providers

ROOT = Path(__file__).resolve().parents[3]
COMMANDS = ["annotate", "client", "demo", "doctor", "predict", "report", "serve", "stream"]
# A provider that no installed ONNX Runtime has together with the others.
ABSENT = "cuda" if "coreml" in providers.compiled_in() else "coreml"
Run = Callable[..., tuple[int, str, str]]
Command = Callable[..., "subprocess.CompletedProcess[str]"]


def help_of(capsys: pytest.CaptureFixture[str], *command: str, prog: str = "ekg") -> str:
    with pytest.raises(SystemExit) as ended:
        main([*command, "--help"], prog=prog)
    assert ended.value.code == 0
    return " ".join(capsys.readouterr().out.split())


def test_help_lists_every_command_with_its_summary(capsys: pytest.CaptureFixture[str]) -> None:
    text = help_of(capsys)
    assert text.startswith("usage: ekg [-h]")
    found = re.findall(r" ([a-z]+) [A-Z][^.]*\.(?= )", text.partition("COMMAND ")[2])
    assert [name for name in found if name in COMMANDS] == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_has_an_example_that_parses(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = help_of(capsys, command, prog="python -m ekg")
    example = text.partition("example: python -m ekg ")[2].partition(" < ")[0].split()
    assert example[0] == command
    monkeypatch.setattr(f"runtime.cli.{command}.run", lambda args: 7)
    assert main(example) == 7


@pytest.mark.parametrize(
    ("command", "defaults"),
    [
        ("serve", ["127.0.0.1", "8000", "EKG_LOG, else info"]),
        ("demo", ["60", "real", "1"]),
        ("predict", ["0", "to the end", "the ECG, MLII before others"]),
        ("annotate", ["ekg", "."]),
        ("report", ["18", "en", "."]),
        ("stream", ["the file's own, else mV", "600"]),
        ("client", ["http://127.0.0.1:8000", "100"]),
        ("doctor", ["auto"]),
    ],
)
def test_help_shows_defaults(
    command: str, defaults: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    text = help_of(capsys, command)
    for default in defaults:
        assert f"(default: {default})" in text


def test_help_does_not_show_the_token(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EKG_TOKEN", "s3cret")
    for command in ("stream", "client"):
        assert "s3cret" not in help_of(capsys, command)


def test_usage_names_the_program_as_it_was_called() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "runtime", "predict"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr.startswith("usage: python -m runtime predict ")


def test_version_is_that_of_the_package(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "__version__", "12.3.4", raising=False)
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == "ekg 12.3.4\n"


def test_model_options_are_taken_before_and_after_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[argparse.Namespace] = []
    monkeypatch.setattr("runtime.cli.doctor.run", lambda args: seen.append(args) or 0)
    options = ["--provider", "cpu", "--artifacts", "x"]
    for arguments in (
        [*options, "doctor"],
        ["doctor", *options],
        [*options[:2], "doctor", *options[2:]],
        ["--provider", "mps", "doctor", *options],
        ["doctor"],
    ):
        assert main(arguments) == 0
    assert [(args.provider, str(args.artifacts)) for args in seen[:4]] == 4 * [("cpu", "x")]
    assert (seen[4].provider, seen[4].artifacts) == ("auto", ROOT / "artifacts")


@pytest.mark.parametrize(
    "options", [[], ["--provider", "cpu"], ["--artifacts=x", "--provider=cpu"]], ids=len
)
def test_only_the_command_that_is_given_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str]
) -> None:
    """All of them together take a sixth of a server's start."""
    (tmp_path / "broken.py").write_text("raise RuntimeError('imported')\n")
    monkeypatch.setattr(cli, "__path__", [*cli.__path__, str(tmp_path)])
    monkeypatch.setattr("runtime.cli.doctor.run", lambda args: 0)
    assert main([*options, "doctor"]) == 0
    with pytest.raises(RuntimeError, match="imported"):
        main([*options, "--help", "doctor"])


def test_a_new_file_is_a_new_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "count_to.py").write_text(
        '"""Count to a number."""\n\nEXAMPLE = "3"\n\n\n'
        'def add_arguments(parser):\n    parser.add_argument("number", type=int)\n\n\n'
        "def run(args):\n    print(*range(1, args.number + 1))\n    return 0\n"
    )
    monkeypatch.setattr(cli, "__path__", [*cli.__path__, str(tmp_path)])
    try:
        assert main(["count_to", "3"]) == 0
        assert capsys.readouterr().out == "1 2 3\n"
        assert "count_to Count to a number." in help_of(capsys)
    finally:
        sys.modules.pop("runtime.cli.count_to", None)


@pytest.mark.parametrize(
    "arguments",
    [
        ("predict", "/nowhere/100"),
        ("annotate", "/nowhere/100"),
        ("stream", "--url", "http://127.0.0.1:9", "--page", "8000"),
        ("stream", "--pace", "fast", "--page", "8000"),
        ("annotate", "x.csv", "--fs", "360", "--out", "x.csv"),
        ("annotate", "x.csv", "x.csv", "--fs", "360"),
        ("report", "x.csv", "x.csv", "--fs", "360"),
        ("predict", "x.csv", "--fs", "360", "--start", "nan"),
        ("predict", "x.csv", "--fs", "360", "--start", "1e308"),
        ("stream", "-"),
        ("stream", "x.csv", "--fs", "360", "--units", "furlong"),
        *(("stream", "--fs", rate) for rate in ("nan", "inf", "1e18", "0")),
        ("--artifacts", "/nowhere", "predict", "x.csv"),
        ("serve", "--artifacts", "/nowhere"),
        ("predict", "x.csv", "--fs", "360", "--provider", ABSENT),
        ("serve", "--host", "203.0.113.1"),
        ("serve", "--port", "70000"),
        ("client", "x.csv", "--url", "nowhere"),
    ],
)
def test_errors_are_one_sentence_and_status_2(
    arguments: tuple[str, ...],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.csv").write_text("\n".join(["0.0"] * 400))
    assert main(list(arguments)) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert len(err.splitlines()) == 1
    assert "Traceback" not in err


@pytest.mark.parametrize("arguments", [("doctor",), ("predict", "x.csv", "--fs", "360")])
def test_a_pipe_whose_reader_left_is_no_error_but_a_full_disk_is(
    csv_record: Path, arguments: tuple[str, ...]
) -> None:
    csv_record.rename(csv_record.with_name("x.csv"))
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"} | {
        "PYTHONPATH": str(ROOT)
    }

    def call(stdout: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # type: ignore[call-overload, no-any-return]
            [sys.executable, "-m", "runtime", *arguments],
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=csv_record.parent,
        )

    read_end, write_end = os.pipe()
    os.close(read_end)
    done = call(write_end)
    os.close(write_end)
    assert (done.returncode, done.stderr) == (0, "")
    with Path("/dev/full").open("w") as full:
        done = call(full)
    assert done.returncode == 2
    assert done.stderr == (
        "error: standard output cannot be written or read (No space left on device).\n"
    )


@pytest.mark.parametrize("closed", [">&-", "2>&-"])
def test_annotate_works_with_a_closed_output(csv_record: Path, closed: str) -> None:
    pytest.importorskip("wfdb", reason="writes WFDB annotations")
    done = subprocess.run(
        [
            "sh",
            "-c",
            f'"$0" -m runtime --provider cpu annotate "$1" --fs 360 --out "$2" {closed}',
            sys.executable,
            csv_record,
            csv_record.parent,
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert csv_record.with_suffix(".ekg").is_file()


def test_the_old_call_of_the_client_is_the_command_client() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "runtime.client", "--url", "nowhere"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: 'nowhere' is no server; expected something like http://127.0.0.1:8000.\n"
    )


HIDE_POSIX = """
import importlib.abc, sys
class Hide(importlib.abc.MetaPathFinder):
    names = {"fcntl", "resource", "pwd", "grp", "termios", "pty", "gunicorn"}
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
for name in Hide.names:
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Hide())
"""


@pytest.mark.parametrize(
    "commands",
    [
        "main(['predict', RECORD, '--fs', '360']) or main(['doctor'])",
        "main(['stream', RECORD, '--fs', '360'])",
        "main(['annotate', RECORD, '--fs', '360', '--out', OUT])",
        "main(['report', RECORD, '--fs', '360', '--out', OUT])",
    ],
)
def test_commands_work_without_what_only_posix_has(csv_record: Path, commands: str) -> None:
    for name, package in (("annotate", "wfdb"), ("report", "jinja2")):
        if name in commands:
            pytest.importorskip(package)
    program = (
        f"{HIDE_POSIX}\nRECORD, OUT = {str(csv_record)!r}, {str(csv_record.parent)!r}\n"
        f"import runtime\nfrom runtime.cli.main import main\nsys.exit({commands})"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    if "doctor" in commands:
        assert re.search(r"gunicorn +not installed", done.stdout)


def test_nothing_outside_the_server_imports_what_only_posix_has(tmp_path: Path) -> None:
    posix = r"^\s*(?:import|from) (?:fcntl|resource|pwd|grp|termios|pty|tty|gunicorn|syslog)\b"
    for path in (ROOT / "runtime").rglob("*.py"):
        if "server" not in path.parts:
            assert not re.search(posix, path.read_text(), re.MULTILINE), path


@pytest.mark.parametrize("arguments", [("--help",), ("serve",), ("predict", "x")])
def test_a_bundle_without_packages_says_how_to_install_them(
    arguments: tuple[str, ...], tmp_path: Path
) -> None:
    """Without site-packages, as in an environment that has Python alone."""
    shutil.copytree(
        ROOT / "runtime", tmp_path / "runtime", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copy(ROOT / "requirements-runtime.txt", tmp_path)
    done = subprocess.run(
        [sys.executable, "-E", "-s", "-S", "-m", "runtime", *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: numpy, onnxruntime and tqdm are needed for everything here and not installed; run "
        f"`{sys.executable} -m pip install -r requirements-runtime.txt`.\n"
    )
