#!/usr/bin/env python3
"""Check a dossier without the software that made it. Needs Python 3.11 or later and the package `cryptography`.

    python3 verify_dossier.py DOSSIER [--key-list KEYS.json] [--expect-digest D]

DOSSIER is a folder or a zip. KEYS.json and D must come from elsewhere than the dossier. Ends with 0 when nothing is
wrong, 1 when something is (each file is named), 2 when it was called wrongly.
"""

import argparse
import base64
import datetime
import hashlib
import json
import pathlib
import re
import stat
import sys
import zipfile
import zlib

SUMS = "SHA256SUMS"
SIGNATURE = re.compile(r"signature(\.[1-9][0-9]{0,3})?")
BESIDE = re.compile(r"(signature|timestamp)(\.[1-9][0-9]{0,3})?")
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT = ("https://in-toto.io/Statement/v1", "urn:aiact-sandbox:dossier:1")
DAMAGED = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
)
UNCHANGED = (
    "Unchanged since signed by key {}. This does not show that the figures are right or that the system complies."
)
UNSIGNED = (
    "Not signed. The files are as the dossier's own list has them; whoever changes a file can change that list too. "
    "This does not show who made it, that the figures are right or that the system complies."
)


class Dossier:
    """Files by name, in a folder or a zip; `strange` holds what is no plain file."""

    def __init__(self, path):
        self.strange, self.top, self.zip, self.folder = [], "", None, path
        if path.is_dir():
            found = sorted(path.rglob("*"))
            self.names = [p.relative_to(path).as_posix() for p in found if stat.S_ISREG(p.lstat().st_mode)]
            self.strange = [
                p.relative_to(path).as_posix()
                for p in found
                if not stat.S_ISREG(p.lstat().st_mode) and not stat.S_ISDIR(p.lstat().st_mode)
            ]
            return
        self.zip = zipfile.ZipFile(path)
        names = []
        for entry in self.zip.infolist():
            name, kind = entry.filename, (entry.external_attr >> 16) & 0o170000
            if entry.is_dir():
                continue
            leads_out = name.startswith("/") or "\\" in name or ".." in name.split("/") or name[1:2] == ":"
            if kind not in (0, stat.S_IFREG) or leads_out or name in names:
                self.strange.append(name)
            else:
                names.append(name)
        if SUMS not in names and len({n.split("/")[0] for n in names}) == 1:
            top = names[0].split("/")[0] + "/"
            self.top = top if top + SUMS in names else ""
        self.names = sorted(n[len(self.top) :] for n in names)

    def open(self, name):
        return self.zip.open(self.top + name) if self.zip else (self.folder / name).open("rb")

    def read(self, name):
        with self.open(name) as file:
            return file.read()

    def digest(self, name):
        taken = hashlib.sha256()
        with self.open(name) as file:
            for piece in iter(lambda: file.read(1 << 20), b""):
                taken.update(piece)
        return taken.hexdigest()


def read_sums(raw):
    """Read SHA256SUMS strictly: every byte of it has a meaning."""
    text = raw.decode("utf-8")
    if not text.endswith("\n"):
        raise ValueError("its last line has no end")
    sums = {}
    for line in text[:-1].split("\n"):
        found = re.fullmatch(r"([0-9a-f]{64})  ([^\x00-\x1f\x7f]+)", line)
        if not found or found[2] in sums or found[2] == SUMS or BESIDE.fullmatch(found[2]):
            raise ValueError("a line is not a SHA-256, two spaces and a path of its own")
        sums[found[2]] = found[1]
    return sums


def read_signature(raw):
    """Read and check one signature by itself; raises ValueError and the like where it does not hold."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    envelope = json.loads(raw.decode("utf-8"))
    payload = base64.b64decode(envelope["payload"], validate=True)
    (one,) = envelope["signatures"]
    signature = base64.b64decode(one["sig"], validate=True)
    again = {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [{"keyid": str(one["keyid"]), "sig": base64.b64encode(signature).decode()}],
    }
    if (json.dumps(again, sort_keys=True, indent=2) + "\n").encode() != raw:
        raise ValueError("it is not written as a signature is")
    said = json.loads(payload.decode("utf-8"))
    predicate = said["predicate"]
    public = base64.b64decode(predicate["signer"]["public_key"], validate=True)
    if (said["_type"], said["predicateType"]) != STATEMENT or hashlib.sha256(public).hexdigest() != one["keyid"]:
        raise ValueError("it is of another type, or its key has another id")
    kind = PAYLOAD_TYPE.encode()
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(
            signature, b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
        )
    except InvalidSignature:
        raise ValueError("it was changed, or was not made by the key it names") from None
    subjects = {s["name"]: s["digest"]["sha256"] for s in said["subject"]}
    if len(subjects) != len(said["subject"]):
        raise ValueError("a file is signed twice")
    when = datetime.datetime.fromisoformat(predicate["signed_at"]).astimezone(datetime.UTC)
    earlier = {e["name"]: e["sha256"] for e in predicate["signed_after"]}
    return one["keyid"], when, subjects, earlier, predicate["dossier_digest"]


def stamp_problem(raw, stands_beside):
    """Say what is wrong with the file of a time stamp, or None. Who made it, and of what, is not checked here."""
    try:
        given = json.loads(raw)
        answer = base64.b64decode(given["response"], validate=True)
    except DAMAGED as damaged:
        return f"was changed or is damaged: {damaged}"
    again = {
        "format": "1",
        "response": base64.b64encode(answer).decode(),
        "sha256": hashlib.sha256(answer).hexdigest(),
    }
    if (json.dumps(again, sort_keys=True, indent=2) + "\n").encode() != raw:
        return "was changed or is damaged: it is not written as a time stamp is"
    return None if stands_beside else "is a time stamp of a signature that is not there"


def key_problem(key, when):
    """Say why a key of the list does not count for a signature of that time, or None."""
    day = when.date().isoformat()
    if key["revoked"]:
        return "its key was revoked on " + key["revoked"]
    if day < key["valid_from"] or (key["valid_until"] and day > key["valid_until"]):
        return "it was made on " + day + ", outside the days of its key"
    return None


def check(path, key_list, expected):
    """Give what is wrong, as pairs of file and reason, and the ids of the keys that signed."""
    wrong, signed_by, digests = [], [], {}
    dossier = Dossier(path)
    wrong += [(name, "is no plain file with a path of its own") for name in dossier.strange]
    for name in dossier.names:
        try:
            digests[name] = dossier.digest(name)
        except DAMAGED as unread:
            wrong.append((name, f"cannot be read: {unread}"))
    keys = None
    if key_list:
        keys = {key["id"]: key for key in json.loads(key_list.read_text(encoding="utf-8"))["keys"]}
        for name, key in keys.items():
            if hashlib.sha256(base64.b64decode(key["public_key"], validate=True)).hexdigest() != name:
                sys.exit("The key list gives an id to a key that it does not have.")

    own = None
    try:
        own = read_sums(dossier.read(SUMS))
    except KeyError:
        wrong.append((SUMS, "is missing"))
    except FileNotFoundError:
        wrong.append((SUMS, "is missing"))
    except DAMAGED as damaged:
        wrong.append((SUMS, f"was changed or is damaged: {damaged}"))

    listed, by = own, "in " + SUMS
    names = sorted((n for n in digests if SIGNATURE.fullmatch(n)), key=lambda n: int(n.partition(".")[2] or 0))
    for name in names:
        try:
            key_id, when, subjects, earlier, of_dossier = read_signature(dossier.read(name))
        except DAMAGED as damaged:
            wrong.append((name, f"does not hold: {damaged}"))
            continue
        files = {n: d for n, d in subjects.items() if n != SUMS}
        if by != "that was signed":
            listed, by = files, "that was signed"
            if subjects.get(SUMS) != digests.get(SUMS):
                wrong.append((SUMS, "was changed: it is not the list that was signed"))
        if files != listed or (own is not None and subjects.get(SUMS) == digests.get(SUMS) and files != own):
            wrong.append((name, "names other hashes than the " + SUMS + " that it signs"))
        if subjects.get(SUMS) != digests.get(SUMS):
            wrong.append((name, "was made over another " + SUMS + " than the one that is there"))
        if of_dossier != digests.get("dossier.json"):
            wrong.append((name, "what the signer says is of another dossier.json"))
        for before, digest in earlier.items():
            if digests.get(before) != digest:
                wrong.append((before, f"is missing or another than when {name} was made"))
        if keys is None:
            signed_by.append(key_id)
        elif key_id in keys:
            problem = key_problem(keys[key_id], when)
            if problem:
                wrong.append((name, problem))
            else:
                signed_by.append(key_id)
    if keys is not None and not signed_by:
        wrong.append(("signature", "the dossier is not signed by a key of the list that was given"))

    for name, digest in sorted((listed or {}).items()):
        if name not in dossier.names:
            wrong.append((name, "is missing"))
        elif name in digests and digests[name] != digest:
            wrong.append((name, "was changed: its hash is not the one " + by))
    for name in digests:
        if name.startswith("timestamp") and BESIDE.fullmatch(name):
            problem = stamp_problem(dossier.read(name), name.replace("timestamp", "signature", 1) in names)
            if problem:
                wrong.append((name, problem))
    for name in dossier.names:
        if listed is not None and name not in listed and name != SUMS and not BESIDE.fullmatch(name):
            wrong.append((name, "is not part of the dossier: no hash is listed for it"))
    try:
        if json.loads(dossier.read("run.json"))["dossier_digest"] != digests["dossier.json"]:
            wrong.append(("run.json", "belongs to another dossier.json than the one that is there"))
    except DAMAGED:
        wrong.append(("run.json", "cannot be read together with dossier.json"))
    if expected and expected.strip().lower() not in (digests.get("dossier.json"), digests.get(SUMS)):
        wrong.append(("dossier.json", "the digest expected is neither of dossier.json nor of " + SUMS))
    return wrong, signed_by


def say(text):
    sys.stdout.write(text + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("dossier", type=pathlib.Path)
    parser.add_argument("--key-list", type=pathlib.Path)
    parser.add_argument("--expect-digest")
    given = parser.parse_args()
    if not given.dossier.exists():
        parser.error(f"there is no {given.dossier}")
    try:
        wrong, signed_by = check(given.dossier, given.key_list, given.expect_digest)
    except zipfile.BadZipFile as damaged:
        wrong, signed_by = [(given.dossier.name, f"is neither a folder nor a zip: {damaged}")], []
    for name, why in wrong:
        say(ascii(name)[1:-1] + ": " + ascii(why)[1:-1])
    if wrong:
        return 1
    for key_id in signed_by:
        say(UNCHANGED.format(key_id))
    if not signed_by:
        say(UNSIGNED)
    if signed_by and not given.key_list:
        say("No key list was given: compare the key's id with what its holder publishes.")
    if signed_by:
        say("The time of signing is the signer's own statement. A time stamp, where there is one, is not checked here.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
