"""Models and tokenizers go from Cloze to transformers and back, and have to compute the same.

usage: round_trip.py CLOZE TEXT... [--lines N] [--keep DIR]      (pip install torch transformers safetensors)

CLOZE is the binary, TEXT are plain text files. Four directions, for BERT, RoBERTa and ModernBERT:

  checkpoint   a tiny run trained by Cloze, whose checkpoint transformers loads as it lies
  export       the same after `cloze export`: in one file, in shards, and (with a tolerance of its own) in bf16
  import       models that transformers made (random, biases and norms perturbed, decoders tied and untied, one file and
               shards, f32), after `cloze import`, and read by Cloze in place; and after `cloze export` of that, loaded again
  encoder      the same models saved without their head, whose encoders must come out of `cloze import` unchanged

What is compared are log-probabilities of the whole vocabulary at every mask of a few texts: the logits but for a constant
a row. `cloze fill-mask --json --top-k V` prints probabilities, of which transformers' log-softmax is subtracted in logs.
The ids of the texts, that is tokenizers, must be equal. Then tokenizers of every kind that Cloze trains encode N lines of
TEXT: by `cloze prepare`, whose shards are read here, and by transformers from the exported folder.

Prints the worst figure of each family and direction, and fails if one is above its bound.
"""
import argparse, json, math, pathlib, struct, subprocess, sys, tempfile
import torch, transformers
from transformers import (AutoConfig, AutoModel, AutoModelForMaskedLM, AutoTokenizer, BertConfig, BertForMaskedLM, ModernBertConfig,
                          ModernBertForMaskedLM, RobertaConfig, RobertaForMaskedLM)

transformers.utils.logging.set_verbosity_error(); transformers.utils.logging.disable_progress_bar()

BOUND = 1e-4
TEXTS = ["The {m} was dark.", "It is a truth {m} acknowledged, that a {m} man must be in want of a wife.",
         "She said that the house had been {m} for a long time, and that no one knew why it stood empty at the end of the {m} "
         "lane where the two roads meet, though the people of the village told a story of it to whoever would {m}."]
SHAPES = {
    "bert": 'recipe = "bert"\n',
    # Cloze's tokenizers have their padding at 0, from which RoBERTa counts positions.
    "roberta": 'recipe = "bert"\nposition_offset = 1\n',
    "modernbert": "sliding_window = 8\nglobal_every = 2\nrope_base = 160000.0\n",
    "modernbert-transform": "head_transform = true\nsliding_window = 8\nglobal_every = 2\n",
    "modernbert-biases": "head_transform = true\nbias = true\n",
}


def main():
    options = argparse.ArgumentParser()
    options.add_argument("cloze"); options.add_argument("text", nargs="+")
    options.add_argument("--lines", type=int, default=1000); options.add_argument("--keep")
    options = options.parse_args()
    work = pathlib.Path(options.keep or tempfile.mkdtemp(prefix="round-trip-")); work.mkdir(parents=True, exist_ok=True)
    trip = Trip(pathlib.Path(options.cloze).resolve(), [str(pathlib.Path(text).resolve()) for text in options.text], work)
    print(f"transformers {transformers.__version__}, torch {torch.__version__}")
    tokenizer = trip.train_tokenizer("wordpiece", 600)
    for family, shape in SHAPES.items(): trip.from_cloze(family, shape)
    for family in ["bert", "roberta", "modernbert"]:
        for tied in [True, False]: trip.from_transformers(family, tied, tokenizer)
    for kind in ["wordpiece", "bpe", "unigram"]: trip.ids(kind, options.lines)
    print("all within bounds" if not trip.failures else "\n".join(trip.failures))
    sys.exit(bool(trip.failures))


class Trip:
    def __init__(self, binary, texts, work):
        self.binary, self.texts, self.work, self.failures = binary, texts, work, []

    def cloze(self, *args, stdin=None):
        done = subprocess.run([self.binary, *map(str, args)], cwd=self.work, input=stdin, text=True, capture_output=True)
        if done.returncode: raise SystemExit(f"cloze {' '.join(map(str, args))}\n{done.stderr}")
        return done.stdout

    def report(self, what, direction, figure, bound=BOUND):
        print(f"{what:<24} {direction:<36} {figure:.2e} (bound {bound:.0e})", flush=True)
        if not figure <= bound: self.failures.append(f"{what}, {direction}: {figure:.2e} is more than {bound:.0e}")

    def train_tokenizer(self, kind, size):
        path = self.work / f"{kind}.json"
        if not path.exists(): self.cloze("tokenizer", "--kind", kind, "--vocab-size", size, "--out", path, *self.texts[:1])
        return path

    # --- Cloze to transformers

    def from_cloze(self, family, shape):
        config = self.work / f"{family}.toml"
        config.write_text(f'''
[tokenizer]
file = {json.dumps(str(self.work / "wordpiece.json"))}
[data]
train = {json.dumps(self.texts[:1])}
documents = "line"
sequence_length = 64
[model]
layers = 3
hidden_size = 64
heads = 4
{shape}
[train]
steps = 30
batch_size = 16
learning_rate = 3e-3
[validation]
max_sequences = 64
[checkpoint]
every = 0
''')
        run = self.work / f"run-{family}"
        self.cloze("train", config, "--device", "cpu", "--out", run)
        checkpoint, = (run / "checkpoints").iterdir()
        mine = self.cloze_log_probabilities(run, checkpoint)
        self.report(family, "checkpoint", difference(mine, transformers_log_probabilities(checkpoint)))
        for name, more, bound in [("export", [], BOUND), ("export, shards", ["--max-shard-size", "100KB"], BOUND),
                                  ("export, bf16", ["--dtype", "bf16"], 0.2)]:
            out = self.work / f"{family}-{name.replace(', ', '-')}"
            self.cloze("export", run, out, *more)
            self.report(family, name, difference(mine, transformers_log_probabilities(out)), bound)
        # What transformers saves of it comes back.
        again = self.work / f"{family}-saved-again"
        AutoModelForMaskedLM.from_pretrained(out.parent / f"{family}-export", dtype=torch.float32).save_pretrained(again)
        AutoTokenizer.from_pretrained(out.parent / f"{family}-export").save_pretrained(again)
        self.report(family, "saved again, in place", difference(mine, self.cloze_log_probabilities(again, again)))

    def cloze_log_probabilities(self, model, tokenizer):
        """[masks, V] of all texts."""
        tokenizer = AutoTokenizer.from_pretrained(tokenizer)
        size = AutoConfig.from_pretrained(model if (model / "config.json").exists() else next((model / "checkpoints").iterdir())).vocab_size
        lines = "".join(text.format(m=tokenizer.mask_token) + "\n" for text in TEXTS)
        rows = []
        for line in self.cloze("fill-mask", model, "--device", "cpu", "--json", "--top-k", size, stdin=lines).splitlines():
            masks = json.loads(line)
            for guesses in masks if isinstance(masks[0], list) else [masks]:
                row = torch.full([size], float("nan"), dtype=torch.float64)
                for guess in guesses: row[guess["token"]] = math.log(guess["score"])
                rows.append(row)
        return torch.stack(rows)

    # --- transformers to Cloze

    def from_transformers(self, family, tied, tokenizer):
        name = family if tied else f"{family}, untied"
        torch.manual_seed(7)
        model = random_model(family, tied).eval()
        source = self.work / name.replace(", ", "-"); source.mkdir()
        model.save_pretrained(source)
        with_tokenizer(tokenizer, family, source)
        want = transformers_log_probabilities(source)
        shards = self.work / f"{source.name}-shards"; shards.mkdir()
        model.save_pretrained(shards, max_shard_size="100KB")
        assert len(list(shards.glob("model-*.safetensors"))) > 1
        with_tokenizer(tokenizer, family, shards)
        for direction, folder in [("import", source), ("import, shards", shards)]:
            self.report(name, f"{direction}, in place", difference(self.cloze_log_probabilities(folder, folder), want))
            imported = self.work / f"{folder.name}-imported"
            self.cloze("import", folder, imported)
            self.report(name, direction, difference(self.cloze_log_probabilities(imported, imported), want))
            self.report(name, f"{direction}, by transformers", difference(transformers_log_probabilities(imported), want))
            exported = self.work / f"{folder.name}-exported"
            self.cloze("export", imported, exported, "--max-shard-size", "150KB")
            self.report(name, f"{direction}, export", difference(transformers_log_probabilities(exported), want))
        encoder = self.work / f"{source.name}-encoder"; encoder.mkdir()
        model.base_model.save_pretrained(encoder)
        with_tokenizer(tokenizer, family, encoder)
        out = self.work / f"{encoder.name}-imported"
        self.cloze("import", encoder, out)
        ids = torch.randint(6, 500, [2, 40])
        hidden = AutoModel.from_pretrained(out, attn_implementation="eager").eval()(input_ids=ids).last_hidden_state
        self.report(name, "encoder", float((hidden - model.base_model(input_ids=ids).last_hidden_state).abs().max()))

    # --- tokenizers

    def ids(self, kind, count):
        """Ids of lines by the shards of `cloze prepare`, and by transformers."""
        lines = [line for text in self.texts for line in pathlib.Path(text).read_text().splitlines() if line.strip()]
        lines = lines[:: max(1, len(lines) // count)][:count]
        (self.work / "lines.txt").write_text("\n".join(lines)); (self.work / "other.txt").write_text("something else")
        tokenizer, prepared = self.train_tokenizer(kind, 4000), self.work / f"prepared-{kind}"
        self.cloze("prepare", "--tokenizer", tokenizer, "--out", prepared, "--documents", "line", "--validation", "other.txt", "lines.txt")
        mine = documents(prepared)
        config = self.work / f"tokenizer-{kind}.toml"
        config.write_text(f'data.prepared = {json.dumps(str(prepared))}\nmodel = {{ layers = 1, hidden_size = 32, heads = 2 }}\n'
                          f'train = {{ steps = 1, learning_rate = 1e-3, batch_size = 2 }}')
        run, out = self.work / f"run-{kind}", self.work / f"tokenizer-{kind}"
        self.cloze("train", config, "--device", "cpu", "--out", run)
        self.cloze("export", run, out)
        tokenizer = AutoTokenizer.from_pretrained(out)
        theirs = [tokenizer(line, add_special_tokens=False)["input_ids"] for line in lines]
        assert len(mine) == len(theirs) == len(lines)
        self.report(f"{kind} tokenizer", f"lines of {len(lines)} that differ", sum(a != b for a, b in zip(mine, theirs)), 0)


def documents(prepared):
    """The documents of the training shards; src/data/shard.rs tells the format."""
    found = []
    for shard in json.loads((prepared / "manifest.json").read_text())["train"]["shards"]:
        data = (prepared / shard["file"]).read_bytes()
        _, _, width, tokens, count = struct.unpack_from("<8sIIQQ", data)
        offsets = struct.unpack_from(f"<{count + 1}Q", data, 64)
        start = 64 + 8 * (count + 1) + 8 * -(-tokens // 64)
        ids = struct.unpack_from(f"<{tokens}{'H' if width == 2 else 'I'}", data, start)
        found += [list(ids[a:b]) for a, b in zip(offsets, offsets[1:])]
    return found


@torch.no_grad()
def transformers_log_probabilities(folder):
    """[masks, V] of all texts."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForMaskedLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    rows = []
    for text in TEXTS:
        ids = tokenizer(text.format(m=tokenizer.mask_token), return_tensors="pt")["input_ids"]
        logits = model(input_ids=ids).logits[ids == tokenizer.mask_token_id]
        rows.append(torch.log_softmax(logits.double(), -1))
    return torch.cat(rows)


def difference(a, b):
    """Largest difference, infinite where one is not a number."""
    assert a.shape == b.shape, (a.shape, b.shape)
    return float((a - b).abs().nan_to_num(nan=math.inf).max())


def random_model(family, tied):
    sizes = dict(vocab_size=620, hidden_size=64, num_hidden_layers=4, num_attention_heads=4, intermediate_size=96, tie_word_embeddings=tied,
                 attn_implementation="eager", initializer_range=0.2)
    if family == "bert": model = BertForMaskedLM(BertConfig(max_position_embeddings=128, **sizes))
    elif family == "roberta": model = RobertaForMaskedLM(RobertaConfig(max_position_embeddings=130, type_vocab_size=1, pad_token_id=1, bos_token_id=0,
                                                                       eos_token_id=2, layer_norm_eps=1e-5, **sizes))
    else: model = ModernBertForMaskedLM(ModernBertConfig(max_position_embeddings=128, local_attention=16, global_attn_every_n_layers=3, pad_token_id=0,
                                                         cls_token_id=2, sep_token_id=3, bos_token_id=2, eos_token_id=3, **sizes))
    with torch.no_grad():  # biases and norms start at 0 and 1: what drops them would not show
        for parameter in model.parameters():
            if parameter.ndim == 1: parameter.add_(0.2 * torch.randn_like(parameter))
    return model


def with_tokenizer(file, family, folder):
    """Puts a tokenizer into a folder; RoBERTa's with its padding at 1."""
    data = json.loads(pathlib.Path(file).read_text())
    if family == "roberta":
        order = {"[CLS]": 0, "[PAD]": 1, "[SEP]": 2, "[UNK]": 3, "[MASK]": 4}
        data["model"]["vocab"].update(order)
        for token in data["added_tokens"]: token["id"] = order.get(token["content"], token["id"])
        data["added_tokens"].sort(key=lambda token: token["id"])
        for token in data["post_processor"]["special_tokens"].values(): token["ids"] = [order[token["tokens"][0]]]
    (folder / "tokenizer.json").write_text(json.dumps(data))
    names = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]", "unk_token": "[UNK]"}
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", **names}))


if __name__ == "__main__":
    main()
