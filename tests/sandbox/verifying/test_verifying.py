"""A dossier is checked from its own files: what was changed is noticed, and the file is named."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from sandbox import contents, signing, timestamps
from sandbox.cli import main
from sandbox.keys.held import open_signer
from sandbox.keys.listed import load_key_list
from sandbox.records.uploads import zip_dossier
from sandbox.verifying import verify
from tests.make import dossiers
from tests.make.assessments import assessment, measured_by_all_checks
from tests.make.time_stamps import Authority

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "docs" / "verify_dossier.py"


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole dossier of a real assessment, signed."""
    base = tmp_path_factory.mktemp("written")
    folder = dossiers.whole(base / "dossier", measured_by_all_checks(400))
    signing.sign(folder, dossiers.key(base), signed_at=dossiers.NOW)
    return base


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A folder with a key, its list, and a signed dossier of a few files."""
    signing.sign(dossiers.bare(tmp_path / "dossier", assessment()), dossiers.key(tmp_path), signed_at=dossiers.NOW)
    return tmp_path


def by_script(dossier: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the published script as somebody without our software runs it: from elsewhere, alone."""
    return subprocess.run(
        [sys.executable, "-I", str(SCRIPT), str(dossier), *options],
        capture_output=True,
        text=True,
        cwd="/",
        check=False,
    )


def named(dossier: Path, **more: object) -> set[str]:
    """The files that something is wrong with."""
    return {p.field for p in verify(dossier, **more).problems}  # type: ignore[arg-type]


def test_a_flipped_byte_in_any_file_of_a_real_dossier_is_noticed_and_the_file_named(
    written: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "dossier"
    shutil.copytree(written / "dossier", folder)
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    assert len(files) > 40
    assert verify(folder, key_list=written / "keys.json").unchanged
    for file in files:
        content = file.read_bytes()
        for position in (0, len(content) // 2, -1):
            dossiers.flip(file, position)
            found = named(folder)
            assert file.relative_to(folder).as_posix() in found, (file, position)
            file.write_bytes(content)
    assert verify(folder, key_list=written / "keys.json").unchanged


def test_a_changed_file_of_a_signed_dossier_is_the_only_one_named(written: Path, tmp_path: Path) -> None:
    folder = tmp_path / "dossier"
    shutil.copytree(written / "dossier", folder)
    dossiers.flip(folder / "model_card.en.pdf", 1000)
    assert named(folder) == {"model_card.en.pdf"}


@pytest.mark.parametrize("name", ["signature", "SHA256SUMS"])
def test_every_single_byte_of_the_signature_and_of_the_list_counts(base: Path, name: str) -> None:
    file = base / "dossier" / name
    content = file.read_bytes()
    step = 1 if name == "SHA256SUMS" else 3
    for position in range(0, len(content), step):
        for bit in (1, 32):
            changed = bytearray(content)
            changed[position] ^= bit
            file.write_bytes(bytes(changed))
            assert name in named(base / "dossier"), (position, bit)
    file.write_bytes(content[:-1])
    assert name in named(base / "dossier")
    file.write_bytes(content + b"\n")
    assert name in named(base / "dossier")


def test_the_list_that_was_changed_is_named_and_not_the_files_that_were_not(base: Path) -> None:
    dossiers.flip(base / "dossier" / "SHA256SUMS", 0)
    assert named(base / "dossier") == {"SHA256SUMS", "signature"}


def test_a_file_changed_together_with_the_list_is_still_noticed_under_a_signature(base: Path) -> None:
    dossiers.flip(base / "dossier" / "figures" / "one.parquet", 3)
    dossiers.write_sums(base / "dossier")
    assert named(base / "dossier") == {"figures/one.parquet", "SHA256SUMS", "signature"}


def test_an_extra_and_a_missing_file_are_named(base: Path) -> None:
    (base / "dossier" / "extra.txt").write_text("more")
    (base / "dossier" / "figures" / "one.parquet").unlink()
    problems = {p.field: p.code for p in verify(base / "dossier").problems}
    assert problems == {"extra.txt": "file.unexpected", "figures/one.parquet": "file.missing"}


def test_a_link_in_a_dossier_is_named_and_not_followed(base: Path) -> None:
    (base / "dossier" / "link").symlink_to("/etc/hostname")
    assert named(base / "dossier") == {"link"}


@pytest.mark.parametrize("gone", ["dossier.json", "run.json", "SHA256SUMS"])
def test_a_dossier_without_one_of_its_own_files_says_which(base: Path, gone: str) -> None:
    (base / "dossier" / gone).unlink()
    assert gone in named(base / "dossier")


def test_an_unsigned_dossier_is_valid_and_says_so(tmp_path: Path) -> None:
    found = verify(dossiers.bare(tmp_path / "dossier", assessment()))
    assert found.unchanged
    assert found.as_text().startswith("Not signed.")
    assert "Unchanged since signed" not in found.as_text()


def test_what_is_printed_of_a_signed_dossier_is_the_agreed_sentence(base: Path) -> None:
    found = verify(base / "dossier", key_list=base / "keys.json")
    key = load_key_list(base / "keys.json").keys[0].id
    assert found.as_text().splitlines()[0] == (
        f"Unchanged since signed by key {key}. "
        "This does not show that the figures are right or that the system complies."
    )
    assert "not a qualified electronic signature" in found.as_text()


def test_a_signature_that_was_taken_away_is_noticed_by_who_brings_a_key_list(base: Path) -> None:
    (base / "dossier" / "signature").unlink()
    assert verify(base / "dossier").unchanged
    found = verify(base / "dossier", key_list=base / "keys.json")
    assert [p.code for p in found.problems] == ["signature.none_listed"]


def test_a_dossier_signed_again_by_a_stranger_is_noticed_by_who_brings_a_key_list(base: Path, tmp_path: Path) -> None:
    (base / "dossier" / "signature").unlink()
    (tmp_path / "strange").mkdir()
    signing.sign(base / "dossier", dossiers.key(tmp_path / "strange"))
    assert [p.code for p in verify(base / "dossier", key_list=base / "keys.json").problems] == ["signature.none_listed"]


def change_key(base: Path, **changes: str) -> None:
    given = json.loads((base / "keys.json").read_text())
    given["keys"][0].update(changes)
    (base / "keys.json").write_text(json.dumps(given))


def test_a_revoked_key_is_not_accepted_whatever_its_date(base: Path) -> None:
    change_key(base, revoked="2026-12-31", reason="the laptop was stolen")
    found = verify(base / "dossier", key_list=base / "keys.json")
    assert {p.code for p in found.problems} == {"key.revoked", "signature.none_listed"}
    assert "the laptop was stolen" in found.as_text()


@pytest.mark.parametrize(
    ("changes", "code"),
    [({"valid_until": "2026-11-23"}, "key.expired"), ({"valid_from": "2026-11-25"}, "key.not_yet")],
)
def test_a_signature_made_outside_the_days_of_its_key_is_not_accepted(
    base: Path, changes: dict[str, str], code: str
) -> None:
    change_key(base, **changes)
    assert code in {p.code for p in verify(base / "dossier", key_list=base / "keys.json").problems}


def test_a_signature_from_within_the_days_of_a_key_that_was_replaced_since_still_holds(tmp_path: Path) -> None:
    old = dossiers.key(tmp_path, "old", valid_from=dt.date(2020, 1, 1), valid_until=dt.date(2020, 12, 31))
    dossiers.key(tmp_path, "new")
    folder = dossiers.bare(tmp_path / "dossier", assessment())
    signing.sign(folder, old, signed_at=dt.datetime(2020, 6, 1, tzinfo=dt.UTC))
    found = verify(folder, key_list=tmp_path / "keys.json")
    assert found.unchanged
    assert "signs no longer since 2020-12-31" in found.as_text()


def test_a_key_list_in_yaml_is_read_like_one_in_json(base: Path) -> None:
    key = load_key_list(base / "keys.json").keys[0]
    (base / "keys.yaml").write_text(
        f"format: 1\nkeys:\n- id: {key.id}\n  public_key: {key.public_key}\n  name: NO\n  valid_from: 2026-01-01\n"
    )
    found = verify(base / "dossier", key_list=base / "keys.yaml")
    assert found.unchanged
    assert found.signatures[0].key_name == "NO"


def test_the_digest_expected_is_that_of_the_dossier_or_of_the_list_of_all_files(base: Path) -> None:
    for name, covers in (("dossier.json", "dossier.json alone"), ("SHA256SUMS", "all files")):
        digest = hashlib.sha256((base / "dossier" / name).read_bytes()).hexdigest()
        found = verify(base / "dossier", expected_digest=digest.upper())
        assert found.unchanged
        assert f"stands for {covers}" in found.as_text()
    assert [p.code for p in verify(base / "dossier", expected_digest="0" * 64).problems] == ["digest.unexpected"]


def test_a_run_of_another_dossier_is_noticed(tmp_path: Path) -> None:
    folder = dossiers.bare(tmp_path / "dossier", assessment())
    given = json.loads((folder / "run.json").read_bytes())
    (folder / "run.json").write_text(json.dumps({**given, "dossier_digest": "0" * 64}))
    dossiers.write_sums(folder)
    assert [p.code for p in verify(folder).problems] == ["run.other_dossier"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"schema": "2"}, "schema.unknown"),
        ({"seed": "many"}, "schema.wrong"),
        ({"surprise": 1}, "schema.wrong"),
        ({"system": {}}, "schema.system"),
    ],
)
def test_a_dossier_that_is_not_of_its_schema_is_noticed(tmp_path: Path, change: dict[str, object], code: str) -> None:
    folder = dossiers.bare(tmp_path / "dossier", assessment())
    given = {**json.loads((folder / "dossier.json").read_bytes()), **change}
    (folder / "dossier.json").write_text(json.dumps(given))
    digest = hashlib.sha256((folder / "dossier.json").read_bytes()).hexdigest()
    run = json.loads((folder / "run.json").read_bytes())
    (folder / "run.json").write_text(json.dumps({**run, "dossier_digest": digest}))
    dossiers.write_sums(folder)
    assert code in {p.code for p in verify(folder).problems}


# ---- as one zip


def zipped(folder: Path, out: Path, change: Callable[[list[str]], list[str]] = sorted, top: str = "") -> Path:
    """Zip a folder with its entries in an order of the test's own."""
    names = [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()]
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in change(names):
            archive.write(folder / name, top + name)
    return out


def test_the_zip_of_a_dossier_is_checked_like_its_folder_in_whatever_order(base: Path) -> None:
    zip_dossier(base / "dossier", base / "one.zip")
    assert verify(base / "one.zip", key_list=base / "keys.json").unchanged
    turned = zipped(base / "dossier", base / "two.zip", lambda names: sorted(names, reverse=True))
    assert verify(turned, key_list=base / "keys.json").unchanged
    inside = zipped(base / "dossier", base / "three.zip", top="dossier/")
    assert verify(inside, key_list=base / "keys.json").unchanged


def test_a_zip_is_signed_in_place_like_a_folder(base: Path) -> None:
    zip_dossier(base / "dossier", base / "one.zip")
    assert signing.sign(base / "one.zip", dossiers.key(base, "reviewer"), signed_at=dossiers.NOW) == "signature.1"
    found = verify(base / "one.zip", key_list=base / "keys.json")
    assert found.unchanged
    assert [s.key_name for s in found.signatures] == ["ours", "reviewer"]


def read(archive: Path, name: str) -> bytes:
    with zipfile.ZipFile(archive) as opened:
        return opened.read(name)


def test_any_flipped_byte_of_the_files_in_a_zip_is_noticed_and_never_a_crash(base: Path) -> None:
    zip_dossier(base / "dossier", base / "one.zip")
    content = (base / "one.zip").read_bytes()
    with zipfile.ZipFile(base / "one.zip") as archive:
        spans = []
        for entry in archive.infolist():
            # The bytes of a file follow its own header of 30 bytes and its name.
            begin = entry.header_offset + 30 + len(entry.filename)
            spans.append((entry.filename, begin, begin + entry.compress_size))
    for name, begin, end in spans:
        for position in range(begin, end, max(1, (end - begin) // 12)):
            changed = bytearray(content)
            changed[position] ^= 1
            (base / "two.zip").write_bytes(bytes(changed))
            # A bit of the compression itself may change without changing the file: then the file is what was signed.
            assert name in named(base / "two.zip") or read(base / "two.zip", name) == read(base / "one.zip", name)
    for position in range(0, len(content), 97):
        changed = bytearray(content)
        changed[position] ^= 4
        (base / "two.zip").write_bytes(bytes(changed))
        verify(base / "two.zip")


def test_a_zip_with_a_path_that_leads_out_or_a_name_twice_is_named(base: Path) -> None:
    zipped(base / "dossier", base / "one.zip")
    with zipfile.ZipFile(base / "one.zip", "a") as archive:
        archive.writestr("../outside", "x")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("run.json", "{}")
    assert named(base / "one.zip") >= {"../outside", "run.json"}


def test_what_is_no_zip_is_said_and_what_is_not_there_too(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(b"not a zip")
    assert [p.code for p in verify(tmp_path / "x.zip").problems] == ["dossier.unreadable"]
    with pytest.raises(FileNotFoundError):
        verify(tmp_path / "nothing")


@pytest.mark.parametrize("as_zip", [False, True])
def test_a_dossier_of_a_hundred_megabytes_is_checked_fast(base: Path, as_zip: bool) -> None:
    (base / "dossier" / "signature").unlink()
    with (base / "dossier" / "figures" / "large.bin").open("wb") as file:
        for _ in range(100):
            file.write(os.urandom(1024 * 512) + bytes(1024 * 512))
    dossiers.write_sums(base / "dossier")
    authority = Authority(base / "authority")
    signing.sign(
        base / "dossier",
        open_signer(str(base / "ours.pem")),
        stamp=lambda signature: timestamps.ask("here", signature, lambda _, request: authority.answer(request)),
    )
    target = base / "dossier"
    if as_zip:
        target = base / "one.zip"
        zip_dossier(base / "dossier", target)
    # Of the processor, not of the clock: other work on this machine does not count.
    begin = time.process_time()
    found = verify(target, key_list=base / "keys.json", timestamp_roots=authority.root)
    seconds = time.process_time() - begin
    assert found.unchanged
    assert [s.stamp is not None and s.stamp.checked for s in found.signatures] == [True]
    print(f"verified 100 MB {'zip' if as_zip else 'folder'} in {seconds:.2f} s")
    assert seconds < 1


# ---- the script that stands alone


def test_the_script_agrees_on_what_holds(base: Path) -> None:
    found = by_script(base / "dossier", "--key-list", str(base / "keys.json"))
    assert found.returncode == 0, found.stdout + found.stderr
    assert found.stdout.splitlines()[0] == verify(base / "dossier").as_text().splitlines()[0]
    zip_dossier(base / "dossier", base / "one.zip")
    digest = hashlib.sha256((base / "dossier" / "SHA256SUMS").read_bytes()).hexdigest()
    assert by_script(base / "one.zip", "--expect-digest", digest).returncode == 0
    (base / "dossier" / "signature").unlink()
    unsigned = by_script(base / "dossier")
    assert unsigned.returncode == 0
    assert unsigned.stdout.startswith("Not signed.")


@pytest.mark.parametrize(
    ("change", "file"),
    [
        (lambda d: dossiers.flip(d / "run.json", 40), "run.json"),
        (lambda d: dossiers.flip(d / "signature", 400), "signature"),
        (lambda d: dossiers.flip(d / "SHA256SUMS", 5), "SHA256SUMS"),
        (lambda d: (d / "extra").write_text("x"), "extra"),
        (lambda d: (d / "figures" / "one.parquet").unlink(), "figures/one.parquet"),
        (lambda d: (d / "signature").unlink(), "signature"),
        (lambda d: (d / "SHA256SUMS").unlink(), "SHA256SUMS"),
        (lambda d: (d / "link").symlink_to("/"), "link"),
    ],
)
def test_the_script_agrees_on_what_does_not_hold(base: Path, change: Callable[[Path], object], file: str) -> None:
    change(base / "dossier")
    assert file in named(base / "dossier", key_list=base / "keys.json")
    found = by_script(base / "dossier", "--key-list", str(base / "keys.json"))
    assert found.returncode == 1
    assert found.stderr == ""
    assert file in {line.partition(":")[0] for line in found.stdout.splitlines()}


def test_the_script_refuses_revoked_and_expired_keys(base: Path) -> None:
    for changes in ({"revoked": "2026-12-31"}, {"revoked": None, "valid_until": "2026-11-23"}):
        change_key(base, **changes)  # type: ignore[arg-type]
        assert by_script(base / "dossier", "--key-list", str(base / "keys.json")).returncode == 1


def test_the_script_needs_nothing_but_cryptography() -> None:
    imported = {
        line.split()[1].partition(".")[0]
        for line in (text.strip() for text in SCRIPT.read_text().splitlines())
        if line.startswith(("import ", "from "))
    }
    assert imported - set(sys.stdlib_module_names) == {"cryptography"}


# ---- the commands


def test_the_commands_make_a_key_sign_countersign_and_verify(tmp_path: Path) -> None:
    folder = dossiers.bare(tmp_path / "dossier", assessment())
    run = CliRunner()
    keys = str(tmp_path / "keys.json")
    for name in ("ours", "reviewer"):
        made = run.invoke(main, ["new-key", "--out", str(tmp_path / f"{name}.pem"), "--name", name, "--key-list", keys])
        assert made.exit_code == 0, made.output
        signed = run.invoke(main, ["sign", str(folder), "--key", str(tmp_path / f"{name}.pem")])
        assert signed.exit_code == 0, signed.output
    found = run.invoke(main, ["verify", str(folder), "--key-list", keys])
    assert found.exit_code == 0
    assert found.output.count("Unchanged since signed by key ") == 2
    dossiers.flip(folder / "dossier.json", 10)
    broken = run.invoke(main, ["verify", str(folder), "--json"])
    assert broken.exit_code == 1
    assert "dossier.json" in {p["file"] for p in json.loads(broken.stdout)["problems"]}


def test_verifying_imports_nothing_slow(base: Path) -> None:
    slow = ("matplotlib", "mlflow", "sklearn", "shap", "securesystemslib", "jsonschema")
    code = (
        "import sys; from pathlib import Path; from sandbox.verifying import verify; "
        f"assert verify(Path(sys.argv[1])).unchanged; print([m for m in {slow} if m in sys.modules])"
    )
    command = [sys.executable, "-c", code, str(base / "dossier")]
    found = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    assert found.stdout.strip() == "[]"


def test_the_page_names_the_hash_of_the_script_and_its_commands_work_as_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (ROOT / "docs" / "verifying.md").read_text(encoding="utf-8")
    assert hashlib.sha256(SCRIPT.read_bytes()).hexdigest() in page
    dossiers.bare(tmp_path / "dossier", assessment())
    monkeypatch.chdir(tmp_path)
    block = page.partition("```console\n")[2].partition("```")[0]
    commands = [shlex.split(line) for line in block.splitlines() if line]
    assert [c[1] for c in commands] == ["new-key", "sign", "verify"]
    for program, *arguments in commands:
        assert program == "aiact-sandbox"
        ended = CliRunner().invoke(main, arguments)
        assert ended.exit_code == 0, ended.output
    assert ended.output.startswith("Unchanged since signed by key ")


# ---- hostile dossiers


def test_a_small_zip_with_a_very_large_file_is_hashed_in_pieces_and_not_read(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (base / "dossier" / "dossier.json").write_bytes(b"[" + b" " * 5_000_000 + b"]")
    dossiers.write_sums(base / "dossier")
    (base / "dossier" / "signature").unlink()
    zip_dossier(base / "dossier", base / "one.zip")
    monkeypatch.setattr(contents, "LARGEST_READ", 1_000_000)
    found = verify(base / "one.zip")
    assert "dossier.json is larger than 1000000 bytes" in found.as_text()


def test_a_file_name_that_is_no_text_is_shown_and_stops_nothing(base: Path) -> None:
    Path(os.fsdecode(os.fsencode(base / "dossier") + b"/odd\xff\nname")).write_text("x")
    for options in ([], ["--json"]):
        ended = CliRunner().invoke(main, ["verify", str(base / "dossier"), *options])
        assert ended.exit_code == 1
        assert ended.exception is None or isinstance(ended.exception, SystemExit)
    assert by_script(base / "dossier").returncode == 1


@pytest.mark.parametrize("content", [b"[" * 100_000, b"null", b"[]", b'{"schema": "1"}', b"\xff\xfe", b"1" * 5000])
def test_whatever_stands_in_dossier_json_is_a_problem_and_never_a_crash(tmp_path: Path, content: bytes) -> None:
    folder = dossiers.bare(tmp_path / "dossier", assessment())
    (folder / "dossier.json").write_bytes(content)
    dossiers.write_sums(folder)
    assert "dossier.json" in named(folder)
    assert by_script(folder).returncode == 1
