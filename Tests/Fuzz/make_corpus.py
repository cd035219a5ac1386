#!/usr/bin/env python3
"""Writes the inputs that fuzzing the data sets' decoders starts from: python3 make_corpus.py

`picture` has the golden pictures of DatasetsTests and one that an Exif segment turns; `cifar` and
`prepared` are laid out as Tests/Fuzz/Sources/DatasetDecoders.swift says. The others' seeds were
written by the program itself."""

import io
import json
import struct
import tarfile
import zlib
from pathlib import Path

HERE = Path(__file__).resolve().parent
GOLDEN = HERE.parent / "DatasetsTests/Golden"


def seed(target, name, data):
    folder = HERE / "Corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def exif(jpeg, orientation):
    tiff = b"MM" + struct.pack(">HIHHHIHHI", 42, 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    body = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


def pictures():
    for path in sorted(GOLDEN.glob("*.jpg")) + sorted(GOLDEN.glob("*.png")):
        seed("picture", path.name, path.read_bytes())
    seed("picture", "turned.jpg", exif((GOLDEN / "squares.jpg").read_bytes(), 6))
    seed("picture", "cut.jpg", (GOLDEN / "squares-progressive.jpg").read_bytes()[:300])


def cifar():
    names = b"\n".join(b"class%d" % label for label in range(10))
    seed("cifar", "ten", bytes([0, len(names)]) + names + bytes([3]) + bytes(range(256)) * 12)
    seed("cifar", "hundred", bytes([1, 0]) + bytes([7, 99]) + bytes(range(256)) * 12)
    seed("cifar", "coarse", bytes([3, 0]) + bytes([19, 42]) + bytes(3072))


def prepared(name, examples, shape, encoding):
    archive = io.BytesIO()
    lines = []
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for number, data in enumerate(examples):
            member = tarfile.TarInfo(f"{number:08d}.{'jpg' if encoding == 'jpeg' else 'ppm'}")
            member.size = len(data)
            offset = archive.tell() + 512
            tar.addfile(member, io.BytesIO(data))
            lines.append(f"0\t{offset}\t{len(data)}\t{zlib.crc32(data)}\t{number % 2}\t{number}\tx")
    index = "set\tshard\toffset\tbytes\tcrc32\tclass\tnumber\tsource\n"
    index += "".join(f"{part}\t{line}\n" for part in ("train", "test") for line in lines)
    colors = shape[0] == 3
    description = {
        "version": 1, "classes": ["a", "b"], "shape": shape, "encoding": encoding,
        "sets": [{"name": part, "examples": len(examples), "shards": 1, "skipped": 0}
                 for part in ("train", "test")],
        "statistics": {
            "channelMean": [1] * shape[0], "channelDeviation": [1] * shape[0],
            "colorVariances": [3, 2, 1] if colors else [],
            "colorDirections": [[1, 0, 0], [0, 1, 0], [0, 0, 1]] if colors else []},
    }
    parts = [json.dumps(description).encode(), index.encode(), b""]
    lengths = b"".join(struct.pack(">H", len(part)) for part in parts)
    # Without the zeros at the archive's end.
    end = max(int(line.split("\t")[1]) + int(line.split("\t")[2]) for line in lines)
    seed("prepared", name, lengths + b"".join(parts) + archive.getvalue()[:end])


pictures()
cifar()
prepared("jpeg", [(GOLDEN / "squares.jpg").read_bytes()] * 2, [3, 8, 8], "jpeg")
prepared("raw", [b"P5\n3 2\n255\n" + bytes(6), b"P5\n3 2\n255\n" + bytes(range(6))],
         [1, 2, 3], "raw")
