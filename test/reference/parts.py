#!/usr/bin/env python3
"""The three folders of a saved joint model in transformers, unchanged, and their outputs beside ours.

    python3 parts.py OUT --vision DIR --predictor DIR --text DIR [--joint '{"embedding_dim": 24}']   from the repository's root, after `npm run build`

Assembles a joint model of three Hugging Face folders, saves it with `parts: true` to OUT, loads OUT/vision, OUT/predictor and OUT/text with AutoModel, says which keys were missing or
unexpected, and compares each output with `vl-jepa run`. Of the vision folder the V-JEPA predictor has to be missing: the joint model has none.
"""
import argparse, os, subprocess, sys
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import torch
from transformers import AutoModel
from official import compare, exact, run_engine, store, additive_mask

SAVE = """
import { pathToFileURL } from 'node:url';
const [index, out, vision, predictor, text, joint] = process.argv.slice(1);
const { VLJEPA } = await import(pathToFileURL(index).href);
const model = await VLJEPA.fromPretrained({ vision, predictor, text }, { joint: JSON.parse(joint) });
await model.save(out, { parts: true });
const again = await VLJEPA.fromPretrained(out, { device: model.device });
const bytes = (t) => Buffer.from(t.buffer, t.byteOffset, t.byteLength);
let same = 0;
const others = [...again.tensors().values()];
for (const [i, [name, tensor]] of [...model.tensors()].entries()) {
  if (!bytes(await tensor.read()).equals(bytes(await others[i].read()))) { console.error(`${name} differs after loading`); process.exit(1); }
  same++;
}
console.log(`${same} tensors equal to the bit after saving and loading`);
process.exit(0);
"""


def official(part, folder):
    model, info = AutoModel.from_pretrained(folder, output_loading_info=True, dtype=torch.float32)
    missing = [k for k in info["missing_keys"] if not (part == "vision" and k.startswith("predictor."))]
    assert not missing and not info["unexpected_keys"] and not info["mismatched_keys"], (part, missing[:5], list(info["unexpected_keys"])[:5], list(info["mismatched_keys"])[:5])
    print(f"{part}: {type(model).__name__} loads it, {sum(p.numel() for p in model.parameters()):,} parameters"
          + (f"; not there: {len(info['missing_keys'])} tensors of the V-JEPA predictor" if info["missing_keys"] else ""))
    return model.eval()


@torch.no_grad()
def inputs_and_outputs(part, model):
    c = model.config
    torch.manual_seed(1)
    if part == "vision":
        pixels = torch.randn(1, max(2, min(c.frames_per_clip, 4)), 3, c.crop_size, c.crop_size)
        return {"pixel_values": pixels}, None, exact(model)(pixel_values_videos=pixels.double(), skip_predictor=True).last_hidden_state
    mask = torch.ones(2, 21, dtype=torch.int32)
    mask[1, 13:] = 0
    if part == "predictor":
        x = torch.randn(2, 21, c.hidden_size) * 0.7
        return {"inputs_embeds": x, "attention_mask": mask}, mask, exact(model)(inputs_embeds=x.double(), attention_mask=additive_mask(mask, False), use_cache=False).last_hidden_state
    ids = torch.randint(3, c.vocab_size, (2, 21), dtype=torch.int32) * mask
    return {"input_ids": ids, "attention_mask": mask}, mask, exact(model)(input_ids=ids.long(), attention_mask=mask.long(), use_cache=False).last_hidden_state


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    for part in ("vision", "predictor", "text"):
        parser.add_argument(f"--{part}", required=True)
    parser.add_argument("--joint", default="{}")
    parser.add_argument("--cli", default="dist/app/cli.js")
    args = parser.parse_args()
    index = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(args.cli))), "index.js")
    subprocess.run(["node", "--input-type=module", "-e", SAVE, index, args.out, args.vision, args.predictor, args.text, args.joint], check=True)
    failed = False
    for part in ("vision", "predictor", "text"):
        folder, base = f"{args.out}/{part}", f"{args.out}/compare-{part}"
        inputs, mask, last = inputs_and_outputs(part, official(part, folder))
        store(f"{base}/inputs.safetensors", inputs)
        store(f"{base}/expected.safetensors", {"last_hidden_state": last})
        run_engine(part, folder, f"{base}/inputs.safetensors", f"{base}/result.safetensors", cli=args.cli)
        rows, wrong = compare(f"{base}/expected.safetensors", f"{base}/result.safetensors", None if mask is None else mask.bool(), 1e-10)
        failed |= wrong is not None
        print(f"{part}: last_hidden_state NMSE {rows[0][1]:.2e} (limit 1e-10)")
    sys.exit(failed)


main()
