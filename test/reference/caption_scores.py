"""Golden values of the caption metrics: python3 caption_scores.py LINES.txt OUT.json, with pycocoevalcap 1.2 and Java installed.

Words come from its PTBTokenizer (Stanford 3.4.1), CIDEr-D from its Cider scorer. Plain CIDEr (cosine, no clipping, no length term) is worked out here from the
definition, since that package has CIDEr-D alone. LINES.txt: one sentence per line; the golden file keeps them, so it can be made again from itself.
"""
import json
import math
import random
import sys
from collections import Counter

from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

SUBJECTS = ["a man", "a woman", "the dog", "two dogs", "a red bird", "a small child", "the old car", "a person"]
VERBS = ["is chopping", "chops", "runs over", "is running on", "holds", "looks at", "pours oil into", "sits beside"]
OBJECTS = ["an onion", "the grass", "a pan", "the kitchen table", "a blue ball", "the street", "a wooden board"]


def sentence(r):
    words = f"{r.choice(SUBJECTS)} {r.choice(VERBS)} {r.choice(OBJECTS)}".split()
    if r.random() < 0.5:
        words += r.choice(["in the morning", "on a sunny day", "with a knife", "again and again and again"]).split()
    if r.random() < 0.2:
        words = words[: r.randint(1, 4)]
    return " ".join(words)


def grams(text, n):
    words = text.split()
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))


def plain_cider(items):
    """CIDEr (Vedantam et al. 2015, equation 2), mean over n and references, times 10."""
    df = Counter()
    for item in items:
        df.update({g for r in item["references"] for n in range(1, 5) for g in grams(r, n)})
    log_n = math.log(len(items))
    weigh = lambda text, n: {g: c * (log_n - math.log(max(1, df[g]))) for g, c in grams(text, n).items()}
    scores = []
    for item in items:
        total = 0.0
        for reference in item["references"]:
            for n in range(1, 5):
                h, r = weigh(item["caption"], n), weigh(reference, n)
                size = math.sqrt(sum(v * v for v in h.values())) * math.sqrt(sum(v * v for v in r.values()))
                total += sum(v * r.get(g, 0.0) for g, v in h.items()) / size / 4 if size else 0.0
        scores.append(10 * total / len(item["references"]))
    return scores


def main(lines_path, out_path):
    lines = [line.rstrip("\n") for line in open(lines_path, encoding="utf-8")]
    words = PTBTokenizer().tokenize({i: [{"caption": line}] for i, line in enumerate(lines)})
    r = random.Random(7)
    items = []
    for i in range(40):
        references = [sentence(r) for _ in range(1 + i % 5)]
        caption = references[0] if i % 7 == 0 else "" if i == 11 else sentence(r)
        items.append({"caption": caption, "references": references})
    _, d = Cider().compute_score({i: x["references"] for i, x in enumerate(items)}, {i: [x["caption"]] for i, x in enumerate(items)})
    plain = plain_cider(items)
    for i, item in enumerate(items):
        item["ciderD"], item["cider"] = float(d[i]), plain[i]
    golden = {"tokens": [[line, words[i][0]] for i, line in enumerate(lines)], "items": items}
    with open(out_path, "w", encoding="utf-8") as f:
        json.dump(golden, f, ensure_ascii=False, indent=0)


main(*sys.argv[1:])
