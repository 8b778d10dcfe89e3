#!/usr/bin/env python3
"""What the official video processor makes of clips: SHA-256 of all 8-bit levels and a sample of the normalised values, per case.

    python3 -m venv venv && venv/bin/pip install torch torchvision transformers safetensors
    venv/bin/python test/reference/preprocess.py test/golden/preprocess

Clips are windows that wander over the pictures that lie in the folder already, mirrored at their edges, so that nothing large has to be stored:
pixel (y, x) of frame t is pixel (mirror(y + t dy), mirror(x + t dx)) of the picture, mirror(i) = i mod 2n, or 2n - 1 - that where it is not below n.
'crop' is VJEPA2VideoProcessor as it comes; 'direct' the same processor told to resize to the square, without a crop.
"""
import hashlib, json, os, sys
import numpy as np
import torch, transformers
from safetensors.numpy import load_file
from transformers import VJEPA2VideoProcessor

COFFEE, CAT, ASTRONAUT = "coffee-big-shrink", "cat-tall-40x300", "astronaut-97x61-clip"
# picture, width, height, frames, dx, dy, side
CASES = [
    (COFFEE, 640, 360, 4, 7, 3, 256), (COFFEE, 361, 641, 3, -5, 11, 256), (COFFEE, 1920, 1080, 1, 0, 0, 256), (COFFEE, 256, 256, 2, 31, 0, 256), (COFFEE, 292, 292, 2, 1, 1, 256),
    (ASTRONAUT, 100, 75, 5, 2, 1, 256), (ASTRONAUT, 333, 257, 6, 1, 0, 64), (ASTRONAUT, 16, 9, 8, 3, 2, 64), (ASTRONAUT, 3, 2, 2, 5, 4, 16), (ASTRONAUT, 1, 1, 3, 9, 7, 8),
    (CAT, 900, 40, 2, 13, 0, 32), (CAT, 31, 700, 2, 0, 17, 32), (CAT, 72, 72, 4, 3, 5, 24), (COFFEE, 293, 291, 2, 0, 0, 256), (COFFEE, 599, 397, 16, 4, 2, 128),
]
MEAN, STD = np.float64([0.485, 0.456, 0.406]), np.float64([0.229, 0.224, 0.225])


def mirror(i, n):
    m = np.mod(i, 2 * n)
    return np.where(m < n, m, 2 * n - 1 - m)


def clip_of(picture, width, height, frames, dx, dy):
    return np.stack([picture[mirror(np.arange(height) + t * dy, picture.shape[0])][:, mirror(np.arange(width) + t * dx, picture.shape[1])] for t in range(frames)])


def main(folder):
    rows = []
    for name, width, height, frames, dx, dy, side in CASES:
        picture = load_file(os.path.join(folder, name, "inputs.safetensors"))["frames"][0]
        clip = torch.from_numpy(np.ascontiguousarray(clip_of(picture, width, height, frames, dx, dy))).permute(0, 3, 1, 2)
        row = dict(picture=name, width=width, height=height, frames=frames, dx=dx, dy=dy, side=side)
        for mode in ("crop", "direct"):
            processor = VJEPA2VideoProcessor(crop_size=side)
            more = {} if mode == "crop" else dict(size={"height": side, "width": side}, do_center_crop=False)
            values = processor(videos=[clip], return_tensors="pt", **more)["pixel_values_videos"][0].numpy()   # [T, 3, S, S]
            levels = (values.astype(np.float64) * STD[:, None, None] + MEAN[:, None, None]) * 255
            whole = np.rint(levels)
            assert values.shape == (frames, 3, side, side) and np.abs(levels - whole).max() < 1e-3, (row, mode)
            at = (np.arange(40) * 7919) % values.size
            row[mode] = dict(sha256=hashlib.sha256(whole.astype(np.uint8).tobytes()).hexdigest(), at=[int(i) for i in at], values=[float(np.float32(v)) for v in values.reshape(-1)[at]])
        rows.append(row)
    with open(os.path.join(folder, "clips.json"), "w") as f:
        json.dump(dict(versions=dict(torch=torch.__version__.split("+")[0], transformers=transformers.__version__), cases=rows), f)
        f.write("\n")


main(sys.argv[1])
