#!/usr/bin/env python3
"""Makes the pictures of the decoding tests, and what PyTorch's resampling makes of one.

    python3 make_pictures.py        needs libturbojpeg.so.0, cjpeg (libjpeg-turbo-progs) and PyTorch

The JPEGs show four squares: red, green / blue, white (one of greys: 80, 160 / 200, 40).
"""
import ctypes
import struct
import subprocess
import zlib
from pathlib import Path

import torch

HERE = Path(__file__).parent
SIDE = 32
turbo = ctypes.CDLL("libturbojpeg.so.0")
turbo.tjInitCompress.restype = ctypes.c_void_p
RGB, GREY, CMYK = 0, 6, 11
PROGRESSIVE = 16384


def squares(top_left, top_right, bottom_left, bottom_right):
    top = (bytes(top_left) * (SIDE // 2) + bytes(top_right) * (SIDE // 2)) * (SIDE // 2)
    bottom = (bytes(bottom_left) * (SIDE // 2) + bytes(bottom_right) * (SIDE // 2)) * (SIDE // 2)
    return top + bottom


def jpeg(name, pixels, layout, sampling, flags=0):
    out, size = ctypes.c_void_p(), ctypes.c_ulong()
    code = turbo.tjCompress2(
        ctypes.c_void_p(turbo.tjInitCompress()), pixels, SIDE, 0, SIDE, layout,
        ctypes.byref(out), ctypes.byref(size), sampling, 95, flags)
    assert code == 0
    (HERE / name).write_bytes(ctypes.string_at(out, size.value))


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(name, width, height, depth, color, rows, extra=b""):
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows), 9)
    (HERE / name).write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", data)
        + chunk(b"IEND", b""))


colors = squares((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255))
jpeg("squares.jpg", colors, RGB, 0)
jpeg("squares-progressive.jpg", colors, RGB, 2, PROGRESSIVE)
# libturbojpeg has no word for arithmetic coding.
arithmetic = subprocess.run(
    ["cjpeg", "-quality", "95", "-sample", "1x1", "-arithmetic"],
    input=b"P6 %d %d 255\n" % (SIDE, SIDE) + colors, stdout=subprocess.PIPE, check=True)
(HERE / "squares-arithmetic.jpg").write_bytes(arithmetic.stdout)
jpeg("squares-grey.jpg", squares((80,), (160,), (200,), (40,)), GREY, 3)
# Inverted, as programs that write Adobe's segment have it: 255 is no ink.
jpeg("squares-cmyk.jpg",
     squares((255, 0, 0, 255), (0, 255, 0, 255), (0, 0, 255, 255), (255, 255, 255, 255)), CMYK, 0)

# One red, one half transparent black pixel above a transparent and a blue one.
png("alpha.png", 2, 2, 8, 6,
    [bytes([255, 0, 0, 255, 0, 0, 0, 128]), bytes([9, 9, 9, 0, 0, 0, 255, 255])])
png("palette.png", 2, 2, 1, 3, [b"\x40", b"\x80"],
    chunk(b"PLTE", bytes([10, 20, 30, 200, 100, 50])))
png("grey.png", 2, 2, 8, 0, [bytes([0, 85]), bytes([170, 255])])

for size, result in [(50, 16), (20, 32), (37, 37)]:
    y, x, c = torch.meshgrid(
        torch.arange(size), torch.arange(size), torch.arange(3), indexing="ij")
    picture = ((x * 37 + y * 101 + c * 59 + x * y) % 256).float().permute(2, 0, 1)[None]
    scaled = torch.nn.functional.interpolate(
        picture, size=(result, result), mode="bilinear", antialias=True, align_corners=False)
    levels = scaled[0].permute(1, 2, 0).round().clamp(0, 255).to(torch.uint8)
    (HERE / f"resampled-{size}-{result}.bin").write_bytes(bytes(levels.flatten().tolist()))
